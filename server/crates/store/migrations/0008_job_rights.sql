-- What the person who started a job was permitted to do then (LOGIN=extension): decides whether client
-- credentials may continue the job. Jobs of earlier versions have no row, and client credentials continue none of them.
CREATE TABLE job_rights (
    job_id      TEXT PRIMARY KEY NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    -- Separated by spaces.
    permissions TEXT NOT NULL,
    -- Whether Auth0 refused the person's own token with 401 or 403.
    refused     INTEGER NOT NULL DEFAULT 0
) STRICT;
