// Generated from the OpenAPI document by generate.js; see README.md. Do not edit.

export interface paths {
    "/api/about": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns the server's version and limits, and the permissions of the session. */
        get: operations["about_read"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/attributes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns the attribute paths of the newest users, each with its type, the share of users that have it, and an
         *     example.
         */
        get: operations["attributes_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/connections": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns all connections of the tenant, sorted by name.
         * @description Any non-empty `strategy` means `auth0`, as in the original extension (docs/auth0/original-extension.md#routes).
         */
        get: operations["connections_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/history": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns the newest 200 jobs, the oldest of them first, because the original extension's client reverses the list. */
        get: operations["history_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/import/inspect": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Inspects a file, or its beginning, before an import: format, columns with suggested attributes, first rows, and
         *     their errors with the given mapping. Nothing is stored, and no request is sent to the tenant.
         */
        post: operations["jobs_inspect"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Starts an export. */
        post: operations["jobs_start_export"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/import": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Starts an import, or with `dry_run` only checks the file. Also needs `create:users`, except for a dry run. */
        post: operations["jobs_start_import"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns a job and its progress, for a completed export with a download link that is valid for 60 seconds. */
        get: operations["jobs_read"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{id}/backup": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns the backup of an import with `upsert` and `backup`: a JSON array of the users as they were before the
         *     import, which can be imported again with upsert.
         */
        get: operations["jobs_backup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Cancels a job. */
        post: operations["jobs_cancel"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{id}/download": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns the file of a completed export. Needs no `Authorization` header but a ticket, which is part of the job's
         *     `location`.
         */
        get: operations["jobs_download"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{id}/report": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns the failed rows of an import with their errors, or with `format` only the rows, as a file that can be
         *     imported again.
         */
        get: operations["jobs_report"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{id}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Resumes a failed or canceled job. Also needs `create:users` for an import, except for a dry run. */
        post: operations["jobs_resume"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{id}/retry": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Imports the failed rows of a completed import again, as a new job with the same settings: without a body the
         *     original rows, otherwise the rows of the multipart part `users`. Also needs `create:users`, except for a dry run.
         */
        post: operations["jobs_retry"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/presets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns all presets of the tenant. */
        get: operations["presets_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/presets/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns the settings of a preset as they were saved. */
        get: operations["presets_read"];
        /** Saves the settings of an export (`POST /api/jobs/export`), or with `"type": "import"` those of an import. */
        put: operations["presets_write"];
        post?: never;
        /** Deletes a preset. */
        delete: operations["presets_remove"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/preview": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Returns the first rows of an export: 10, or with `limit` up to 50, in no particular order. A cell that cannot be
         *     computed has an error. `format` is optional.
         */
        post: operations["preview_compute"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns all sessions of this server that can be used now, the admin's own sessions first. */
        get: operations["sessions_list"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/sessions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Ends a session and its download links at once. `everywhere` ends all sessions of its admin. Running jobs are not
         *     canceled.
         */
        delete: operations["sessions_end"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/transforms": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns all transforms: the shipped ones, those in `TRANSFORMS_DIR`, and uploads. */
        get: operations["transforms_list"];
        put?: never;
        /**
         * Uploads a transform: a `.wasm` file as the body. It is validated and its examples are run before it is stored. If a
         *     transform with this name was uploaded before, the upload becomes its new active version; earlier versions stay
         *     available to saved settings and jobs that use them. The validation is canceled when the connection is closed.
         */
        post: operations["transforms_upload"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/transforms/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Removes an uploaded transform with all its versions, or with `sha256` one version of it. Running jobs can still use
         *     it; saved settings that need it cannot be used any more.
         */
        delete: operations["transforms_remove"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/transforms/{name}/active": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Activates an uploaded version of a transform, which new expressions then call. */
        put: operations["transforms_activate"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Counts the users that match a query, of one connection or of all. The error for an invalid query shows its position. */
        get: operations["users_count"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Reports that the process answers. */
        get: operations["health_alive"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns the metrics in the text format of Prometheus. With a public URL they need `METRICS_TOKEN`; otherwise
         *     programs on the server's machine can read them without it.
         */
        get: operations["metrics_read"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Reports whether the process is ready: the database answers, DATA_DIR is writable, and the server is not stopping. */
        get: operations["health_ready"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description The server and the session of the request. */
        About: {
            /** @description Limits from the settings. */
            limits: components["schemas"]["AboutLimits"];
            /** @description How admins sign in: `extension` or `tenant`. */
            login: string;
            /** @description `single`: one process serves all requests. */
            mode: string;
            /** @description What the session may do: scopes of the Management API. */
            permissions: string[];
            /** @description Host name of the machine. */
            replica: string;
            /** @description The session of this request. */
            session: components["schemas"]["AboutSession"];
            /** @description The tenant whose users are exported and imported. */
            tenant: string;
            /** @description Version of the server. */
            version: string;
        };
        /** @description Limits of the server. */
        AboutLimits: {
            /**
             * Format: int64
             * @description How long files of jobs are kept, seconds (`ARTIFACT_TTL`).
             */
            artifact_ttl_seconds: number;
            /**
             * Format: int64
             * @description How long the history is kept, seconds (`HISTORY_TTL`).
             */
            history_ttl_seconds: number;
            /** @description Maximum number of unfinished jobs of one admin. */
            jobs: number;
            /**
             * Format: int64
             * @description Maximum size of a JSON body in bytes.
             */
            json_bytes: number;
            /** @description Maximum number of concurrent downloads (reports, backups and exported files) of one admin. */
            reads: number;
            /**
             * Format: int64
             * @description Memory of one transform in bytes (`SANDBOX_MEMORY`).
             */
            sandbox_memory_bytes: number;
            /**
             * Format: int64
             * @description Execution time of a transform per row in milliseconds (`SANDBOX_TIMEOUT`).
             */
            sandbox_timeout_ms: number;
            /**
             * Format: int64
             * @description Maximum size of an upload in bytes (`UPLOAD_LIMIT`).
             */
            upload_bytes: number;
            /** @description Maximum number of concurrent uploads of one admin. */
            uploads: number;
        };
        /** @description The session of the request. */
        AboutSession: {
            /**
             * Format: date-time
             * @description When the session expires at the latest.
             */
            expires_at: string;
            /** @description Id of the session, which is not its token. */
            id: string;
            /**
             * Format: int64
             * @description Idle time in seconds after which the session ends (`SESSION_IDLE_TIMEOUT`).
             */
            idle_timeout_seconds: number;
        };
        /** @description The version to activate. */
        ActiveVersion: {
            /** @description SHA-256 of its file, in hexadecimal. */
            sha256: string;
        };
        /** @description An attribute that some users have. */
        Attribute: {
            /** @description The value of one of the users; long values are cut. */
            example: unknown;
            /** @description Its path as an expression, such as `user.app_metadata.plan`. */
            path: string;
            /**
             * Format: double
             * @description The share of users in which it is present and not null, from 0 to 1.
             */
            share: number;
            /** @description The type of its values. */
            type: components["schemas"]["AttributeType"];
        };
        /**
         * @description The type of an attribute's values.
         * @enum {string}
         */
        AttributeType: "string" | "date" | "number" | "boolean" | "object" | "array" | "mixed";
        /** @description The attributes of a sample of users. */
        Attributes: {
            /** @description Their attributes, in the order of the original extension's columns, then by the number of users that have them. */
            attributes: components["schemas"]["Attribute"][];
            /** @description Number of users in the sample, which are the newest. */
            users: number;
        };
        /** @description The size and duration of an earlier export of all users. */
        Before: {
            /**
             * Format: int64
             * @description Time from the request to the finished file, in seconds.
             */
            seconds: number;
            /**
             * Format: int64
             * @description Number of exported users.
             */
            users: number;
        };
        /** @description Result of the check of the inspected rows with the given mapping. */
        Checked: {
            /**
             * Format: int64
             * @description Rows with errors.
             */
            failed: number;
            /** @description The first row errors and warnings. */
            faults: components["schemas"]["RowFault"][];
            /**
             * Format: int64
             * @description Rows without errors.
             */
            good: number;
            /**
             * Format: int64
             * @description Rows that the query does not match; absent if there are no such rows.
             */
            left_out?: number;
            /** @description Errors and warnings by reason, errors and frequent ones first. */
            reasons: components["schemas"]["Reason"][];
            /** @description The first users as they would be sent, with secrets hidden. */
            users: Record<string, never>[];
            /**
             * Format: int64
             * @description Number of warnings.
             */
            warnings: number;
        };
        /**
         * @description The members of a connection that the API lists and that an import needs. Other options are never kept, because they
         *     may hold scripts and secrets (docs/auth0/management-api.md#value-patterns).
         */
        Connection: {
            /** @description `con_` and 16 letters or digits. */
            id: string;
            /** @description The connection's name. */
            name: string;
            /** @description `auth0` for databases. */
            strategy: string;
            /** @description Why users cannot be imported into the connection; absent if they can be. */
            unusable?: string | null;
        };
        /**
         * @description What does a part of the work.
         * @enum {string}
         */
        Decider: "auth0" | "here";
        /** @description The JSON body of an error response (docs/decisions/0013-http-errors.md), also stored with a failed job. */
        ErrorBody: {
            /** @description Reason phrase, or the name that the login of the original extension defines. */
            error: string;
            /** @description Stable code; the code of Auth0 if Auth0 refused the request. */
            errorCode: string;
            /** @description The field of the request that is wrong, with the index in a list: `fields[2].name`. */
            field?: string | null;
            /** @description What to do about it. */
            hint?: string | null;
            /** @description What happened, with the thing and its value. */
            message: string;
            /**
             * Format: int32
             * @description HTTP status.
             */
            statusCode: number;
        };
        /** @description An example call and its result. */
        ExampleView: {
            /** @description The call as an expression whose arguments are literals. */
            call: string;
            /** @description Its result, as in a JSON file. */
            gives: unknown;
        };
        /** @description The body of `POST /api/jobs/export`. The command line creates it too. */
        ExportRequest: {
            /** @description CSV: start with a byte-order mark. */
            bom?: boolean;
            /** @description Only users of this connection. */
            connection_id?: string | null;
            /** @description CSV: one ASCII character between cells. */
            delimiter?: string | null;
            /** @description Columns; without them whole users are exported, or the default columns in CSV. */
            fields?: components["schemas"]["FieldRequest"][] | null;
            /** @description Output format. */
            format: components["schemas"]["Format"];
            /** @description Compress the file. */
            gzip?: boolean;
            /**
             * Format: int64
             * @description Maximum number of users.
             */
            limit?: number | null;
            /** @description What to do with a row if one of its cells cannot be computed. */
            on_error?: components["schemas"]["OnError"];
            preset?: components["schemas"]["Preset"] | null;
            /** @description Only users that match this Lucene query. */
            query?: string | null;
            /** @description CSV: do not guard cells that spreadsheets would interpret as formulas. */
            raw_cells?: boolean;
            sort?: components["schemas"]["SortRequest"] | null;
            /**
             * @description Versions of transforms: the SHA-256 of the file, by name. Transforms that are not listed use their active
             *     version.
             */
            transforms?: {
                [key: string]: string;
            };
        };
        /** @description A column of a request; `name` is an expression. */
        FieldRequest: {
            /** @description The column's name; the expression itself when absent. */
            export_as?: string | null;
            /** @description The expression. */
            name: string;
        };
        /**
         * @description Output format.
         * @enum {string}
         */
        Format: "csv" | "json" | "ndjson";
        /** @description An entry of the history (docs/auth0/original-extension.md#routes). */
        HistoryEntry: {
            /** @description E-mail address of the user who started the job, or their `sub` if the address is not known. */
            by: string;
            /** @description Name of the connection; absent if none was chosen. */
            connection?: string | null;
            /**
             * Format: date-time
             * @description When it was created.
             */
            date: string;
            /** @description Whether an import only checks its rows. */
            dry_run?: boolean;
            error?: components["schemas"]["ErrorBody"] | null;
            /** @description Output format of an export; absent for an import. */
            format?: string | null;
            /** @description `job_` and 16 letters or digits. */
            id: string;
            /** @description Its state. */
            status: components["schemas"]["JobState"];
            /** @description The counts of the result; empty while it runs. */
            summary: Record<string, never>;
            /** @description `import` or `export`. */
            type: components["schemas"]["JobKind"];
        };
        /** @description The history. */
        HistoryView: {
            /** @description The latest 200 jobs, oldest first. */
            jobs: components["schemas"]["HistoryEntry"][];
        };
        /** @description The parts of an import's form. */
        ImportForm: {
            /**
             * @description With `upsert`: before the import, store a backup of the existing users, which can be imported again with upsert.
             *     `GET /api/jobs/{id}/backup` returns it.
             * @default false
             */
            backup: boolean | null;
            /** @description Id of the database connection. */
            connection_id: string;
            /**
             * @description Omit attributes without content (`null`, `""`, `{}`, `[]`), and members of metadata that are `null` or `""`.
             * @default false
             */
            drop_empty: boolean | null;
            /**
             * @description Omit attributes that Auth0 sets itself (`created_at`, `identities`, `last_login`, …), so that an export of
             *     complete users can be imported.
             * @default false
             */
            drop_read_only: boolean | null;
            /**
             * @description Omit columns and attributes that Auth0 does not know, with a warning for each name.
             * @default false
             */
            drop_unknown: boolean | null;
            /**
             * @description Only check the file; send nothing to Auth0.
             * @default false
             */
            dry_run: boolean | null;
            /**
             * @description The encoding of the files, such as `Shift_JIS` or `windows-1251`; detected if absent. A byte order mark has
             *     precedence.
             */
            encoding?: string | null;
            /** @description Text that Auth0 repeats in its jobs. */
            external_id?: string | null;
            /**
             * @description With `dry_run`: look up in the tenant which users exist, and report in `summary.look_up` what would happen to
             *     the rows. Few users are looked up by e-mail address, many with one export of the connection.
             * @default false
             */
            look_up: boolean | null;
            /**
             * @description Attributes computed from a row, as JSON: `{"name": "user[\"Full name\"]"}`. Each expression is a path, a
             *     transform call, or JavaScript. The expression `null` omits a column or attribute.
             */
            map?: string | null;
            /** @description A text such as `NULL`: cells and strings that are exactly this text are absent. The part may be repeated. */
            null?: string[] | null;
            /** @description Import only the rows that match this search query, in Auth0's syntax. It sees the row after the mapping. */
            query?: string | null;
            /**
             * @description Send an e-mail to the tenant's owners at the end.
             * @default false
             */
            send_completion_email: boolean | null;
            /**
             * @description The system whose export the files are, such as `cognito`; `none` if their attributes are those of Auth0. Without
             *     it, each file is recognized by its content. `POST /api/import/inspect` lists the sources.
             */
            source?: string | null;
            /**
             * @description Pinned versions of transforms: a JSON object with the SHA-256 of the file for each name. Other transforms are
             *     used in their active version.
             */
            transforms?: string | null;
            /**
             * @description Update existing users, matched by e-mail address; their metadata is replaced.
             * @default false
             */
            upsert: boolean | null;
            /**
             * Format: binary
             * @description The file: a JSON array of users, NDJSON or CSV, also compressed with gzip. Several parts with this name are one
             *     import; one of them may be Auth0's export of password hashes.
             */
            users: string;
        };
        /** @description Format of a file, detected from its content. */
        InputFormat: {
            /** @description The delimiter of a CSV file. */
            delimiter?: string | null;
            /** @description Name of the encoding in the WHATWG Encoding Standard: `UTF-8`, `Shift_JIS`. */
            encoding: string;
            /** @description Whether the encoding was guessed from the text, which may be wrong. */
            encoding_guessed?: boolean;
            /** @description Name of the file; present only if the import has several files. */
            file?: string | null;
            /** @description `json`, `ndjson`, `csv` or `ldif`; `password-hashes` for Auth0's export of them. */
            format: string;
            /** @description The file is compressed. */
            gzip: boolean;
            /** @description Name of the source whose export it is, chosen or detected; absent if its attributes are those of Auth0. */
            source?: string | null;
            /**
             * Format: int64
             * @description Number of sequences of bytes that are no characters of the encoding, and were replaced by U+FFFD.
             */
            undecodable?: number;
        };
        /** @description The parts of the form of an inspection. */
        InspectForm: {
            /**
             * @description As for an import.
             * @default false
             */
            drop_empty: boolean | null;
            /**
             * @description As for an import.
             * @default false
             */
            drop_read_only: boolean | null;
            /**
             * @description As for an import.
             * @default false
             */
            drop_unknown: boolean | null;
            encoding?: string | null;
            /**
             * @description As for an import.
             * @default false
             */
            keep_id_prefix: boolean | null;
            /** @description As for an import. */
            map?: string | null;
            /** @description As for an import. */
            null?: string[] | null;
            /**
             * @description Whether the part `users` is only the beginning of the file.
             * @default false
             */
            partial: boolean | null;
            /** @description As for an import. */
            query?: string | null;
            /** @description As for an import. */
            source?: string | null;
            /**
             * @description Pinned versions of transforms: a JSON object with the SHA-256 of the file for each name. Other transforms are
             *     used in their active version.
             */
            transforms?: string | null;
            /**
             * @description As for an import: adds warnings about what an upsert does not change and what it replaces.
             * @default false
             */
            upsert: boolean | null;
            /**
             * Format: binary
             * @description The file, or its first 4 MiB.
             */
            users: string;
        };
        /** @description A column of CSV, or a root attribute of JSON. */
        InspectedColumn: {
            /** @description The attribute that it becomes without a mapping: a path such as `app_metadata.plan`. */
            attribute?: string | null;
            /** @description The first distinct values, shortened, with secrets hidden. */
            examples: string[];
            /** @description The expression that reads it in a mapping. */
            expression: string;
            /**
             * Format: int64
             * @description Number of rows with a value.
             */
            filled: number;
            /** @description Its name in the file; empty for a column without one. */
            name: string;
            /**
             * @description The suggested attribute if the name is not one: the most similar attribute, or else a key in metadata. Absent
             *     for secrets, unless `password_hash` takes them.
             */
            proposal?: string | null;
            /**
             * @description Its attribute, if it is one that Auth0 sets itself. Such columns of CSV are skipped; those of JSON must be
             *     dropped with `drop_read_only`.
             */
            read_only?: string | null;
        };
        /** @description A row of the file. */
        InspectedRow: {
            /**
             * Format: int64
             * @description Physical line where it starts, from 1.
             */
            line: number;
            /** @description A value for each column, null if absent; secrets are hidden. */
            values: unknown[];
        };
        /** @description Result of inspecting the beginning of a file. */
        Inspection: {
            checked?: components["schemas"]["Checked"] | null;
            /** @description The columns, in the order of the file. */
            columns: components["schemas"]["InspectedColumn"][];
            /** @description Whether the file has no further rows. */
            complete: boolean;
            /** @description Format, encoding, delimiter, compression. */
            input: components["schemas"]["InputFormat"];
            problem?: components["schemas"]["ErrorBody"] | null;
            /**
             * @description The suggested mapping in the form of `map`: `{"email": "user.Mail"}`. If several columns suggest the same
             *     attribute, the first one gets it.
             */
            proposed_map: Record<string, never>;
            /** @description Remarks on the query that its author may not expect; absent if there is no remark. */
            remarks?: components["schemas"]["Remark"][];
            /**
             * Format: int64
             * @description Number of inspected rows.
             */
            rows: number;
            /** @description The first rows. */
            sample: components["schemas"]["InspectedRow"][];
            source?: components["schemas"]["SourceName"] | null;
            /** @description All sources that can be chosen. */
            sources: components["schemas"]["SourceName"][];
        };
        /**
         * @description What a job does.
         * @enum {string}
         */
        JobKind: "import" | "export";
        /**
         * @description The state of a job.
         * @enum {string}
         */
        JobState: "pending" | "processing" | "completed" | "failed" | "canceled" | "expired";
        /**
         * @description The type of a job, named as in Auth0's API.
         * @enum {string}
         */
        JobType: "users_import" | "users_export";
        /** @description A job. */
        JobView: {
            /** @description E-mail address of the user who started the job, or their `sub` if the address is not known. */
            by: string;
            /** @description Name of the connection; absent if none was chosen. */
            connection?: string | null;
            /** @description Id of the connection; absent if none was chosen. */
            connection_id?: string | null;
            /**
             * Format: date-time
             * @description When it was created.
             */
            created_at: string;
            /** @description What the job is doing or waiting for, as text for users. */
            details?: string | null;
            /** @description Whether an import only checks its rows. */
            dry_run?: boolean;
            error?: components["schemas"]["ErrorBody"] | null;
            /** @description The external id of an import, chosen by its creator. */
            external_id?: string | null;
            /** @description Output format of an export; absent for an import. */
            format?: string | null;
            /** @description `job_` and 16 letters or digits. */
            id: string;
            /** @description URL of the file of a finished export. It is valid for 60 seconds and needs no Authorization header. */
            location?: string | null;
            parts?: components["schemas"]["Parts"] | null;
            /**
             * Format: int64
             * @description Percentage that is done, 0 to 100: of the rows or, if their number is not known, of the bytes of the file;
             *     null while neither is known.
             */
            percentage_done?: number | null;
            /**
             * Format: int64
             * @description Rows done.
             */
            processed: number;
            /**
             * Format: double
             * @description Rows per second over the last two minutes; null if there was no progress.
             */
            rate?: number | null;
            /** @description The request with secrets masked, to start the same job again. */
            settings: Record<string, never>;
            /** @description Its state. */
            status: components["schemas"]["JobState"];
            /** @description The counts of the result; absent while the job runs. */
            summary?: Record<string, never>;
            /**
             * Format: int64
             * @description Estimated from the rate of the last two minutes; null without a rate.
             */
            time_left_seconds?: number | null;
            /**
             * Format: int64
             * @description Number of rows; null while it is not known.
             */
            total?: number | null;
            /** @description Import or export. */
            type: components["schemas"]["JobType"];
        };
        /**
         * @description The kind of an expression, as the UI and `/api/preview` name it.
         * @enum {string}
         */
        Kind: "path" | "transform" | "javascript";
        /** @description Limits of a transform. */
        LimitsView: {
            /**
             * Format: int64
             * @description Size of a file in bytes.
             */
            file: number;
            /**
             * Format: int64
             * @description Memory in bytes.
             */
            memory: number;
            /**
             * Format: int64
             * @description Size of one result in bytes.
             */
            result: number;
            /**
             * Format: int64
             * @description Stack size in bytes.
             */
            stack: number;
            /**
             * Format: int64
             * @description Execution time per row in milliseconds.
             */
            time_ms: number;
        };
        /** @description The first matching user and the number of matching users. */
        Matches: {
            /**
             * @description True if there may be more users than `total`, otherwise absent: Auth0 stops counting at 1000, and for a query
             *     that this server evaluates only one page of users was searched.
             */
            capped?: boolean;
            /**
             * Format: int64
             * @description Users on this page.
             */
            length: number;
            /**
             * Format: int64
             * @description Page size.
             */
            limit: number;
            /** @description Remarks on the query: how a part of it was read, and probable typing errors. Empty lists are left out. */
            remarks?: components["schemas"]["Remark"][];
            /**
             * Format: int64
             * @description Index of the first user.
             */
            start: number;
            /**
             * Format: int64
             * @description Number of matching users, as far as it is known.
             */
            total: number;
            /** @description At most one user, as returned by Auth0. */
            users: Record<string, never>[];
        };
        /**
         * @description What to do with a row if one of its cells cannot be computed.
         * @enum {string}
         */
        OnError: "empty" | "fail";
        /**
         * @description Where a transform comes from.
         * @enum {string}
         */
        Origin: "shipped" | "file" | "upload";
        /** @description A parameter of a transform. */
        ParameterView: {
            /** @description Its description. */
            description: string;
            /** @description Its name. */
            name: string;
            /** @description Whether it accepts missing values. */
            optional: boolean;
            /** @description Whether it must be given as `secret("NAME")`; its value is never shown. */
            secret: boolean;
            /** @description Its type: boolean, number, text, json, user or any. */
            type: string;
        };
        /** @description The parts of an import by state. Each part is sent as one Auth0 job. */
        Parts: {
            /**
             * Format: int64
             * @description Parts that Auth0 has finished.
             */
            done: number;
            /**
             * Format: int64
             * @description Parts that were rejected or failed as a whole.
             */
            failed: number;
            /**
             * Format: int64
             * @description Parts that Auth0 is processing.
             */
            sent: number;
            /**
             * Format: int64
             * @description All parts.
             */
            total: number;
        };
        /** @description A line of a plan. */
        PlanLine: {
            /** @description Its text. */
            text: string;
            /** @description Its subject; empty if it continues the previous line. */
            title: string;
        };
        /** @description A plan in the API. */
        PlanView: {
            before?: components["schemas"]["Before"] | null;
            /** @description True if Auth0 stopped counting at `users`; absent otherwise. */
            capped?: boolean;
            filtered?: components["schemas"]["Decider"] | null;
            /** @description The plan as text. */
            lines: components["schemas"]["PlanLine"][];
            /**
             * Format: int64
             * @description Minimum number of requests to Auth0's Management API.
             */
            requests?: number | null;
            sorted?: components["schemas"]["Decider"] | null;
            /** @description Where the users come from. */
            source: components["schemas"]["SourceKind"];
            /**
             * Format: int64
             * @description How many users are read; null if that is not known.
             */
            users?: number | null;
        };
        /**
         * @description A predefined set of columns.
         * @enum {string}
         */
        Preset: "import";
        /** @description The list of presets. */
        PresetList: {
            /** @description The presets, sorted by name. */
            presets: components["schemas"]["PresetView"][];
        };
        /** @description An entry of the list of presets. */
        PresetView: {
            /** @description Its name. */
            name: string;
            /** @description Whether it is for exports or imports. */
            type: components["schemas"]["JobKind"];
            /**
             * Format: date-time
             * @description When it was last saved.
             */
            updated_at: string;
        };
        /** @description The first few rows of an export. */
        Preview: {
            /** @description The columns; a single one named `user` if whole users are exported. */
            columns: components["schemas"]["PreviewColumn"][];
            /** @description How the export would be carried out. */
            plan: components["schemas"]["PlanView"];
            /** @description A row for each user, with a cell for each column. */
            rows: components["schemas"]["PreviewCell"][][];
            /** @description Remarks about the sort expression; absent without any. */
            sort_remarks?: string[];
            /**
             * Format: int64
             * @description Number of users that match; Auth0 stops counting at 1000.
             */
            users: number;
        };
        /** @description A cell of a preview. */
        PreviewCell: {
            /** @description Its value; `null` if it is empty. */
            value: unknown;
        } | {
            /** @description Why it cannot be computed. */
            error: string;
        };
        /** @description A column of a preview. */
        PreviewColumn: {
            /** @description Kind of its expression. */
            kind: components["schemas"]["Kind"];
            /** @description Its name. */
            name: string;
            /** @description Remarks about its expression, such as an attribute that no user has; absent without any. */
            remarks?: string[];
        };
        /** @description A file that is not in the catalog, and the reason. */
        Problem: {
            /** @description The file's name. */
            file: string;
            /** @description How to fix it. */
            hint: string;
            /** @description Why it is not in the catalog. */
            message: string;
        };
        /** @description A kind of error or warning, and how often it occurs. */
        Reason: {
            /** @description The affected attribute, with `[]` in place of every index; `None` if whole rows are affected. */
            attribute?: string | null;
            /** @description Error code. */
            code: string;
            /**
             * Format: int64
             * @description Number of occurrences.
             */
            count: number;
            /** @description Hint of the first occurrence. */
            hint?: string | null;
            /** @description The first affected lines, without repetition. */
            lines: number[];
            /** @description Message of the first occurrence. */
            message: string;
            /** @description Error or warning. */
            severity: components["schemas"]["Severity"];
        };
        /** @description A remark on a valid query, for its author. */
        Remark: {
            /** @description How a part was read, or what is probably a typing error. */
            message: string;
            /** @description True if the query probably finds more users than its author expects; absent otherwise. */
            widens?: boolean;
        };
        /** @description The form of a retry. */
        RetryForm: {
            /**
             * Format: binary
             * @description The corrected rows.
             */
            users: string;
        };
        /** @description What is wrong with a row: a line of `--report`. */
        RowFault: {
            /** @description The attribute's path; `None` if the whole row is affected. */
            attribute?: string | null;
            /** @description Stable code: Auth0's own where one fits (docs/auth0/import-schema.md#error-codes), or what Auth0 reported. */
            code: string;
            /** @description Name of the file; present only if the import has several files. */
            file?: string | null;
            /** @description How to fix it. */
            hint?: string | null;
            /**
             * Format: int64
             * @description Physical line where the row starts, from 1; 0 if Auth0 reported a user that matches no row.
             */
            line: number;
            /** @description What is wrong. */
            message: string;
            /**
             * Format: int64
             * @description Number of the row, from 1, counted through all files of the import; 0 as above, and for problems of a whole
             *     file.
             */
            row: number;
            /** @description Error or warning. */
            severity: components["schemas"]["Severity"];
            /** @description The value; secrets are replaced by asterisks. */
            value?: unknown;
        };
        /** @description A session in the API's list of sessions. */
        SessionInfo: {
            /**
             * Format: date-time
             * @description When the admin signed in.
             */
            created_at: string;
            /** @description Whether it is the session of this request. */
            current: boolean;
            /** @description E-mail address, if known. */
            email?: string | null;
            /**
             * Format: date-time
             * @description When the session expires at the latest.
             */
            expires_at: string;
            /** @description Id of the session, which is not its token. */
            id: string;
            /**
             * Format: date-time
             * @description When the session was last used, to the minute.
             */
            last_seen_at: string;
            /** @description How the admin signed in: `extension` or `tenant`. */
            login: string;
            /** @description What the session may do: scopes of the Management API. */
            permissions: string[];
            /** @description `sub` of the admin. */
            subject: string;
        };
        /** @description Sessions that can be used now. */
        SessionList: {
            /** @description The admin's own sessions first, then the newest first. */
            sessions: components["schemas"]["SessionInfo"][];
        };
        /**
         * @description Severity of a row error.
         * @enum {string}
         */
        Severity: "error" | "warning";
        /** @description The order of rows. */
        SortRequest: {
            /** @description The expression to sort by. */
            by: string;
            /** @description Largest first. Missing values are last in both orders. */
            descending?: boolean;
        };
        /**
         * @description Where users come from.
         * @enum {string}
         */
        SourceKind: "file" | "search" | "split_search" | "job";
        /** @description A source in a list to choose from. */
        SourceName: {
            /** @description Its name in `--source`. */
            name: string;
            /** @description Its name for people. */
            title: string;
        };
        /** @description The available transforms. */
        TransformList: {
            /** @description The limits of each transform. */
            limits: components["schemas"]["LimitsView"];
            /** @description Ignored files, with the reason. */
            problems: components["schemas"]["Problem"][];
            /** @description The transforms, sorted by name. */
            transforms: components["schemas"]["TransformView"][];
            /** @description Whether transforms can be uploaded, and uploaded transforms are used. */
            uploads: boolean;
        };
        /** @description A transform that columns may call. */
        TransformView: {
            /** @description Version of the WIT contract that it implements. */
            contract: string;
            /** @description Its documentation, Markdown. */
            documentation: string;
            /** @description Example calls and their results. */
            examples: components["schemas"]["ExampleView"][];
            /** @description The name in expressions. */
            name: string;
            /** @description Its origin. */
            origin: components["schemas"]["Origin"];
            /** @description Type of its result: boolean, number, text, json, user or any. */
            output: string;
            /** @description Its parameters, in order. */
            parameters: components["schemas"]["ParameterView"][];
            /** @description SHA-256 of its file, in hexadecimal. */
            sha256: string;
            /**
             * Format: int64
             * @description Size of its file in bytes.
             */
            size: number;
            /** @description What it does, in one sentence. */
            summary: string;
            /** @description Its version. */
            version: string;
            /**
             * @description All stored versions of an uploaded transform, oldest first. Saved settings and jobs keep the version that was
             *     active when they were saved or started.
             */
            versions: components["schemas"]["VersionView"][];
        };
        /** @description A version of an uploaded transform. */
        VersionView: {
            /** @description Whether new expressions call this version. */
            active: boolean;
            /** @description SHA-256 of its file, in hexadecimal. */
            sha256: string;
            /**
             * Format: int64
             * @description Size of its file in bytes.
             */
            size: number;
            /**
             * Format: date-time
             * @description When it was uploaded, if known.
             */
            uploaded_at?: string | null;
            /** @description E-mail address of the admin who uploaded it, if known. */
            uploaded_by?: string | null;
            /** @description Its version. */
            version: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    about_read: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["About"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    attributes_list: {
        parameters: {
            query?: {
                /** @description a connection's name */
                connection?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Attributes"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    connections_list: {
        parameters: {
            query?: {
                /** @description `auth0`: databases only */
                strategy?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Connection"][];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    history_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HistoryView"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    jobs_inspect: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": components["schemas"]["InspectForm"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Inspection"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    jobs_start_export: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ExportRequest"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobView"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    jobs_start_import: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": components["schemas"]["ImportForm"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobView"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    jobs_read: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobView"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    jobs_backup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>[];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            410: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    jobs_cancel: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobView"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    jobs_download: {
        parameters: {
            query: {
                ticket: string;
            };
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description the file */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            410: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    jobs_report: {
        parameters: {
            query?: {
                /** @description json, ndjson, csv, or original: the format of the imported file */
                format?: string;
            };
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>[];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    jobs_resume: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobView"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    jobs_retry: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "multipart/form-data": components["schemas"]["RetryForm"] | null;
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobView"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    presets_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PresetList"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    presets_read: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    presets_write: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": Record<string, never>;
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    presets_remove: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    preview_compute: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ExportRequest"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Preview"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    sessions_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionList"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    sessions_end: {
        parameters: {
            query?: {
                /** @description end all sessions of this admin */
                everywhere?: boolean;
            };
            header?: never;
            path: {
                /** @description the id of a session, or `current` */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    transforms_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TransformList"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    transforms_upload: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/wasm": number[];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TransformView"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    transforms_remove: {
        parameters: {
            query?: {
                sha256?: string;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    transforms_activate: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ActiveVersion"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TransformView"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    users_count: {
        parameters: {
            query?: {
                /** @description a connection's name */
                connection?: string;
                /** @description a query in Auth0's search syntax v3 */
                q?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Matches"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    health_alive: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    metrics_read: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": unknown;
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    health_ready: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description An error, with the reason and a hint. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
}
