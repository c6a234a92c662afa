-- Saved settings of exports and imports, shared by the admins of a tenant.
CREATE TABLE presets (
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    type       TEXT NOT NULL CHECK (type IN ('import', 'export')),
    -- The settings as JSON, as the person saved them.
    settings   TEXT NOT NULL,
    -- Unix time in milliseconds.
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
