// The Transforms page: the catalog, trying a transform on users of the tenant, uploading and deleting transforms.

import { del, get, isAbort, post, put, uploadBytes } from './api.js';
import { withSuggestions } from './completion.js';
import { announce, button, byId, dropArea, fill, h, icon, tableHead } from './dom.js';
import { binarySize, size, time } from './format.js';
import { isWasm, manifestOf } from './manifest.js';
import { arrivals, config, errorNotice, errorText, fieldError, sessionStore, notice, start } from './page.js';
import { cellContent } from './preview.js';
import { exampleCall, tenantData, signature, suggestExpression } from './suggest.js';
import { texts } from './texts.js';

const TRIED_ROWS = 5;
const TRY_DELAY_MS = 500;
/**
 * The stored form of the Export page.
 * @type {Stored<ExportDraft>}
 */
const exportForm = sessionStore('export');

/** @typedef {ResponseBody<'get', 'transforms'>['limits']} Limits */
/**
 * What is shown of a transform: of the catalog, or from a file.
 * @typedef {Pick<Transform, 'name' | 'summary' | 'documentation' | 'parameters' | 'examples'>} Described
 */

/** @type {Transform[]} */
let transforms = [];
/** @type {Limits | null} */
let limits = null;
/** @type {{ file: File, bytes: Uint8Array<ArrayBuffer> } | null} */
let chosenFile = null;

start(async () => {
  dropArea(byId('drop'), byId('file'), ([file]) => showFile(file));
  byId('find').addEventListener('input', filter);
  // Used for suggestions in the fields that try a call.
  tenantData.documented = config.attributes;
  get('attributes').then(
    ({ attributes }) => {
      tenantData.attributes = attributes ?? [];
    },
    () => {},
  );
  await load();
});

async function load() {
  fill(byId('cards'), h('p', { class: 'help', role: 'status' }, texts.transforms.loading));
  try {
    const answer = await get('transforms');
    transforms = answer.transforms ?? [];
    tenantData.transforms = transforms;
    limits = answer.limits ?? null;
    showUploads(answer.uploads !== false);
    fill(byId('transforms-error'));
    showProblems(answer.problems ?? []);
    show();
  } catch (error) {
    fill(byId('cards'));
    fill(byId('transforms-error'), errorNotice(error, load));
  } finally {
    byId('catalog').removeAttribute('aria-busy');
  }
}

/**
 * Hides the drop area if uploads are disabled.
 * @param {boolean} allowed
 */
function showUploads(allowed) {
  const area = /** @type {HTMLElement} */ (document.querySelector('#upload .files'));
  area.hidden = !allowed;
  fill(byId('uploads-note'), !allowed && notice('info', h('p', {}, texts.transforms.uploadsOff)));
}

/**
 * @param {string} title
 * @param {string} text
 */
const blank = (title, text) => h('section', { class: 'card blank' }, icon('transforms'), h('h2', {}, title), h('p', {}, text));

/** @param {ResponseBody<'get', 'transforms'>['problems']} problems */
function showProblems(problems) {
  fill(
    byId('problems'),
    problems.length > 0 &&
      notice(
        'warning',
        h('p', {}, h('strong', {}, texts.transforms.leftOut(problems.length))),
        problems.map(({ file, message, hint }) => h('p', {}, h('code', {}, file), ' ', message, hint && ` ${hint}`)),
      ),
  );
}

function show() {
  if (transforms.length === 0) {
    fill(byId('cards'), blank(texts.transforms.emptyTitle, texts.transforms.emptyHint));
    return;
  }
  fill(byId('cards'), transforms.map(card));
  filter();
}

function filter() {
  const words = byId('find').value.toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  const cards = /** @type {HTMLCollectionOf<HTMLElement>} */ (byId('cards').children);
  for (const element of cards) {
    const fits = words.every((word) => element.dataset.words?.includes(word));
    element.hidden = !fits;
    if (fits) left += 1;
  }
  fill(byId('found-count'), left === 0 ? texts.transforms.nothing(byId('find').value) : texts.transforms.count(left));
}

/** @param {Transform} transform */
function card(transform) {
  const note = h('div');
  const own = transform.origin === 'upload';
  const result = texts.transforms.types[transform.output] ?? transform.output;
  return h(
    'article',
    {
      class: 'card transform',
      'data-words': `${transform.name} ${transform.summary} ${transform.documentation ?? ''}`.toLowerCase(),
      'aria-label': transform.name,
    },
    h(
      'div',
      { class: 'card-head' },
      h('h3', {}, h('code', {}, signature(transform)), ' ', h('span', { class: 'soft' }, transform.version)),
      h(
        'div',
        { class: 'actions' },
        h('span', { class: 'kind', 'data-kind': own ? 'transform' : '' }, texts.transforms.origins[transform.origin] ?? transform.origin),
        own &&
          button(texts.transforms.delete, () => askRemove(transform.name, note), {
            kind: 'small quiet',
            'aria-label': texts.transforms.deleteOf(transform.name),
          }),
        button(texts.transforms.use, () => use(transform), { kind: 'small', 'aria-label': texts.transforms.useOf(transform.name) }),
      ),
    ),
    h('p', {}, inline(transform.summary)),
    h(
      'div',
      { class: 'toggles' },
      h(
        'details',
        { class: 'more' },
        h('summary', { 'aria-label': texts.transforms.moreAbout(transform.name) }, texts.transforms.more),
        paragraphs(transform),
        parameterTable(transform),
        exampleList(transform),
        h(
          'dl',
          { class: 'facts' },
          h('dt', {}, texts.transforms.gives),
          h('dd', {}, result),
          Number.isFinite(transform.size) && [h('dt', {}, texts.transforms.size), h('dd', {}, size(transform.size))],
          limits && [h('dt', {}, texts.transforms.limits), h('dd', {}, limitText(limits))],
          h('dt', {}, 'SHA-256'),
          h('dd', {}, h('code', {}, transform.sha256)),
          (transform.parameters ?? []).some(({ secret }) => secret) && [
            h('dt', {}, texts.transforms.secretsTitle),
            h('dd', {}, texts.transforms.secretsHint(transform.origin === 'shipped' ? transform.name : `sha256:${transform.sha256}`)),
          ],
        ),
        versionTable(transform, note),
      ),
      tryOut(transform),
    ),
    note,
  );
}

/** @param {Limits} limits */
const limitText = ({ memory: bytes, time_ms: time, result }) => texts.transforms.limit(binarySize(bytes), time, binarySize(result));

/**
 * The documentation as paragraphs with `code`. Other Markdown is shown as plain text.
 * @param {Described} transform
 */
function paragraphs({ summary, documentation = '' }) {
  const parts = documentation
    .split(/\n\s*\n/)
    .map((part) => part.trim())
    .filter((part) => part && part !== summary);
  return parts.map((part) => h('p', { class: 'documentation' }, inline(part)));
}

/**
 * Text with `code` in it.
 * @param {string} text
 */
const inline = (text) => text.split(/`([^`]+)`/).map((piece, index) => (index % 2 === 1 ? h('code', {}, piece) : piece));

/** @param {Described} transform */
function parameterTable({ parameters = [] }) {
  if (parameters.length === 0) return null;
  const head = [texts.transforms.parameter, texts.transforms.type, texts.transforms.meaning];
  return h(
    'table',
    { class: 'table stack', role: 'table' },
    tableHead(head),
    h(
      'tbody',
      { role: 'rowgroup' },
      parameters.map((parameter) => {
        /**
         * @param {string} label
         * @param {Child[]} children
         */
        const cell = (label, ...children) => h('td', { role: 'cell', 'data-label': label }, h('div', {}, ...children));
        const remarks = [parameter.optional && texts.transforms.optional, parameter.secret && texts.transforms.secret].filter(Boolean);
        return h(
          'tr',
          { role: 'row' },
          cell(head[0], h('code', {}, parameter.name)),
          cell(head[1], [texts.transforms.types[parameter.type] ?? parameter.type, ...remarks].join(', ')),
          cell(head[2], parameter.description),
        );
      }),
    ),
  );
}

/**
 * The versions of an uploaded transform: when and by whom each was uploaded, and which is active.
 * @param {Transform} transform
 * @param {HTMLElement} note
 */
function versionTable({ name, versions = [] }, note) {
  if (versions.length < 2) return null;
  const head = [texts.transforms.version, 'SHA-256', texts.transforms.uploaded, ''];
  return [
    h('h4', {}, texts.transforms.versions),
    h(
      'table',
      { class: 'table stack', role: 'table' },
      tableHead(head),
      h(
        'tbody',
        { role: 'rowgroup' },
        versions.map((version) => {
          /**
           * @param {string} label
           * @param {Child[]} children
           */
          const cell = (label, ...children) => h('td', { role: 'cell', 'data-label': label }, h('div', {}, ...children));
          const short = version.sha256.slice(0, 12);
          return h(
            'tr',
            { role: 'row' },
            cell(head[0], version.version),
            cell(head[1], h('code', { title: version.sha256 }, `${short}…`)),
            cell(head[2], version.uploaded_at && time(version.uploaded_at), version.uploaded_by && ` ${version.uploaded_by}`),
            cell(
              head[3],
              version.active
                ? texts.transforms.active
                : h(
                    'div',
                    { class: 'actions' },
                    button(texts.transforms.makeActive, () => makeActive(name, version, note), {
                      kind: 'small',
                      'aria-label': texts.transforms.makeActiveOf(version.version, short),
                    }),
                    button(texts.transforms.delete, () => askRemove(name, note, version), {
                      kind: 'small quiet',
                      'aria-label': texts.transforms.deleteVersionOf(version.version, short),
                    }),
                  ),
            ),
          );
        }),
      ),
    ),
  ];
}

/**
 * @param {string} name
 * @param {Transform['versions'][number]} version
 * @param {HTMLElement} note
 */
async function makeActive(name, { version, sha256: digest }, note) {
  try {
    await put(`transforms/${encodeURIComponent(name)}/active`, { sha256: digest });
    announce(texts.transforms.madeActive(name, version));
    await load();
    byId('find').focus();
  } catch (error) {
    fill(note, errorNotice(error));
  }
}

/** @param {Described} transform */
function exampleList({ examples = [] }) {
  if (examples.length === 0) return null;
  return [
    h('h4', {}, texts.transforms.examples),
    h(
      'ul',
      { class: 'example-calls' },
      examples.map(({ call, gives }) =>
        h(
          'li',
          {},
          h('code', {}, call),
          h('span', { class: 'soft' }, ` ${texts.transforms.becomes} `),
          gives === null ? h('em', {}, texts.transforms.nothingGiven) : h('code', {}, typeof gives === 'string' ? gives : JSON.stringify(gives)),
        ),
      ),
    ),
  ];
}

/**
 * Evaluates an expression for the first users while it is typed; shows each result with the user's e-mail address.
 * @param {Transform} transform
 */
function tryOut(transform) {
  const place = h('div', { role: 'status' });
  const expression = h('input', {
    type: 'text',
    class: 'code',
    'aria-label': texts.transforms.expressionOf(transform.name),
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: 'false',
  });
  expression.value = exampleCall(transform);
  /** @type {Timer} */
  let timer = 0;
  /** @type {AbortController | null} */
  let running = null;
  let asked = '';
  /** @param {number} delay */
  const soon = (delay) => {
    clearTimeout(timer);
    timer = setTimeout(run, delay);
  };
  expression.addEventListener('input', () => soon(TRY_DELAY_MS));
  expression.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') soon(0);
  });

  async function run() {
    const text = expression.value.trim();
    if (!text || text === asked) return;
    asked = text;
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    place.setAttribute('aria-busy', 'true');
    try {
      /** @type {ExportRequest} */
      const request = {
        format: 'csv',
        limit: TRIED_ROWS,
        fields: [
          { name: 'user.email || user.user_id', export_as: 'user' },
          { name: text, export_as: 'result' },
        ],
      };
      const answer = await post('preview', request, { signal });
      if (!signal.aborted) fill(place, results(answer.rows ?? []));
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      asked = '';
      fill(place, notice('error', errorText(error)));
    } finally {
      if (!signal.aborted) place.removeAttribute('aria-busy');
    }
  }

  /** @type {HTMLDetailsElement} */
  const details = h(
    'details',
    { class: 'more', on: { toggle: () => details.open && soon(0) } },
    h('summary', { 'aria-label': texts.transforms.tryOutOf(transform.name) }, texts.transforms.tryOut),
    withSuggestions(expression, suggestExpression),
    place,
  );
  return details;
}

/**
 * The value of a cell; `undefined` if it has none.
 * @param {Preview['rows'][number][number] | undefined} cell
 */
const cellValue = (cell) => (cell && 'value' in cell ? cell.value : undefined);

/** @param {Preview['rows']} rows */
function results(rows) {
  if (rows.length === 0) return h('p', { class: 'help' }, texts.preview.noUsers);
  return h(
    'table',
    { class: 'table tried' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, texts.report.user), h('th', { scope: 'col' }, texts.transforms.result))),
    h(
      'tbody',
      {},
      rows.map(([user, result]) =>
        h(
          'tr',
          {},
          h('td', {}, cellContent(cellValue(user))),
          result && 'error' in result ? h('td', { class: 'fault' }, texts.preview.error, result.error) : h('td', {}, cellContent(cellValue(result))),
        ),
      ),
    ),
  );
}

/**
 * The name, or the name with the first number that no column has.
 * @param {string} name
 * @param {Column[]} columns
 */
function unusedName(name, columns) {
  const used = new Set(columns.map((column) => column.export_as));
  if (!used.has(name)) return name;
  let index = 2;
  while (used.has(`${name} ${index}`)) index += 1;
  return `${name} ${index}`;
}

/**
 * Adds the transform as a column to the form of the Export page and opens that page.
 * @param {Transform} transform
 */
function use(transform) {
  const draft = exportForm.read() ?? {};
  const columns = Array.isArray(draft.columns) ? draft.columns : [];
  exportForm.write({ ...draft, columns: [...columns, { name: exampleCall(transform), export_as: unusedName(transform.name, columns) }] });
  arrivals.write({ page: 'export', kind: 'column', name: unusedName(transform.name, columns) });
  location.assign(`${config.basePath}export${location.search}`);
}

/**
 * Asks for confirmation before a transform, or one version of it, is deleted.
 * @param {string} name
 * @param {HTMLElement} note
 * @param {Transform['versions'][number] | null} [version]
 */
function askRemove(name, note, version = null) {
  const question = notice(
    'warning',
    h('p', {}, version ? texts.transforms.reallyDeleteVersion(name, version.version) : texts.transforms.reallyDelete(name)),
    h(
      'div',
      { class: 'actions' },
      button(
        texts.transforms.delete,
        async () => {
          try {
            await del(`transforms/${encodeURIComponent(name)}${version ? `?sha256=${version.sha256}` : ''}`);
            announce(texts.transforms.deleted(version ? `${name} ${version.version}` : name));
            await load();
            byId('file').focus();
          } catch (error) {
            fill(note, errorNotice(error));
          }
        },
        { kind: 'small' },
      ),
      button(texts.presets.keep, () => fill(note), { kind: 'small quiet' }),
    ),
  );
  fill(note, question);
  question.querySelector('button')?.focus();
}

// Upload of a transform

/** @param {string} text */
const showFileError = (text) => fieldError(byId('file'), byId('file-error'), text);

/**
 * Shows the manifest of a chosen file before it is uploaded.
 * @param {File} file
 */
async function showFile(file) {
  chosenFile = null;
  fill(byId('found'));
  showFileError('');
  if (limits?.file && file.size > limits.file) {
    showFileError(texts.import.tooLarge(file.name, size(limits.file)));
    return;
  }
  let bytes;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch {
    showFileError(texts.transforms.unreadable(file.name));
    return;
  }
  if (!isWasm(bytes)) {
    showFileError(texts.transforms.notWasm(file.name));
    return;
  }
  chosenFile = { file, bytes };
  const manifest = manifestOf(bytes);
  const hash = await sha256(bytes);
  const existing = manifest && transforms.find((transform) => transform.name === manifest.name);
  const isReserved = existing && existing.origin !== 'upload';
  /**
   * @param {string} name
   * @param {Child} value
   */
  const fact = (name, value) => value && [h('dt', {}, name), h('dd', {}, value)];
  const cancel = button(
    texts.job.cancel,
    () => {
      chosenFile = null;
      fill(byId('found'));
      byId('file').focus();
    },
    { kind: 'quiet' },
  );
  const title = h('h3', { tabindex: -1 }, texts.transforms.foundIn(file.name));
  const mayAdd = manifest !== null && !isReserved;
  const addButton = button(texts.transforms.take, () => uploadFile(addButton), { kind: 'primary' });
  fill(
    byId('found'),
    title,
    h(
      'dl',
      { class: 'facts' },
      fact(texts.transforms.transform, manifest && [h('code', {}, signature(manifest)), ` ${manifest.version ?? ''}`].map((part) => h('span', {}, part))),
      fact(texts.transforms.does, manifest && h('span', {}, inline(manifest.summary))),
      fact(texts.transforms.size, size(file.size)),
      fact('SHA-256', hash && h('code', {}, hash)),
      fact(texts.transforms.limits, limits && limitText(limits)),
    ),
    manifest && [paragraphs(manifest), parameterTable(manifest), exampleList(manifest)],
    !manifest && notice('warning', h('p', {}, texts.transforms.noManifest)),
    existing && notice(isReserved ? 'warning' : 'info', h('p', {}, texts.transforms.exists(existing.name, existing.version, !isReserved))),
    h('div', { class: 'actions' }, mayAdd && addButton, cancel),
    h('div', { id: 'take-note' }),
  );
  announce(texts.transforms.foundIn(file.name));
  // The title, because the button may be far below the name and the documentation.
  title.focus({ preventScroll: true });
  title.scrollIntoView({ block: 'nearest' });
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function sha256(bytes) {
  // `crypto.subtle` exists in secure contexts only; the server reports the digest after the upload anyway.
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {HTMLButtonElement} addButton */
async function uploadFile(addButton) {
  if (!chosenFile) return;
  addButton.disabled = true;
  fill(byId('take-note'), h('p', { class: 'help', role: 'status' }, texts.transforms.checking));
  try {
    const added = await uploadBytes('transforms', chosenFile.file, 'application/wasm');
    chosenFile = null;
    await load();
    fill(byId('found'), notice('info', h('p', {}, texts.transforms.taken(added.name, added.version))));
    byId('file').focus();
  } catch (error) {
    fill(byId('take-note'), errorNotice(error));
    addButton.disabled = false;
  }
}
