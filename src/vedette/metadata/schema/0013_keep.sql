-- What outlives what it belonged to.

-- Which commits the job read that made a commit, once the job itself is forgotten (ENGINE K1):
-- a msgpack list of commit numbers, as in `job`.
CREATE TABLE provenance(cmt INTEGER PRIMARY KEY, inputs BLOB NOT NULL) STRICT;

-- Repos and pipelines that were deleted and whose rows go in pages; nobody sees these any more.
-- what: `repo` or `pipeline`. key: its number. name, until: whose log, up to which line.
CREATE TABLE doomed(
  id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, key INTEGER NOT NULL,
  name TEXT NOT NULL, until INTEGER NOT NULL) STRICT;
