-- How far the output of a pipeline's jobs was copied outside. cmt: the commit that `target` holds,
-- 0 for none. job, after: the job under way and the last path that was copied for it.
CREATE TABLE egress(
  pipeline INTEGER NOT NULL, target TEXT NOT NULL, cmt INTEGER NOT NULL, job INTEGER NOT NULL,
  after TEXT NOT NULL, PRIMARY KEY(pipeline)) STRICT, WITHOUT ROWID;
CREATE INDEX job_egress ON job(num) WHERE state = 'EGRESSING';
