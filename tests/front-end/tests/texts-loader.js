// Lets Node import the modules `texts.<language>.js`, which the server creates.

import { readFile } from 'node:fs/promises';

const NAME = /\/texts\.([a-z]+)\.js$/;

export async function resolve(specifier, context, next) {
  return NAME.test(specifier) ? { url: new URL(specifier, context.parentURL).href, shortCircuit: true } : next(specifier, context);
}

export async function load(url, context, next) {
  const language = NAME.exec(url)?.[1];
  if (!language) return next(url, context);
  const json = await readFile(new URL(`../../../server/locales/${language}/scripts.json`, import.meta.url), 'utf8');
  return { format: 'module', shortCircuit: true, source: `export default ${json};` };
}
