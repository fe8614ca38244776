-- What large jobs and large directories need so that their cost is bounded.

-- The output commit of a large job while it is made over several transactions: a place on a line
-- that no commit names yet, above the head, so that nobody sees it. whole: the job looked at all
-- datums. placed: the commit is there; only the pipeline's members are still those of the job before.
CREATE TABLE draft(
  pipeline INTEGER NOT NULL, job INTEGER NOT NULL, line INTEGER NOT NULL, seq INTEGER NOT NULL,
  whole INTEGER NOT NULL, placed INTEGER NOT NULL, PRIMARY KEY(pipeline)) STRICT, WITHOUT ROWID;

-- The content of large directories that are inputs, at places on lines where it was asked for.
-- digest: a sum over the files, so that it follows a change at the cost of the change.
CREATE TABLE dir(
  line INTEGER NOT NULL, path TEXT NOT NULL, seq INTEGER NOT NULL, files INTEGER NOT NULL,
  size INTEGER NOT NULL, digest BLOB NOT NULL,
  PRIMARY KEY(line, path, seq)) STRICT, WITHOUT ROWID;
