-- Cron inputs, and histories that were computed anew beside the live ones.

-- A cron input of a pipeline and the last tick that was due and made (ENGINE D6). made: the repo of
-- the ticks came with the pipeline and goes with it.
CREATE TABLE clock(
  pipeline INTEGER NOT NULL, name TEXT NOT NULL, repo INTEGER NOT NULL, last INTEGER NOT NULL,
  made INTEGER NOT NULL, PRIMARY KEY(pipeline, name)) STRICT, WITHOUT ROWID;

-- After a pipeline's branch was moved, its next job is compared with this one, unless one numbered
-- `since` or higher has succeeded by then (ENGINE S5).
CREATE TABLE rebase(
  pipeline INTEGER NOT NULL, job INTEGER NOT NULL, since INTEGER NOT NULL,
  PRIMARY KEY(pipeline)) STRICT, WITHOUT ROWID;
