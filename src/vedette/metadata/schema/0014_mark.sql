-- The last transaction of the leader leaves its mark here: by it the server finds out whether one
-- whose COMMIT was not answered was kept.
ALTER TABLE leader ADD COLUMN mark TEXT NOT NULL DEFAULT '';
