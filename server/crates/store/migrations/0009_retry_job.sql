-- The latest job that imports the failed rows of this one again: parallel requests start only one.
ALTER TABLE jobs ADD COLUMN retry_job TEXT;
