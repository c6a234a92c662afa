// Every text that the scripts show, in the language of the page. The server serves `locales/<language>/scripts.json` as
// the module `texts.<language>.js`.

/**
 * A text, the forms of a text by plural category (`one`, `other`, …), or a group of texts.
 * @typedef {string | { [name: string]: Template }} Template
 * @typedef {{ [name: string]: string | number }} Values
 */

const language = document.documentElement.lang || 'en';
const numbers = new Intl.NumberFormat(language);
const plurals = new Intl.PluralRules(language);

/**
 * A template with its placeholders `{name}` replaced by the values of these names. Numbers are formatted.
 * @param {string} template
 * @param {Values} values
 */
const insertValues = (template, values) =>
  template.replaceAll(/\{(\w+)\}/g, (_, /** @type {string} */ name) => {
    const value = values[name];
    return typeof value === 'number' ? numbers.format(value) : String(value);
  });

/**
 * The texts of a template: functions of the values if there are placeholders or plural forms, of which `count` selects
 * one.
 * @param {Template} template
 * @returns {unknown}
 */
export function textsOf(template) {
  if (typeof template === 'string') {
    return template.includes('{') ? (/** @type {Values} */ values) => insertValues(template, values) : template;
  }
  const { other } = template;
  if (typeof other === 'string') {
    return (/** @type {Values} */ values) => {
      const form = template[plurals.select(Number(values.count))];
      return insertValues(typeof form === 'string' ? form : other, values);
    };
  }
  return Object.fromEntries(Object.entries(template).map(([name, inner]) => [name, textsOf(inner)]));
}

/** @type {{ default: Template }} */
const { default: templates } = await import(`./texts.${language}.js`);

export const texts = /** @type {Texts} */ (textsOf(templates));

/**
 * The text for a value of an enumeration; the value itself if it has no text, or else `other`.
 * @param {{ [value: string]: string }} labels
 * @param {string} value
 */
export const labelOf = (labels, value, other = value) => (Object.hasOwn(labels, value) ? labels[value] : other);
