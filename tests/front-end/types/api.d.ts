// The bodies of the API, from the OpenAPI document (`openapi.d.ts`), and the responses by method and path. Where the
// document has an object without members, the members that the pages read are declared here; each may be absent.

type Schemas = import('../openapi').components['schemas'];
type ApiPaths = import('../openapi').paths;

type JsonObject = { [name: string]: unknown };

/** The result of a job. An export has `rows` and `faults`, an import the rest. */
interface JobSummary {
  rows?: number;
  faults?: number;
  first_faults?: string[];
  total?: number;
  inserted?: number;
  updated?: number;
  failed?: number;
  inputs?: Schemas['InputFormat'][];
  hashes?: { joined: number; read: number };
  look_up?: { inserted: number; updated: number; refused: number };
  backup?: { users: number };
  reasons?: Reason[];
}

type Reason = Schemas['Reason'];

/** The settings that a job was started with. */
interface JobSettings extends Partial<Omit<Schemas['ExportRequest'], 'connection_id'>> {
  connection_id?: string | null;
  upsert?: boolean;
  backup?: boolean;
  send_completion_email?: boolean;
  keep_id_prefix?: boolean;
  drop_read_only?: boolean;
  drop_empty?: boolean;
  drop_unknown?: boolean;
  source?: string | null;
  encoding?: string | null;
  null?: string[];
  map?: { attribute: string; expression: string }[] | { [attribute: string]: string } | null;
}

interface JobView extends Omit<Schemas['JobView'], 'summary' | 'settings'> {
  summary?: JobSummary | null;
  settings?: JobSettings | null;
}

interface HistoryEntry extends Omit<Schemas['HistoryEntry'], 'summary'> {
  summary?: JobSummary | null;
}

/** What an entry of the history and a job have in common. */
type Job = JobView | HistoryEntry;

interface Checked extends Omit<Schemas['Checked'], 'users' | 'left_out'> {
  users: JsonObject[];
  left_out?: number;
}

interface Inspection extends Omit<Schemas['Inspection'], 'checked' | 'source' | 'sources' | 'remarks'> {
  checked?: Checked | null;
  source?: SourceName | null;
  sources?: SourceName[];
  remarks?: QueryRemark[];
}

/** A system whose exports are converted. */
interface SourceName {
  name: string;
  title: string;
}

/** A line of the error report of an import. */
interface ReportRow {
  line?: number;
  row?: number;
  file?: string | null;
  user?: { [attribute: string]: unknown };
  errors?: ReportError[];
}

interface ReportError {
  code?: string;
  message?: string;
  path?: string | null;
  hint?: string | null;
}

type Attribute = Omit<Schemas['Attribute'], 'type'> & { type: Schemas['AttributeType'] | '' };
type Connection = Schemas['Connection'];
type ErrorBody = Schemas['ErrorBody'];
type ExportRequest = Schemas['ExportRequest'];
type Parameter = Schemas['ParameterView'];
type Preview = Schemas['Preview'];
type SessionInfo = Schemas['SessionInfo'];
type Transform = Schemas['TransformView'];

/** A value of the API with the members that the OpenAPI document leaves out. */
type Refined<T> = T extends Schemas['JobView']
  ? JobView
  : T extends Schemas['HistoryView']
    ? { jobs: HistoryEntry[] }
    : T extends Schemas['Inspection']
      ? Inspection
      : T extends { [name: string]: never }
        ? JsonObject
        : T;

/** A path of the API below `/api/` without its query. */
type WithoutQuery<Path extends string> = Path extends `${infer Start}?${string}` ? Start : Path;

/** `jobs/{id}/report` as the type of such paths. */
type Pattern<Path> = Path extends `${infer Start}{${string}}${infer Rest}` ? `${Start}${string}${Pattern<Rest>}` : Path;

/** The key of a path in the OpenAPI document; `never` if it is not in there. */
type Documented<Path extends string> = {
  [Key in keyof ApiPaths]: Key extends `/api/${infer Rest}`
    ? [WithoutQuery<Path>, Pattern<Rest>] extends [Pattern<Rest>, WithoutQuery<Path>]
      ? Key
      : never
    : never;
}[keyof ApiPaths];

type Method = 'get' | 'post' | 'put' | 'delete';

/** The JSON body of the successful response to a request. */
type ResponseBody<M extends Method, Path extends string> = ApiPaths[Documented<Path>] extends infer Item
  ? M extends keyof Item
    ? Item[M] extends { responses: { 200: { content: { 'application/json': infer Body } } } }
      ? Refined<Body>
      : Item[M] extends { responses: { 201: { content: { 'application/json': infer Body } } } }
        ? Refined<Body>
        : never
    : never
  : never;

/** The JSON body of a request; `undefined` if it has none. */
type RequestBody<M extends Method, Path extends string> = ApiPaths[Documented<Path>] extends infer Item
  ? M extends keyof Item
    ? Item[M] extends { requestBody: { content: { 'application/json': infer Body } } }
      ? Refined<Body>
      : undefined
    : never
  : never;

/** The paths below `/api/` that have this method. Makes a misspelt path an error. */
type PathOf<M extends Method, Path extends string> = ResponseOrEmpty<M, Path> extends never ? never : Path;
type ResponseOrEmpty<M extends Method, Path extends string> = ApiPaths[Documented<Path>] extends infer Item
  ? M extends keyof Item
    ? Item[M] extends undefined
      ? never
      : true
    : never
  : never;
