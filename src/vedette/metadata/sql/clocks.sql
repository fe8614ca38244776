-- name: clocks
-- description: every cron input with its last tick
SELECT pipeline, name, repo, last FROM clock

-- name: clocks_of
-- description: the cron inputs of a pipeline
SELECT name, repo, last, made FROM clock WHERE pipeline = :pipeline ORDER BY name

-- name: clock_owner
-- description: the pipeline whose clock writes to a repo
SELECT p.name FROM clock k JOIN pipeline p ON p.id = k.pipeline WHERE k.repo = :repo LIMIT 1

-- name: set_clock
-- description: a cron input, new or as it is now
INSERT INTO clock(pipeline, name, repo, last, made) VALUES (:pipeline, :name, :repo, :last, :made)
ON CONFLICT(pipeline, name) DO UPDATE SET repo = excluded.repo, last = excluded.last

-- name: advance_clock
-- description: a tick was made
UPDATE clock SET last = :last WHERE pipeline = :pipeline AND name = :name

-- name: drop_clock
-- description: a pipeline no longer has this cron input
DELETE FROM clock WHERE pipeline = :pipeline AND name = :name

-- name: drop_clocks
-- description: a pipeline has gone with its clocks
DELETE FROM clock WHERE pipeline = :pipeline

-- name: rebase
-- description: the job that a pipeline was moved to, until one of its own from `since` on succeeds
SELECT job, since FROM rebase WHERE pipeline = :pipeline

-- name: set_rebase
-- description: compare a pipeline's next job with this one
INSERT INTO rebase(pipeline, job, since) VALUES (:pipeline, :job, :since)
ON CONFLICT(pipeline) DO UPDATE SET job = excluded.job, since = excluded.since

-- name: drop_rebase
-- description: a pipeline has gone
DELETE FROM rebase WHERE pipeline = :pipeline

-- name: job_as_base
-- description: what is needed of a job to compare another with it
SELECT num, version, inputs, total, cmt FROM job WHERE num = :num

-- name: give_members
-- description: the datums of one pipeline become those of another
UPDATE member SET pipeline = :to WHERE pipeline = :of

-- name: give_parts
-- description: what datums wrote to shared paths becomes another pipeline's
UPDATE part SET pipeline = :to WHERE pipeline = :of

-- name: give_jobs
-- description: the jobs of one pipeline become those of another
UPDATE job SET pipeline = :to WHERE pipeline = :of

-- name: set_salt
-- description: the salt of a pipeline's present version
UPDATE pipeline_version SET salt = :salt WHERE pipeline = :pipeline AND version = :version

-- name: drop_open_commits_of_branch
-- description: commits of jobs that will never end, in one branch
DELETE FROM cmt WHERE repo = :repo AND branch = :branch AND state = 'started' AND origin = 'auto'

-- name: keep_forced
-- description: the datums that a job was asked to run again, until it has ended
INSERT INTO setting(name, value) VALUES (:name, :value)
ON CONFLICT(name) DO UPDATE SET value = excluded.value

-- name: forced
-- description: the datums that unfinished jobs were asked to run again
SELECT name, value FROM setting WHERE name >= 'forced:' AND name < 'forced;'

-- name: drop_forced
-- description: a job has ended that was asked to run datums again
DELETE FROM setting WHERE name = :name
