-- An import whose file was checked as a whole. Until this row exists nothing was sent.
CREATE TABLE imports (
    job_id   TEXT PRIMARY KEY NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    total    INTEGER NOT NULL,
    -- Rows with errors, which are not sent.
    refused  INTEGER NOT NULL,
    warnings INTEGER NOT NULL
) STRICT;

-- What became of each chunk. Written before and after every request, so that a restarted server knows
-- what Auth0 may have done already.
CREATE TABLE import_chunks (
    job_id        TEXT NOT NULL REFERENCES imports (job_id) ON DELETE CASCADE,
    -- From 1, in the order of rows; the name of the chunk's file.
    number        INTEGER NOT NULL,
    rows          INTEGER NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'done', 'failed')),
    -- Requests that may have had an effect. More than one: an answer was lost.
    attempts      INTEGER NOT NULL DEFAULT 0,
    -- Unix time in milliseconds just before the first of them.
    first_sent_at INTEGER,
    auth0_job_id  TEXT,
    inserted      INTEGER NOT NULL DEFAULT 0,
    updated       INTEGER NOT NULL DEFAULT 0,
    failed        INTEGER NOT NULL DEFAULT 0,
    -- Why the chunk failed as a whole.
    reason        TEXT,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;
