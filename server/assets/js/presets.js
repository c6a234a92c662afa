// Export presets: saved by name on the server, or downloaded and imported as files.

import { ApiError, del, get, put } from './api.js';
import { announce, button, byId, fill, h, saveBlob } from './dom.js';
import { errorNotice, notice } from './page.js';
import { texts } from './texts.js';

/** The settings of the built-in preset "Import-ready". */
const BUILT_IN = { format: 'json', preset: 'import' };
const MAX_NAME_LENGTH = 100;
const MAX_FILE_BYTES = 1_000_000;

/**
 * The bar of presets. `settings` returns the settings of the form, or null after it has marked invalid fields; `load`
 * fills the form with settings.
 * @param {{ settings: () => ExportRequest | null, load: (settings: object) => void }} form
 */
export function presetBar({ settings, load }) {
  const select = byId('preset');
  const note = byId('preset-note');
  const name = byId('preset-name');
  const form = byId('preset-form');

  select.addEventListener('change', () => {
    showTools();
    open();
  });
  byId('preset-save').addEventListener('click', () => {
    fill(note);
    form.hidden = false;
    name.value = savedName() ?? '';
    name.focus();
  });
  byId('preset-cancel').addEventListener('click', close);
  byId('preset-confirm').addEventListener('click', save);
  name.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') {
      event.preventDefault();
      save();
    } else if (event.key === 'Escape') {
      close();
    }
  });
  byId('preset-delete').addEventListener('click', remove);
  byId('preset-share').addEventListener('click', () => {
    const current = settings();
    if (!current) return;
    const title = savedName() ?? 'export';
    const text = JSON.stringify({ name: title, ...current }, null, 2);
    saveBlob(new Blob([text], { type: 'application/json' }), `${title.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-')}.preset.json`);
  });
  const file = byId('preset-file');
  byId('preset-open').addEventListener('click', () => file.click());
  file.addEventListener('change', async () => {
    const chosen = file.files?.[0];
    file.value = '';
    if (chosen) await openFile(chosen);
  });

  /** The name of the selected saved preset, or null. */
  const savedName = () => (select.value.startsWith('own:') ? select.value.slice(4) : null);

  function showTools() {
    byId('preset-delete').hidden = savedName() === null;
  }

  function close() {
    form.hidden = true;
    byId('preset-save').focus();
  }

  /** @param {string} [selected] */
  async function refresh(selected = '') {
    /** @type {ResponseBody<'get', 'presets'>['presets']} */
    let presets = [];
    try {
      ({ presets } = await get('presets'));
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404))
        fill(
          note,
          errorNotice(error, () => refresh(selected)),
        );
      else byId('preset-save').hidden = true;
    }
    const mine = presets.filter((preset) => preset.type === 'export');
    fill(
      select,
      h('option', { value: '' }, texts.presets.choose),
      h('option', { value: 'built-in' }, texts.presets.importReady),
      mine.length > 0 &&
        h(
          'optgroup',
          { label: texts.presets.saved },
          mine.map((preset) => h('option', { value: `own:${preset.name}` }, preset.name)),
        ),
    );
    select.value = selected;
    if (select.selectedIndex < 0) select.value = '';
    showTools();
  }

  async function open() {
    fill(note);
    if (select.value === 'built-in') {
      load(BUILT_IN);
      announce(texts.presets.loaded({ name: texts.presets.importReady }));
      return;
    }
    const wanted = savedName();
    if (wanted === null) return;
    try {
      const found = await get(`presets/${encodeURIComponent(wanted)}`);
      if (savedName() !== wanted) return;
      load(found);
      announce(texts.presets.loaded({ name: wanted }));
    } catch (error) {
      fill(note, errorNotice(error));
    }
  }

  async function save() {
    const wanted = name.value.trim();
    if (!wanted || wanted.length > MAX_NAME_LENGTH) {
      name.setAttribute('aria-invalid', 'true');
      fill(note, notice('error', h('p', {}, texts.presets.nameWrong({ longest: MAX_NAME_LENGTH }))));
      name.focus();
      return;
    }
    name.removeAttribute('aria-invalid');
    const current = settings();
    if (!current) return;
    const push = byId('preset-confirm');
    push.disabled = true;
    try {
      await put(`presets/${encodeURIComponent(wanted)}`, current);
      form.hidden = true;
      await refresh(`own:${wanted}`);
      fill(note, notice('info', h('p', {}, texts.presets.savedAs({ name: wanted }))));
      select.focus();
    } catch (error) {
      fill(note, errorNotice(error));
    } finally {
      push.disabled = false;
    }
  }

  function remove() {
    const wanted = savedName();
    if (wanted === null) return;
    const ask = notice(
      'warning',
      h('p', {}, texts.presets.reallyDelete({ name: wanted })),
      h(
        'div',
        { class: 'actions' },
        button(
          texts.presets.delete,
          async () => {
            try {
              await del(`presets/${encodeURIComponent(wanted)}`);
              await refresh();
              fill(note, notice('info', h('p', {}, texts.presets.deleted({ name: wanted }))));
              select.focus();
            } catch (error) {
              fill(note, errorNotice(error));
            }
          },
          { kind: 'small' },
        ),
        button(
          texts.presets.keep,
          () => {
            fill(note);
            byId('preset-delete').focus();
          },
          { kind: 'small quiet' },
        ),
      ),
    );
    fill(note, ask);
    ask.querySelector('button')?.focus();
  }

  /** @param {File} chosen */
  async function openFile(chosen) {
    fill(note);
    try {
      if (chosen.size > MAX_FILE_BYTES) throw new Error(texts.presets.notPreset({ name: chosen.name }));
      const found = JSON.parse(await chosen.text());
      const usable = found && typeof found === 'object' && !Array.isArray(found) && typeof found.format === 'string';
      if (!usable) throw new Error(texts.presets.notPreset({ name: chosen.name }));
      load(found);
      select.value = '';
      showTools();
      const saved = typeof found.name === 'string' ? found.name : chosen.name;
      name.value = saved.replace(/(\.preset)?\.json$/i, '').slice(0, MAX_NAME_LENGTH);
      fill(note, notice('info', h('p', {}, texts.presets.loaded({ name: saved }))));
    } catch {
      fill(note, notice('error', h('p', {}, texts.presets.notPreset({ name: chosen.name }))));
    }
  }

  return { refresh };
}
