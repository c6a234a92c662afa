// Types that several scripts share. The scripts refer to them in JSDoc comments; a browser never loads this file.

/** The configuration that the server writes into its pages. */
interface PageConfig {
  page: string;
  basePath: string;
  tenant: string;
  manageUrl: string;
  version: string;
  embed: boolean;
  uploadLimit: number;
  /** Pairs of expression and column name. */
  defaultColumns: [name: string, exportAs: string][];
  /** Expressions of the documented attributes. */
  attributes: string[];
  /** Names of the attributes that an import accepts. */
  importAttributes: string[];
}

/** The claims of a session token that the pages use. */
interface Claims {
  exp: number;
  sub?: string;
  email?: string;
  name?: string;
}

/** What `h` accepts as a child. `true` is absent, because it would become text. */
type Child = Node | string | number | false | null | undefined | readonly Child[];

type Listeners = { [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => unknown };

/** Attributes of a new element, and its listeners. */
interface Properties {
  on?: Listeners;
  [name: string]: string | number | boolean | null | undefined | Listeners;
}

/** A column of an export: its expression, and its name in the file. */
interface Column {
  name: string;
  export_as: string;
}

/** The form of the Export page, as it is stored in the browser. Members of an older version may be absent. */
interface ExportDraft {
  query?: string;
  connection?: string;
  columns?: Column[];
  sort?: string;
  descending?: boolean;
  format?: string;
  importReady?: boolean;
  limit?: string;
  delimiter?: string;
  bom?: boolean;
  rawCells?: boolean;
  gzip?: boolean;
  stopAtFault?: boolean;
  transforms?: { [name: string]: string };
}

/** The form of the Import page, as it is stored in the browser, without the options that change existing users. */
interface ImportDraft {
  connection?: string;
  map?: MappingRules | null;
  email?: boolean;
  dropEmpty?: boolean;
  dropUnknown?: boolean;
  dropReadOnly?: boolean;
  keepPrefix?: boolean;
  source?: string;
  encoding?: string;
  /** Separated by commas. */
  nullTexts?: string;
  query?: string;
}

/** A value in `sessionStorage`. */
interface Stored<Value> {
  read(): Value | null;
  write(value: Value | null): void;
}

/** A mapping for the API: an expression by attribute, or `'null'` by column for a column that is skipped. */
interface MappingRules {
  [name: string]: string;
}

/** A chosen file of an import, and what the server found in it. */
interface ChosenFile {
  file: File;
  inspection: Inspection | null;
  error: import('../../../server/assets/js/api.js').ApiError | null;
}

/** A suggestion for a text field. */
interface Suggestion {
  label: string;
  detail: string;
  /** The text to insert. */
  insert: string;
  /** The range of `insert` to select afterwards. */
  select?: [start: number, end: number];
  help?: () => Child;
}

/** Suggestions for a position of the caret: `from` and `to` are the range that a suggestion replaces. */
interface Suggestions {
  from: number;
  to: number;
  options: Suggestion[];
  help?: Child;
}

/** Returns the suggestions for a text and a position of the caret; null if it has none. */
type Suggest = (text: string, caret: number) => Suggestions | null;

/** A transform as its signature, its example call and its help need it: of the catalog, or from a file. */
type TransformLike = Pick<Transform, 'name' | 'parameters'>;

/** What another page has done to the form of the page that opens next. */
type Arrival = { page: 'export' | 'import'; kind: 'settings'; date: string; upsert: boolean } | { page: 'export'; kind: 'column'; name: string };

/** A remark on a search. */
type QueryRemark = import('../openapi').components['schemas']['Remark'];

/** The state of the count of matching users. */
type Count =
  | { state: 'counting' }
  | { state: 'known'; total: number; capped: boolean; remarks?: QueryRemark[] }
  | { state: 'failed'; error: import('../../../server/assets/js/api.js').ApiError };

/** Options of a request that is sent after a pause in typing, unless `now`. */
interface Timing {
  now?: boolean;
}

/** What a change of the columns was. */
interface ChangeOptions {
  typing?: boolean;
}

interface UploadOptions {
  onProgress: (done: number, total: number) => void;
  signal: AbortSignal;
}

type Timer = ReturnType<typeof setTimeout> | 0;

/** What is shown of a job that has ended. An upload that was canceled has a status only. */
interface ShownJob {
  status: Job['status'];
  type?: Job['type'];
  dry_run?: boolean;
  summary?: JobSummary | null;
  error?: ErrorBody | null;
}

// Narrower types of built-in functions.

interface NumberConstructor {
  isFinite(value: unknown): value is number;
}

interface Array<T> {
  filter(predicate: BooleanConstructor): Exclude<T, false | null | undefined | '' | 0>[];
}
