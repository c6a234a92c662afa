-- The export job inside Auth0 that an export of ours waits for or downloads from, as JSON: its id, and what
-- it was asked for. A restarted server goes on with it.
ALTER TABLE jobs ADD COLUMN ordered_export TEXT;
