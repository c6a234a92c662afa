// Writes the types of an OpenAPI document: node generate.js DOCUMENT OUTPUT

import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const [input, output] = process.argv.slice(2);
const document = JSON.parse(await readFile(input, 'utf8'));
// Several operations may have the same id; without ids, each is written at its path.
for (const item of Object.values(document.paths)) for (const operation of Object.values(item)) delete operation.operationId;
const types = astToString(await openapiTS(document));
await writeFile(output, `// Generated from the OpenAPI document by generate.js; see README.md. Do not edit.\n\n${types}`);
