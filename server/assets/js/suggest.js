// Suggestions for expression and query fields, from the attributes of the tenant's users and the available transforms.

import { h } from './dom.js';
import { labelOf, texts } from './texts.js';

/**
 * Data of this tenant to suggest from; the pages fill it as responses arrive.
 * @type {{ attributes: Attribute[], transforms: Transform[], documented: string[] }}
 */
export const tenantData = { attributes: [], transforms: [], documented: [] };

/**
 * A value of an attribute, as text.
 * @param {unknown} value
 */
export const exampleText = (value) => (typeof value === 'string' ? value : JSON.stringify(value)) ?? '';

/**
 * The signature of a transform: `name(parameter, parameter?)`.
 * @param {TransformLike} transform
 */
export const signature = ({ name, parameters = [] }) =>
  `${name}(${parameters.map((parameter) => parameter.name + (parameter.optional ? '?' : '')).join(', ')})`;

/** @type {{ [type: string]: string | undefined }} */
const EXAMPLE_ARGUMENTS = { text: 'user.email', number: '1', boolean: 'true', json: 'user.app_metadata', user: 'user', any: 'user.email' };

/**
 * Example arguments for the required parameters of a transform and, in any case, for the first.
 * @param {TransformLike} transform
 */
function exampleArguments(transform) {
  // The first parameter is the input of the transform, even if it is optional.
  const needed = (transform.parameters ?? []).filter((parameter, index) => index === 0 || !parameter.optional);
  return needed.map((parameter) => (parameter.secret ? 'secret("NAME")' : (EXAMPLE_ARGUMENTS[parameter.type] ?? 'user.email')));
}

/**
 * An example call of a transform.
 * @param {TransformLike} transform
 */
export const exampleCall = (transform) => `${transform.name}(${exampleArguments(transform).join(', ')})`;

/** @param {number} share */
const percent = (share) => (share > 0 && share < 0.005 ? '<1 %' : `${Math.round(share * 100)} %`);

/**
 * @param {Attribute} attribute
 * @returns {Child[]}
 */
function attributeHelp({ path, type, share, example }) {
  return [
    h('p', {}, h('code', {}, path)),
    h('p', {}, labelOf(texts.picker.types, type), ' · ', texts.picker.share({ percent: percent(share) })),
    exampleText(example) && h('p', { class: 'soft' }, texts.picker.example, h('code', {}, exampleText(example))),
  ];
}

/**
 * Help for a transform; the parameter at `current` is highlighted.
 * @param {Transform} transform
 * @param {number} [current]
 * @returns {Child[]}
 */
function transformHelp(transform, current = -1) {
  const parameters = transform.parameters ?? [];
  const pieces = parameters.map((parameter, index) => {
    const name = parameter.name + (parameter.optional ? '?' : '');
    return [index > 0 && ', ', index === current ? h('strong', {}, name) : name];
  });
  const shown = current >= 0 ? parameters.slice(current, current + 1) : parameters;
  const example = transform.examples?.[0];
  return [
    h('p', {}, h('code', {}, transform.name, '(', pieces, ')')),
    h('p', {}, transform.summary),
    shown.map((parameter) =>
      h(
        'p',
        {},
        h('code', {}, parameter.name),
        ' ',
        h(
          'span',
          { class: 'soft' },
          [labelOf(texts.transforms.types, parameter.type), parameter.optional && texts.transforms.optional, parameter.secret && texts.transforms.secret]
            .filter(Boolean)
            .join(', '),
        ),
        parameter.description && ` ${parameter.description}`,
      ),
    ),
    example && h('p', { class: 'soft' }, h('code', {}, example.call), ` ${texts.transforms.becomes} `, h('code', {}, exampleText(example.gives))),
  ];
}

/**
 * The rank of a name for the typed text, 0 is best; null if it does not match. One or two letters match the beginning of
 * a word only.
 * @param {string} name
 * @param {string} typed
 */
function rank(name, typed) {
  const [text, wanted] = [name.toLowerCase(), typed.toLowerCase()];
  if (wanted === '' || text.startsWith(wanted)) return 0;
  const at = text.indexOf(wanted);
  if (at < 0) return null;
  if (/[._[]/.test(text[at - 1] ?? '')) return 1;
  return wanted.length > 2 ? 2 : null;
}

/**
 * The matching entries, best first, otherwise in their order.
 * @template Entry
 * @param {Entry[]} entries
 * @param {string} typed
 * @param {(entry: Entry) => string} name
 */
function rankedMatches(entries, typed, name) {
  const ranked = entries.flatMap((entry) => {
    const order = rank(name(entry), typed);
    return order === null ? [] : [{ order, entry }];
  });
  return ranked.sort((a, b) => a.order - b.order).map(({ entry }) => entry);
}

/**
 * Whether the caret is inside a string literal, and in which argument of which call.
 * @param {string} text
 */
function callAt(text) {
  /** @type {{ name: string, argument: number }[]} */
  const calls = [];
  /** @type {string | null} */
  let quote = null;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (quote) {
      if (character === '\\') at += 1;
      else if (character === quote) quote = null;
    } else if (character === '"' || character === "'" || character === '`') {
      quote = character;
    } else if ('([{'.includes(character)) {
      calls.push({ name: /([A-Za-z_$][\w$]*)\s*$/.exec(text.slice(0, at))?.[1] ?? '', argument: 0 });
    } else if (')]}'.includes(character)) {
      calls.pop();
    } else if (character === ',') {
      const call = calls.at(-1);
      if (call) call.argument += 1;
    }
  }
  return { inText: quote !== null, call: calls.at(-1) ?? null };
}

/**
 * Suggestions for an expression field (a column or the sort expression).
 * @param {string} text
 * @param {number} caret
 * @returns {Suggestions}
 */
export function suggestExpression(text, caret) {
  const before = text.slice(0, caret);
  const { inText, call } = callAt(before);
  const called = call && tenantData.transforms.find(({ name }) => name === call.name);
  const help = called ? transformHelp(called, call.argument) : null;
  if (inText) return { from: caret, to: caret, options: [], help };

  const typed = /[A-Za-z_$][\w$]*(?:\??\.[\w$]*|\[\d*\]?)*$/.exec(before)?.[0] ?? '';
  // After a complete value only an operator is possible.
  if (typed === '' && /[\w$)\]"'`]\s*$/.test(before)) return { from: caret, to: caret, options: [], help };
  const from = caret - typed.length;
  const to = caret + (/^[\w$.]*/.exec(text.slice(caret))?.[0].length ?? 0);
  // Every attribute is a member of `user`; the prefix is optional.
  const bare = 'user'.startsWith(typed) ? '' : typed.replace(/^user\??\./, '').replaceAll('?.', '.');
  const paths = tenantData.attributes.map(({ path }) => path);
  /** @type {Attribute[]} */
  const documented = tenantData.documented.filter((path) => !paths.includes(path)).map((path) => ({ path, type: '', share: NaN, example: null }));
  const attributes = [...tenantData.attributes, ...documented];
  const transforms = typed.startsWith('user.') ? [] : rankedMatches(tenantData.transforms, typed, ({ name }) => name);
  /** @type {Suggestion[]} */
  const options = [
    ...rankedMatches(attributes, bare, ({ path }) => path.replace(/^user\./, '')).map((attribute) => ({
      label: attribute.path,
      detail: Number.isNaN(attribute.share) ? texts.completion.documented : `${labelOf(texts.picker.types, attribute.type)} · ${percent(attribute.share)}`,
      insert: attribute.path,
      help: () =>
        Number.isNaN(attribute.share) ? [h('p', {}, h('code', {}, attribute.path)), h('p', {}, texts.completion.documentedHelp)] : attributeHelp(attribute),
    })),
  ];
  /** @type {Suggestion[]} */
  const calls = transforms.map((transform) => {
    const [first = ''] = exampleArguments(transform);
    const start = transform.name.length + 1;
    return {
      label: signature(transform),
      detail: texts.export.kinds.transform,
      insert: exampleCall(transform),
      select: [start, start + first.length],
      help: () => transformHelp(transform),
    };
  });
  // Transforms come first if the typed text is a prefix of one; without typed text both kinds are shown.
  const mixed =
    typed === ''
      ? [...options.slice(0, 5), ...calls]
      : calls.some(({ label }) => label.startsWith(typed))
        ? [...calls, ...options]
        : [...options.slice(0, 6), ...calls.slice(0, 2), ...options.slice(6)];
  const complete = mixed.length === 1 && mixed[0].insert === typed;
  return { from, to, options: complete ? [] : mixed, help };
}

/**
 * The name of an attribute in a query; null if it cannot be written in a query.
 * @param {string} path
 */
function searchName(path) {
  const name = path.replace(/^user\./, '').replaceAll(/\[\d+\]/g, '');
  return /^[\w.-]+$/.test(name) ? name : null;
}

/**
 * Suggestions for the query field.
 * @param {string} text
 * @param {number} caret
 * @returns {Suggestions | null}
 */
export function suggestQuery(text, caret) {
  const before = text.slice(0, caret);
  if ((before.match(/(?<!\\)"/g) ?? []).length % 2 === 1) return null;
  /** @type {Map<string, Attribute>} */
  const fields = new Map();
  for (const attribute of tenantData.attributes) {
    const name = searchName(attribute.path);
    if (name && !fields.has(name)) fields.set(name, attribute);
  }
  const value = /([\w.-]+):([^\s()[\]{}"]*)$/.exec(before);
  if (value && value[1] !== '_exists_') {
    const attribute = fields.get(value[1]);
    if (!attribute || value[2] !== '') return null;
    const example = exampleText(attribute.example);
    const day = example.slice(0, 10);
    /** @type {{ [type: string]: string[] | undefined }} */
    const ofType = { boolean: ['true', 'false'], number: [example, '[1 TO 10]'], date: [`[${day} TO *]`, `[* TO ${day}]`] };
    const literal = ofType[attribute.type] ?? (typeof attribute.example === 'string' && !/["\\…]/.test(example) ? [`"${example}"`] : []);
    return {
      from: caret,
      to: caret,
      options: literal.filter(Boolean).map((insert) => ({ label: insert, detail: texts.completion.value, insert, help: () => attributeHelp(attribute) })),
    };
  }
  const typed = value ? value[2] : (/[\w.-]*$/.exec(before)?.[0] ?? '');
  if (typed === '' && before.trim() !== '' && !/(?:\b(?:AND|OR|NOT)|[(])\s*$/.test(before) && !value) return null;
  if (/^(?:AND|OR|NOT)$/.test(typed)) return null;
  const names = rankedMatches([...fields], typed, ([name]) => name);
  const ending = value ? '' : ':';
  const exists = !value &&
    '_exists_'.startsWith(typed) && {
      label: '_exists_:',
      detail: texts.completion.exists,
      insert: '_exists_:',
      help: () => h('p', {}, texts.completion.existsHelp),
    };
  return {
    from: caret - typed.length,
    to: caret,
    options: [
      ...names.slice(0, exists ? 7 : 8).map(([name, attribute]) => ({
        label: name,
        detail: `${labelOf(texts.picker.types, attribute.type)} · ${percent(attribute.share)}`,
        insert: name + ending,
        help: () => attributeHelp(attribute),
      })),
      exists,
    ].filter(Boolean),
  };
}
