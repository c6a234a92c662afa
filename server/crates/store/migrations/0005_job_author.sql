-- E-mail address of whoever asked, for people to read; none where it is not known. `owner` stays the key.
ALTER TABLE jobs ADD COLUMN author TEXT;
