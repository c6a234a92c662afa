-- Sessions of people who signed in. A session token is only good while its row is here and not revoked.
CREATE TABLE sessions (
    -- `jti` of the session token.
    id               TEXT PRIMARY KEY NOT NULL,
    -- AUTH0_DOMAIN and LOGIN at the sign-in.
    tenant           TEXT NOT NULL,
    login            TEXT NOT NULL CHECK (login IN ('extension', 'tenant')),
    -- `sub` of the id_token.
    subject          TEXT NOT NULL,
    -- E-mail address, and what admitted the person as JSON; both sealed under the data key.
    sealed_email     TEXT,
    sealed_admission TEXT NOT NULL,
    -- Permissions of the access token, separated by spaces.
    permissions      TEXT NOT NULL,
    -- `sid` of the id_token: the session at the login tenant, for its back-channel log-out.
    sid              TEXT,
    -- Unix time in milliseconds, here and below.
    created_at       INTEGER NOT NULL,
    last_seen_at     INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    revoked_at       INTEGER
) STRICT;

CREATE INDEX sessions_by_subject ON sessions (tenant, login, subject);

-- Tokens of lifecycle hooks and logout tokens that were used, so that none works twice. Uninstalling keeps these rows.
CREATE TABLE used_tokens (
    -- SHA-256 of the signed part of a hook's token, or of the `jti` of a logout token; in hexadecimal.
    digest     TEXT PRIMARY KEY NOT NULL,
    used_at    INTEGER NOT NULL,
    -- None: the token has no end.
    expires_at INTEGER
) STRICT;
