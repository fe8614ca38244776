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
