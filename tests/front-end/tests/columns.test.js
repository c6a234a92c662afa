import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { openPage, press, text, type } from './page.js';

const page = openPage();
const { columnsEditor } = await page.script('columns.js');
const { byId } = await page.script('dom.js');

const column = (name, export_as = name) => ({ name, export_as });
const list = byId('columns');
let changes = [];
// One editor for all tests, because it listens to the buttons of the page.
const editor = columnsEditor((options) => changes.push(options));

const names = () => editor.get().map(({ name }) => name);
/** The fields of the column at an index: expression and name. */
const fields = (index) => [...list.children[index].querySelectorAll('input')];
const tools = (index) => [...list.children[index].querySelectorAll('.tools button')];
const problem = (index) => text(list.children[index].querySelector('.field-error'));

beforeEach(() => {
  editor.setAnswers([]);
  editor.set([column('user.email', 'Email'), column('user.name', 'Name'), column('upper(user.name)', 'Capitals')]);
  changes = [];
});

test('columns of a stored form may lack members', () => {
  editor.set([{ name: 'user.email' }, { export_as: 'x' }, {}]);
  assert.deepEqual(editor.get(), [column('user.email'), column('', 'x'), column('', '')]);
});

test('hints and buttons depend on the number of columns', () => {
  const hidden = () => ['no-columns', 'columns-head', 'clear-columns'].map((id) => byId(id).hidden);
  assert.deepEqual(hidden(), [true, false, false]);
  editor.set([column('user.email')]);
  assert.deepEqual(hidden(), [true, false, true]);
  editor.set([]);
  assert.deepEqual(hidden(), [false, true, true]);
});

test('a new column gets the focus', () => {
  byId('add-column').click();
  assert.deepEqual(names(), ['user.email', 'user.name', 'upper(user.name)', '']);
  assert.equal(document.activeElement, fields(3)[0]);
  assert.equal(changes.length, 1);
});

test('typing changes the column and is reported as typing', () => {
  type(fields(0)[0], 'user.nickname');
  type(fields(0)[1], 'Nick');
  assert.deepEqual(editor.get()[0], column('user.nickname', 'Nick'));
  assert.deepEqual(changes, [{ typing: true }, { typing: true }]);
});

test('buttons move a column and keep the focus on it', () => {
  tools(0)[1].click();
  assert.deepEqual(names(), ['user.name', 'user.email', 'upper(user.name)']);
  assert.equal(document.activeElement, tools(1)[1]);
  tools(1)[1].click();
  assert.deepEqual(names(), ['user.name', 'upper(user.name)', 'user.email']);
  // The last column cannot move down.
  assert.equal(tools(2)[1].hasAttribute('disabled'), true);
  assert.equal(document.activeElement, tools(2)[0]);
  assert.equal(text(byId('announcer')), 'Email is now column 3');
});

test('Alt with an arrow key moves a column, except beyond the ends', () => {
  press(fields(1)[1], 'ArrowUp', { altKey: true });
  assert.deepEqual(names(), ['user.name', 'user.email', 'upper(user.name)']);
  assert.equal(document.activeElement, fields(0)[1]);
  press(fields(0)[1], 'ArrowUp', { altKey: true });
  press(fields(2)[1], 'ArrowDown', { altKey: true });
  press(fields(1)[1], 'ArrowDown');
  press(fields(1)[1], 'a', { altKey: true });
  assert.deepEqual(names(), ['user.name', 'user.email', 'upper(user.name)']);
});

test('removing a column moves the focus to its successor, at last to the add button', () => {
  tools(2)[2].click();
  assert.equal(document.activeElement, tools(1)[2]);
  tools(0)[2].click();
  assert.deepEqual(names(), ['user.name']);
  assert.equal(document.activeElement, tools(0)[2]);
  tools(0)[2].click();
  assert.deepEqual(names(), []);
  assert.equal(document.activeElement, byId('add-column'));
  assert.equal(text(byId('announcer')), 'Name removed');
});

test('all columns are removed at once', () => {
  byId('clear-columns').click();
  assert.deepEqual(names(), []);
  assert.equal(changes.length, 1);
  assert.equal(document.activeElement, byId('add-column'));
});

test('a column is found and removed by its expression, without spaces around it', () => {
  editor.add([column(' user.email ')]);
  assert.equal(editor.has('user.email'), true);
  assert.equal(editor.has('user.phone'), false);
  editor.removeExpression('user.email');
  assert.deepEqual(names(), ['user.name', 'upper(user.name)']);
});

test('usable columns have an expression and a name', () => {
  editor.set([column('', 'Empty'), column(' user.email ', ' '), column('user.name', 'Name ')]);
  assert.deepEqual(editor.usable(), [column('user.email'), column('user.name', 'Name ')]);
});

test('the kind of an expression is shown at its column', () => {
  editor.setAnswers([
    { expression: 'upper(user.name)', kind: 'transform', remarks: [] },
    { expression: 'user.name', kind: 'unknown', remarks: [] },
  ]);
  const kinds = [...list.querySelectorAll('.kind')];
  assert.deepEqual(kinds.map(text), ['', 'unknown', 'Transform']);
  assert.deepEqual(
    kinds.map(({ title }) => title),
    ['', '', 'Computed by a transform'],
  );
  assert.deepEqual(
    kinds.map(({ dataset }) => dataset.kind),
    ['', 'unknown', 'transform'],
  );
  type(fields(2)[0], 'user.x');
  assert.equal(text(kinds[2]), '');
});

test('remarks of the server are shown at the columns with the expression', () => {
  const remarks = () => [...list.querySelectorAll('.field-remark')].map(text);
  editor.setAnswers([{ expression: 'user.name', kind: 'path', remarks: ['One remark.', 'Another.'] }]);
  assert.deepEqual(remarks(), ['', 'One remark.Another.', '']);
  type(fields(1)[0], 'user.x');
  assert.deepEqual(remarks(), ['', '', '']);
});

test('a problem of the server is shown at the usable column with its index', () => {
  editor.set([column('', 'Empty'), column('user.email'), column('user.name')]);
  assert.equal(editor.setProblem(1, 'Wrong.'), true);
  assert.deepEqual([problem(0), problem(1), problem(2)], ['', '', 'Wrong.']);
  assert.equal(fields(2)[0].getAttribute('aria-invalid'), 'true');
  assert.equal(editor.setProblem(0, 'Also wrong.'), true);
  assert.deepEqual([problem(0), problem(1), problem(2)], ['', 'Also wrong.', '']);
  assert.equal(editor.setProblem(-1, ''), false);
  assert.equal(editor.setProblem(2, 'No such column.'), false);
  assert.deepEqual([problem(0), problem(1), problem(2)], ['', '', '']);
});

test('a problem of the server does not replace a problem of the form', () => {
  editor.set([column('', 'Empty'), column('user.email')]);
  editor.check();
  editor.setProblem(0, 'Wrong.');
  editor.setProblem(-1, '');
  assert.match(problem(0), /enter a user attribute/);
});

test('a check marks empty fields and returns the first', () => {
  assert.equal(editor.check(), null);
  editor.set([column('user.email'), column('', ''), column('user.name', ' ')]);
  assert.equal(editor.check(), fields(1)[0]);
  assert.match(problem(1), /attribute for this column\. Please give this column a name\./);
  assert.equal(fields(2)[1].getAttribute('aria-invalid'), 'true');
  assert.equal(fields(0)[0].hasAttribute('aria-invalid'), false);
  assert.equal(editor.check({ quiet: true }), fields(1)[0]);
  assert.equal(problem(1), '');
  assert.equal(fields(2)[1].hasAttribute('aria-invalid'), false);
});

/** A drag event at a height of the element. */
function drag(element, name, clientY = 0) {
  const event = new Event(name, { bubbles: true, cancelable: true });
  Object.assign(event, { clientY, dataTransfer: { setData() {}, setDragImage() {} } });
  element.dispatchEvent(event);
}

test('a dragged column is dropped before or after another', () => {
  // Something else is dragged over a column.
  drag(list.children[1], 'dragover', 1);
  assert.equal(list.children[1].classList.contains('drop-after'), false);
  drag(list.children[1], 'drop', 1);
  const grip = (index) => list.children[index].querySelector('.grip');
  // jsdom has no layout: each element is at 0 and has no height, so that a position above 0 is its lower half.
  drag(grip(0), 'dragstart');
  drag(list.children[2], 'dragover', 1);
  assert.equal(list.children[2].classList.contains('drop-after'), true);
  drag(list.children[2], 'drop', 1);
  assert.deepEqual(names(), ['user.name', 'upper(user.name)', 'user.email']);
  drag(grip(2), 'dragstart');
  drag(list.children[0], 'drop', 0);
  assert.deepEqual(names(), ['user.email', 'user.name', 'upper(user.name)']);
  changes = [];
  drag(list.children[0], 'drop', 1);
  drag(grip(0), 'dragstart');
  drag(list.children[0], 'drop', 1);
  assert.deepEqual(changes, []);
});

const remark = (index) => text(list.children[index].querySelector('.field-remark'));

test('a path with and without user. in front is the same column', () => {
  editor.set([column('user_id', 'Id'), column('user.email', 'Email')]);
  assert.deepEqual([editor.has('user.user_id'), editor.has('email'), editor.has('user.name')], [true, true, false]);
  editor.removeExpression('user.user_id');
  assert.deepEqual(names(), ['user.email']);
});

test('equal column names are reported at once, and refused', () => {
  editor.set([column('user.user_id', 'Id'), column('user.email', 'Email'), column('user.name', 'Id ')]);
  const same = 'Another column is called “Id” too. Please give this one a different name.';
  assert.deepEqual([remark(0), remark(1), remark(2)], [same, '', same]);
  assert.equal(editor.check(), fields(0)[1]);
  assert.deepEqual([problem(0), problem(1), problem(2)], [same, '', same]);
  assert.equal(remark(2), '', 'it is said once');
  type(fields(2)[1], 'Name');
  assert.deepEqual([remark(0), problem(0), remark(2)], ['', '', '']);
  assert.equal(editor.check(), null);
});

test('a path that no known attribute matches is reported', async () => {
  const { tenantData } = await page.script('suggest.js');
  tenantData.attributes = [{ path: 'user.email', type: 'string', share: 1, example: 'a' }];
  tenantData.documented = ['user.name'];
  editor.set([column('user.emial', 'Email'), column('user.name', 'Name')]);
  assert.deepEqual([remark(0), remark(1)], ['None of the sampled users has user.emial. Did you mean user.email?', '']);
  assert.equal(editor.check(), null, 'it is no error');
  tenantData.attributes = [];
  editor.showRemarks();
  assert.equal(remark(0), '');
});
