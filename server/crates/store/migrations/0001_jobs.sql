-- Jobs are the history too: a row lives until HISTORY_TTL, its artifact until ARTIFACT_TTL.
CREATE TABLE jobs (
    id                  TEXT PRIMARY KEY NOT NULL,
    -- The tenant's domain: one server may be pointed at another tenant later, histories stay apart.
    tenant              TEXT NOT NULL,
    type                TEXT NOT NULL CHECK (type IN ('import', 'export')),
    status              TEXT NOT NULL,
    -- Unix time in milliseconds, here and below.
    created_at          INTEGER NOT NULL,
    finished_at         INTEGER,
    -- `sub` of whoever asked; whose Management API token the job uses.
    owner               TEXT NOT NULL,
    connection          TEXT,
    -- The request as JSON, to run, resume and repeat the job.
    request             TEXT NOT NULL,
    processed           INTEGER NOT NULL DEFAULT 0,
    total               INTEGER,
    summary             TEXT,
    error               TEXT,
    artifact            TEXT,
    artifact_expires_at INTEGER
) STRICT;

CREATE INDEX jobs_by_date ON jobs (tenant, created_at);

-- Management API tokens of admins whose jobs are not done (LOGIN=extension), sealed with a key derived
-- from EXTENSION_SECRET.
CREATE TABLE tokens (
    owner      TEXT PRIMARY KEY NOT NULL,
    sealed     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
