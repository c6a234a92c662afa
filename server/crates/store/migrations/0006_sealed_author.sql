-- `author`, sealed under the data key. Rows of before are sealed when the database is opened, and `author`
-- stays empty from then on.
ALTER TABLE jobs ADD COLUMN sealed_author TEXT;
