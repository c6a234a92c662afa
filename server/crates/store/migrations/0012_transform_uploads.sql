-- Who uploaded which version of a transform, and when. The files lie in DATA_DIR/transforms.
CREATE TABLE transform_uploads (
    sha256 TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    sealed_author TEXT,
    uploaded_at INTEGER NOT NULL
) STRICT;
