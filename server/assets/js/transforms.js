// The Transforms page: the catalog, uploading and deleting transforms.

import { del, get, put, uploadBytes } from './api.js';
import { announce, button, byId, dropArea, fill, h, icon } from './dom.js';
import { size } from './format.js';
import { isWasm, manifestOf } from './manifest.js';
import { arrivals, config, errorNotice, fieldError, sessionStore, notice, start } from './page.js';
import { exampleCall, tenantData, signature } from './suggest.js';
import { texts } from './texts.js';
import { documentation, inline, limitText, transformCard } from './transform-card.js';
import { initialState, matchesSearch, uploadView, withColumn } from './transforms-state.js';

/**
 * The stored form of the Export page.
 * @type {Stored<ExportDraft>}
 */
const exportForm = sessionStore('export');

const state = initialState();

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
    state.transforms = answer.transforms ?? [];
    state.limits = answer.limits ?? null;
    tenantData.transforms = state.transforms;
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
        h('p', {}, h('strong', {}, texts.transforms.leftOut({ count: problems.length }))),
        problems.map(({ file, message, hint }) => h('p', {}, h('code', {}, file), ' ', message, hint && ` ${hint}`)),
      ),
  );
}

function show() {
  if (state.transforms.length === 0) {
    fill(byId('cards'), blank(texts.transforms.emptyTitle, texts.transforms.emptyHint));
    return;
  }
  fill(
    byId('cards'),
    state.transforms.map((transform) => transformCard(transform, state.limits, { use, makeActive, remove: askRemove })),
  );
  filter();
}

function filter() {
  const search = byId('find').value.trim();
  const cards = /** @type {HTMLCollectionOf<HTMLElement>} */ (byId('cards').children);
  const found = state.transforms.map((transform) => matchesSearch(transform, search));
  for (const [index, isFound] of found.entries()) cards[index].hidden = !isFound;
  const count = found.filter(Boolean).length;
  fill(byId('found-count'), count === 0 ? texts.transforms.nothing({ words: search }) : texts.transforms.count({ count }));
}

/**
 * Adds the transform as a column to the form of the Export page and opens that page.
 * @param {Transform} transform
 */
function use(transform) {
  const { draft, name } = withColumn(exportForm.read(), exampleCall(transform), transform.name);
  exportForm.write(draft);
  arrivals.write({ page: 'export', kind: 'column', name });
  location.assign(`${config.basePath}export${location.search}`);
}

/**
 * @param {string} name
 * @param {Transform['versions'][number]} version
 * @param {HTMLElement} note
 */
async function makeActive(name, { version, sha256: digest }, note) {
  try {
    await put(`transforms/${encodeURIComponent(name)}/active`, { sha256: digest });
    announce(texts.transforms.madeActive({ name, version }));
    await load();
    byId('find').focus();
  } catch (error) {
    fill(note, errorNotice(error));
  }
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
    h('p', {}, version ? texts.transforms.reallyDeleteVersion({ name, version: version.version }) : texts.transforms.reallyDelete({ name })),
    h(
      'div',
      { class: 'actions' },
      button(
        texts.transforms.delete,
        async () => {
          try {
            await del(`transforms/${encodeURIComponent(name)}${version ? `?sha256=${version.sha256}` : ''}`);
            announce(texts.transforms.deleted({ name: version ? `${name} ${version.version}` : name }));
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
  state.chosen = null;
  fill(byId('found'));
  showFileError('');
  if (state.limits && file.size > state.limits.file) {
    showFileError(texts.import.tooLarge({ name: file.name, limit: size(state.limits.file) }));
    return;
  }
  let bytes;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch {
    showFileError(texts.transforms.unreadable({ name: file.name }));
    return;
  }
  if (!isWasm(bytes)) {
    showFileError(texts.transforms.notWasm({ name: file.name }));
    return;
  }
  state.chosen = { file, bytes };
  const manifest = manifestOf(bytes);
  const hash = await sha256(bytes);
  const { mayAdd, kind, remark } = uploadView(manifest, state.transforms);
  /**
   * @param {string} name
   * @param {Child} value
   */
  const fact = (name, value) => value && [h('dt', {}, name), h('dd', {}, value)];
  const cancel = button(
    texts.job.cancel,
    () => {
      state.chosen = null;
      fill(byId('found'));
      byId('file').focus();
    },
    { kind: 'quiet' },
  );
  const title = h('h3', { tabindex: -1 }, texts.transforms.foundIn({ name: file.name }));
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
      fact(texts.transforms.limits, state.limits && limitText(state.limits)),
    ),
    manifest && documentation(manifest),
    remark && notice(kind, h('p', {}, remark)),
    h('div', { class: 'actions' }, mayAdd && addButton, cancel),
    h('div', { id: 'take-note' }),
  );
  announce(texts.transforms.foundIn({ name: file.name }));
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
  if (!state.chosen) return;
  addButton.disabled = true;
  fill(byId('take-note'), h('p', { class: 'help', role: 'status' }, texts.transforms.checking));
  try {
    const added = await uploadBytes('transforms', state.chosen.file, 'application/wasm');
    state.chosen = null;
    await load();
    fill(byId('found'), notice('info', h('p', {}, texts.transforms.taken({ name: added.name, version: added.version }))));
    byId('file').focus();
  } catch (error) {
    fill(byId('take-note'), errorNotice(error));
    addButton.disabled = false;
  }
}
