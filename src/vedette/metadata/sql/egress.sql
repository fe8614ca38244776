-- name: egressing_jobs
-- description: Jobs whose output is still to be copied outside, oldest first.
SELECT j.num, j.id, j.pipeline, j.version, j.cmt, p.name, v.document
FROM job j JOIN pipeline p ON p.id = j.pipeline
JOIN pipeline_version v ON v.pipeline = j.pipeline AND v.version = j.version
WHERE j.state = 'EGRESSING' ORDER BY j.num;

-- name: egressing_job
-- description: A job, if its output is still to be copied outside.
SELECT j.id, p.name FROM job j JOIN pipeline p ON p.id = j.pipeline
WHERE j.num = :num AND j.state = 'EGRESSING';

-- name: egress_state
-- description: How far a pipeline's output was copied outside.
SELECT target, cmt, job, after FROM egress WHERE pipeline = :pipeline;

-- name: set_egress
-- description: A pipeline's output was copied so far.
INSERT INTO egress(pipeline, target, cmt, job, after)
VALUES (:pipeline, :target, :cmt, :job, :after)
ON CONFLICT(pipeline) DO UPDATE SET target = excluded.target, cmt = excluded.cmt,
  job = excluded.job, after = excluded.after;

-- name: drop_egress
-- description: Forget what was copied for a pipeline.
DELETE FROM egress WHERE pipeline = :id;

-- name: end_egress
-- description: A job's output was copied, could not be, or need not be.
UPDATE job SET state = :state, reason = :reason, finished = :finished
WHERE num = :num AND state = 'EGRESSING';
