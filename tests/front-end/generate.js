// Writes the types of an OpenAPI document: node generate.js DOCUMENT OUTPUT

import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const [input, output] = process.argv.slice(2);
const document = JSON.parse(await readFile(input, 'utf8'));
const types = astToString(await openapiTS(document));
await writeFile(output, `// Generated from the OpenAPI document by generate.js; see README.md. Do not edit.\n\n${types}`);
