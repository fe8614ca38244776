-- What joins and groups look up: which matches of a glob share a key (docs/design/011).
-- A repo, a glob and a key template make one index, whichever pipelines ask for it.
CREATE TABLE leaf_index(
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo INTEGER NOT NULL, glob TEXT NOT NULL,
  template TEXT NOT NULL, UNIQUE(repo, glob, template)) STRICT;

-- How far along a line an index knows it.
CREATE TABLE leaf_line(
  leaf INTEGER NOT NULL, line INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY(leaf, line)) STRICT, WITHOUT ROWID;

-- The match `path` may have been there from place `came` of the line to before place `gone`
-- (4611686018427387904: it may be there still). A reader looks whether it is.
CREATE TABLE leaf(
  leaf INTEGER NOT NULL, line INTEGER NOT NULL, key TEXT NOT NULL, gone INTEGER NOT NULL,
  path TEXT NOT NULL, came INTEGER NOT NULL,
  PRIMARY KEY(leaf, line, key, gone, path)) STRICT, WITHOUT ROWID;
