-- The clock of the machine as the clean-up saw it last, so that the next start notices a jump. At most one row.
CREATE TABLE clock (
    id         INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    -- Unix time in milliseconds.
    seen_at    INTEGER NOT NULL,
    -- 1 when the clock was trusted then.
    is_trusted INTEGER NOT NULL CHECK (is_trusted IN (0, 1))
) STRICT;
