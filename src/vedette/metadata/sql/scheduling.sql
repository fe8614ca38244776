-- name: pipelines
-- description: every pipeline with the document of its present version
SELECT p.id, p.name, p.repo, p.branch, p.version, v.salt, p.created, p.state, p.reason, v.document
FROM pipeline p JOIN pipeline_version v ON v.pipeline = p.id AND v.version = p.version ORDER BY p.id

-- name: pipeline_by_name
-- description: one pipeline with the document of its present version
SELECT p.id, p.name, p.repo, p.branch, p.version, v.salt, p.created, p.state, p.reason, v.document
FROM pipeline p JOIN pipeline_version v ON v.pipeline = p.id AND v.version = p.version
WHERE p.name = :name

-- name: pipeline_of_repo
-- description: the pipeline whose output a repo is
SELECT name FROM pipeline WHERE repo = :repo

-- name: add_pipeline
-- description: a new pipeline
INSERT INTO pipeline(name, repo, branch, version, salt, created, state, reason)
VALUES (:name, :repo, :branch, :version, :salt, :created, 'STARTING', '')

-- name: set_pipeline_version
-- description: move a pipeline to a version
UPDATE pipeline SET version = :version, salt = :salt, branch = :branch WHERE id = :id

-- name: set_pipeline_state
-- description: what state a pipeline is in, and why
UPDATE pipeline SET state = :state, reason = :reason WHERE id = :id

-- name: add_pipeline_version
-- description: keep the document of a version
INSERT INTO pipeline_version(pipeline, version, document, salt, created)
VALUES (:pipeline, :version, :document, :salt, :created)

-- name: pipeline_version
-- description: the document of one version
SELECT document, salt FROM pipeline_version WHERE pipeline = :pipeline AND version = :version

-- name: mean_seconds
-- description: how long datums of a pipeline take, by some of those that it has
SELECT avg(seconds) FROM (SELECT d.seconds AS seconds FROM member m JOIN datum d ON d.num = m.datum
  WHERE m.pipeline = :pipeline AND d.state = 'done' LIMIT 200) AS newest

-- name: pipeline_versions
-- description: all versions of a pipeline, oldest first
SELECT version, document, salt, created FROM pipeline_version WHERE pipeline = :pipeline
ORDER BY version

-- name: delete_pipeline
-- description: forget a pipeline
DELETE FROM pipeline WHERE id = :id

-- name: delete_pipeline_versions
-- description: forget a pipeline's versions
DELETE FROM pipeline_version WHERE pipeline = :id

-- name: end_pipeline_jobs
-- description: end the jobs of a pipeline that goes; they are forgotten later
UPDATE job SET state = 'KILLED' WHERE pipeline = :id
AND state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE')

-- name: job_of_pipeline
-- description: any job of a pipeline
SELECT num FROM job WHERE pipeline = :id LIMIT 1

-- name: open_datum_counts
-- description: queued and running datums by pipeline
SELECT pipeline, state, count(*) FROM datum WHERE state IN ('queued', 'leased')
GROUP BY pipeline, state

-- name: failed_datum_count
-- description: how many datums of a pipeline stand failed, as in failed_datums
SELECT count(*) FROM datum d WHERE d.state = 'failed' AND d.pipeline = :pipeline AND
EXISTS (SELECT 1 FROM pipeline p
  WHERE (p.name = d.pipeline OR p.id = (SELECT j.pipeline FROM job j WHERE j.num = d.job))
  AND ((SELECT m.datum FROM member m WHERE m.pipeline = p.id AND m.ident = d.ident) = d.num
    OR EXISTS (SELECT 1 FROM job o WHERE o.num = d.job AND o.pipeline = p.id
      AND o.state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE'))
    OR EXISTS (SELECT 1 FROM job_datum x WHERE x.datum = d.num AND x.how = 'failed'
      AND x.job = (SELECT n.num FROM job n WHERE n.pipeline = p.id
        AND n.state IN ('SUCCESS','EGRESSING','FAILURE') ORDER BY n.num DESC LIMIT 1))))

-- name: newest_job
-- description: the newest job of a pipeline
SELECT id, state FROM job WHERE pipeline = :pipeline ORDER BY num DESC LIMIT 1

-- name: last_job_num
-- description: the highest job number that ever was
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'job'

-- name: last_datum_num
-- description: the highest datum number that ever was
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'datum'

-- name: add_job
-- description: a new job
INSERT INTO job(num, id, pipeline, version, cmt, base, inputs, state, reason, created, started,
  finished, total, processed, skipped, failed, recovered, restarts, download, upload)
VALUES (:num, :id, :pipeline, :version, :cmt, :base, :inputs, :state, :reason, :created, :started,
  :finished, :total, :processed, :skipped, :failed, :recovered, 0, :download, :upload)

-- name: set_job
-- description: how far a job has come
UPDATE job SET base = :base, state = :state, reason = :reason, started = :started,
  finished = :finished, total = :total, processed = :processed, skipped = :skipped,
  failed = :failed, recovered = :recovered, download = :download, upload = :upload
WHERE num = :num

-- name: count_restarts
-- description: jobs that a restart of the server found unfinished
UPDATE job SET restarts = restarts + 1
WHERE state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE') AND started IS NOT NULL

-- name: open_jobs
-- description: jobs that have not ended, oldest first
SELECT j.num, j.id, j.pipeline, j.version, j.cmt, c.id, j.base, j.inputs, j.state, j.created,
  j.started
FROM job j JOIN cmt c ON c.num = j.cmt
WHERE j.state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE','EGRESSING') ORDER BY j.num

-- name: good_job
-- description: the newest job of a pipeline whose output commit is finished, copied outside or not
SELECT j.num, j.version, j.inputs, j.total, j.cmt FROM job j JOIN cmt c ON c.num = j.cmt
WHERE j.pipeline = :pipeline AND (j.state = 'SUCCESS'
  OR (j.state IN ('EGRESSING', 'FAILURE', 'KILLED') AND c.state = 'finished'))
ORDER BY j.num DESC LIMIT 1

-- name: last_end
-- description: when a pipeline's newest job to end did so
SELECT max(finished) FROM job WHERE pipeline = :pipeline

-- name: job_of_commit
-- description: the job that made a commit
SELECT id FROM job WHERE cmt = :cmt

-- name: open_job_count
-- description: how many jobs have not ended
SELECT count(*) FROM job WHERE state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE')

-- name: resting_pipelines
-- description: pipelines that are stopped and of which no datum runs any more
SELECT p.id FROM pipeline p WHERE p.state = 'PAUSED' AND NOT EXISTS (
  SELECT 1 FROM datum d WHERE d.pipeline = p.name AND d.state = 'leased')

-- name: jobs_and_inputs
-- description: commits that jobs are to make which have not ended, by whom and from what
SELECT j.cmt, j.pipeline, j.inputs FROM job j
WHERE j.state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE','EGRESSING') ORDER BY j.num

-- name: due_triggers
-- description: branches that follow another whose head they have not reached
SELECT count(*) FROM branch t JOIN branch f ON f.repo = t.repo AND f.name = t.follows
WHERE t.follows IS NOT NULL AND f.head IS NOT NULL AND (t.head IS NULL OR f.head <> t.head)

-- name: triggered_branches
-- description: branches that follow another by a trigger
SELECT t.id, t.repo, t.name, t.head, t.trigger, t.moved, f.name, f.head
FROM branch t JOIN branch f ON f.repo = t.repo AND f.name = t.follows WHERE t.follows IS NOT NULL

-- name: move_branch
-- description: set a branch's head
UPDATE branch SET head = :head, moved = :moved WHERE repo = :repo AND name = :name

-- name: branch_heads
-- description: the head of every branch
SELECT repo, name, head FROM branch

-- name: open_auto_commits
-- description: commits of unfinished jobs
SELECT c.repo, c.branch, c.num FROM cmt c JOIN job j ON j.cmt = c.num
WHERE j.state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE','EGRESSING') ORDER BY c.num

-- name: add_planned_commit
-- description: the open output commit of a job
INSERT INTO cmt(id, repo, branch, parent, origin, state, started, files, size, closed, description,
  error)
VALUES (:id, :repo, :branch, :parent, 'auto', 'started', :started, 0, 0, 0, '', '')

-- name: commit_of_branch_with_id
-- description: whether a branch has a commit of a global id
SELECT num FROM cmt WHERE id = :id AND repo = :repo AND branch = :branch LIMIT 1

-- name: datum_by_key
-- description: the record of a content of a datum
SELECT num, state, result, refs, tries, lost, prior, reason, inputs, job, version, key FROM datum
WHERE key = :key

-- name: datum_by_num
-- description: a datum's record by its number
SELECT num, key, ident, pipeline, version, state, result, refs, tries, lost, prior, reason, inputs,
  job
FROM datum WHERE num = :num

-- name: ident_succeeded
-- description: whether a datum of this identity ever succeeded
SELECT ident FROM datum WHERE ident = :key AND state = 'done' LIMIT 1

-- name: add_datum
-- description: a new datum
INSERT INTO datum(num, key, ident, pipeline, version, job, inputs, state, prior, refs, tries, lost,
  lease, worker, result, reason, created, finished, seconds)
VALUES (:num, :key, :ident, :pipeline, :version, :job, :inputs, :state, :prior, :refs, :tries,
  :lost, :lease, :worker, :result, :reason, :created, :finished, :seconds)

-- name: set_datum
-- description: how far a datum has come
UPDATE datum SET state = :state, job = :job, version = :version, refs = :refs, tries = :tries,
  lost = :lost, lease = :lease, worker = :worker, result = :result, reason = :reason,
  finished = :finished, seconds = :seconds, prior = :prior
WHERE num = :num

-- name: release_leases
-- description: nobody works when the server starts
UPDATE datum SET state = 'queued', worker = NULL WHERE state = 'leased'

-- name: failed_members
-- description: failed datums that belong to a pipeline's newest job
SELECT d.num, d.ident FROM datum d WHERE d.state = 'failed' AND d.pipeline = :name
AND (SELECT m.datum FROM member m WHERE m.pipeline = :pipeline AND m.ident = d.ident) = d.num

-- name: recovered_members
-- description: recovered datums that belong to a pipeline's newest job
SELECT d.num, d.ident FROM datum d WHERE d.state = 'recovered' AND d.pipeline = :name
AND (SELECT m.datum FROM member m WHERE m.pipeline = :pipeline AND m.ident = d.ident) = d.num

-- name: failed_member_count
-- description: how many datums of a pipeline's newest job stand failed
SELECT count(*) FROM datum d WHERE d.state = 'failed' AND d.pipeline = :name
AND (SELECT m.datum FROM member m WHERE m.pipeline = :pipeline AND m.ident = d.ident) = d.num

-- name: add_job_datum
-- description: what a job did with a datum
INSERT INTO job_datum(job, datum, how) VALUES (:job, :datum, :how)
ON CONFLICT(job, datum) DO UPDATE SET how = excluded.how

-- name: member
-- description: the datum that an identity has in a pipeline
SELECT datum FROM member WHERE pipeline = :pipeline AND ident = :ident

-- name: members
-- description: a page of a pipeline's datums
SELECT ident, datum FROM member WHERE pipeline = :pipeline AND ident > :after ORDER BY ident LIMIT :limit

-- name: set_member
-- description: give an identity its datum
INSERT INTO member(pipeline, ident, datum) VALUES (:pipeline, :ident, :datum)
ON CONFLICT(pipeline, ident) DO UPDATE SET datum = excluded.datum

-- name: drop_member
-- description: an identity has gone from a pipeline
DELETE FROM member WHERE pipeline = :pipeline AND ident = :ident

-- name: parts
-- description: what each datum wrote to one path, in datum order
SELECT datum, ord, object, size FROM part WHERE pipeline = :pipeline AND path = :path
ORDER BY ord, datum

-- name: parts_of_datum
-- description: the shared paths that a datum wrote
SELECT path FROM part WHERE pipeline = :pipeline AND datum = :datum

-- name: add_part
-- description: note what a datum wrote to a shared path
INSERT INTO part(pipeline, path, datum, ord, object, size)
VALUES (:pipeline, :path, :datum, :ord, :object, :size)
ON CONFLICT(pipeline, path, datum) DO UPDATE SET object = excluded.object, size = excluded.size

-- name: drop_part
-- description: a datum no longer writes a shared path
DELETE FROM part WHERE pipeline = :pipeline AND path = :path AND datum = :datum
RETURNING object

-- name: drop_parts
-- description: forget a page of the shared paths of a pipeline; their objects
DELETE FROM part WHERE pipeline = :pipeline AND (path, datum) IN (
  SELECT path, datum FROM part WHERE pipeline = :pipeline ORDER BY path, datum LIMIT :limit)
RETURNING object

-- name: drop_members
-- description: forget a page of the datums of a pipeline
DELETE FROM member WHERE pipeline = :pipeline AND ident IN (
  SELECT ident FROM member WHERE pipeline = :pipeline ORDER BY ident LIMIT :limit)

-- name: add_log
-- description: a line of a datum's log
INSERT INTO log(datum, job, pipeline, at, attempt, stream, text)
VALUES (:datum, :job, :pipeline, :at, :attempt, :stream, :text)

-- name: jobs
-- description: newest jobs, of one pipeline or of all, before a number
SELECT j.num, j.id, p.name, j.version, c.id, j.state, j.reason, j.created, j.started, j.finished,
  j.restarts, j.total, j.processed, j.skipped, j.failed, j.recovered, j.download, j.upload,
  j.inputs, v.document
FROM job j JOIN pipeline p ON p.id = j.pipeline JOIN cmt c ON c.num = j.cmt
JOIN pipeline_version v ON v.pipeline = j.pipeline AND v.version = j.version
WHERE j.num < :before ORDER BY j.num DESC LIMIT :limit

-- name: jobs_of_pipeline
-- description: newest jobs of one pipeline before a number
SELECT j.num, j.id, p.name, j.version, c.id, j.state, j.reason, j.created, j.started, j.finished,
  j.restarts, j.total, j.processed, j.skipped, j.failed, j.recovered, j.download, j.upload,
  j.inputs, v.document
FROM job j JOIN pipeline p ON p.id = j.pipeline JOIN cmt c ON c.num = j.cmt
JOIN pipeline_version v ON v.pipeline = j.pipeline AND v.version = j.version
WHERE j.pipeline = :pipeline AND j.num < :before ORDER BY j.num DESC LIMIT :limit

-- name: job_by_id
-- description: one job
SELECT j.num, j.id, p.name, j.version, c.id, j.state, j.reason, j.created, j.started, j.finished,
  j.restarts, j.total, j.processed, j.skipped, j.failed, j.recovered, j.download, j.upload,
  j.inputs, v.document
FROM job j JOIN pipeline p ON p.id = j.pipeline JOIN cmt c ON c.num = j.cmt
JOIN pipeline_version v ON v.pipeline = j.pipeline AND v.version = j.version
WHERE j.id = :id

-- name: jobs_of_commit
-- description: the jobs that a global id ties together
SELECT j.num, j.id, p.name, j.version, c.id, j.state, j.reason, j.created, j.started, j.finished,
  j.restarts, j.total, j.processed, j.skipped, j.failed, j.recovered, j.download, j.upload,
  j.inputs, v.document
FROM cmt c JOIN job j ON j.cmt = c.num JOIN pipeline p ON p.id = j.pipeline
JOIN pipeline_version v ON v.pipeline = j.pipeline AND v.version = j.version
WHERE c.id = :id ORDER BY j.num

-- name: commit_name
-- description: a commit's repo, branch and id
SELECT r.name, c.branch, c.id FROM cmt c JOIN repo r ON r.id = c.repo WHERE c.num = :num

-- name: datums_of_job
-- description: the datums that a job added, changed or removed
SELECT d.num, d.ident, d.pipeline, d.state, d.inputs, d.tries, d.reason, d.finished, d.seconds,
  d.result, x.how
FROM job_datum x JOIN datum d ON d.num = x.datum
WHERE x.job = :job AND x.datum > :after AND x.how <> 'gone' ORDER BY x.datum LIMIT :limit

-- name: open_datums_of_job
-- description: the datums that an unfinished job waits for
SELECT d.num, d.ident, d.pipeline, d.state, d.inputs, d.tries, d.reason, d.finished, d.seconds,
  d.result, d.state
FROM datum d WHERE d.job = :job AND -d.num < 0 - :after ORDER BY -d.num DESC LIMIT :limit

-- name: datum_info
-- description: one datum by its number
SELECT d.num, d.ident, d.pipeline, d.state, d.inputs, d.tries, d.reason, d.finished, d.seconds,
  d.result, d.state, j.id
FROM datum d LEFT JOIN job j ON j.num = d.job WHERE d.num = :num

-- name: datum_info_by_ident
-- description: the newest record of a datum's identity
SELECT d.num, d.ident, d.pipeline, d.state, d.inputs, d.tries, d.reason, d.finished, d.seconds,
  d.result, d.state, j.id
FROM datum d LEFT JOIN job j ON j.num = d.job WHERE d.ident = :ident ORDER BY d.num DESC LIMIT 1

-- name: failed_datums
-- description: datums that stand failed, of all pipelines: in the output that counts, in the
-- newest job that ran to its end, or in one under way; not those that were replaced since
SELECT d.num, d.ident, d.pipeline, d.state, d.inputs, d.tries, d.reason, d.finished, d.seconds,
  d.result, d.state, j.id
FROM datum d LEFT JOIN job j ON j.num = d.job
WHERE d.state = 'failed' AND d.num > :after AND
EXISTS (SELECT 1 FROM pipeline p
  WHERE (p.name = d.pipeline OR p.id = (SELECT j.pipeline FROM job j WHERE j.num = d.job))
  AND ((SELECT m.datum FROM member m WHERE m.pipeline = p.id AND m.ident = d.ident) = d.num
    OR EXISTS (SELECT 1 FROM job o WHERE o.num = d.job AND o.pipeline = p.id
      AND o.state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE'))
    OR EXISTS (SELECT 1 FROM job_datum x WHERE x.datum = d.num AND x.how = 'failed'
      AND x.job = (SELECT n.num FROM job n WHERE n.pipeline = p.id
        AND n.state IN ('SUCCESS','EGRESSING','FAILURE') ORDER BY n.num DESC LIMIT 1))))
ORDER BY d.num LIMIT :limit

-- name: failed_datums_of_pipeline
-- description: datums that stand failed, of one pipeline, as in failed_datums
SELECT d.num, d.ident, d.pipeline, d.state, d.inputs, d.tries, d.reason, d.finished, d.seconds,
  d.result, d.state, j.id
FROM datum d LEFT JOIN job j ON j.num = d.job
WHERE d.state = 'failed' AND d.pipeline = :pipeline AND d.num > :after AND
EXISTS (SELECT 1 FROM pipeline p
  WHERE (p.name = d.pipeline OR p.id = (SELECT j.pipeline FROM job j WHERE j.num = d.job))
  AND ((SELECT m.datum FROM member m WHERE m.pipeline = p.id AND m.ident = d.ident) = d.num
    OR EXISTS (SELECT 1 FROM job o WHERE o.num = d.job AND o.pipeline = p.id
      AND o.state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE'))
    OR EXISTS (SELECT 1 FROM job_datum x WHERE x.datum = d.num AND x.how = 'failed'
      AND x.job = (SELECT n.num FROM job n WHERE n.pipeline = p.id
        AND n.state IN ('SUCCESS','EGRESSING','FAILURE') ORDER BY n.num DESC LIMIT 1))))
ORDER BY d.num LIMIT :limit

-- name: logs_of_pipeline
-- description: log lines of a pipeline
SELECT l.num, l.at, l.pipeline, l.job, l.datum, l.attempt, l.stream, l.text, j.id, d.ident
FROM log l LEFT JOIN job j ON j.num = l.job LEFT JOIN datum d ON d.num = l.datum
WHERE l.pipeline = :pipeline AND l.num > :after ORDER BY l.num LIMIT :limit

-- name: logs_of_job
-- description: log lines of a job
SELECT l.num, l.at, l.pipeline, l.job, l.datum, l.attempt, l.stream, l.text, j.id, d.ident
FROM log l LEFT JOIN job j ON j.num = l.job LEFT JOIN datum d ON d.num = l.datum
WHERE l.job = :job AND l.num > :after ORDER BY l.num LIMIT :limit

-- name: logs_of_datum
-- description: log lines of a datum
SELECT l.num, l.at, l.pipeline, l.job, l.datum, l.attempt, l.stream, l.text, j.id, d.ident
FROM log l LEFT JOIN job j ON j.num = l.job LEFT JOIN datum d ON d.num = l.datum
WHERE l.datum = :datum AND l.num > :after ORDER BY l.num LIMIT :limit

-- name: secret_values
-- description: the values of one secret
SELECT key, value FROM secret WHERE name = :name

-- name: has_parts
-- description: whether a path is shared by datums
SELECT 1 FROM part WHERE pipeline = :pipeline AND path = :path LIMIT 1

-- name: branch_head
-- description: the head of one branch
SELECT head FROM branch WHERE repo = :repo AND name = :name

-- name: fail_datum
-- description: a datum whose outputs cannot be
UPDATE datum SET state = 'failed', reason = :reason WHERE num = :num

-- name: drop_open_commits
-- description: commits of jobs that will never end
DELETE FROM cmt WHERE repo = :repo AND state = 'started' AND origin = 'auto'

-- name: repo_becomes_user
-- description: a pipeline's repo that stays when the pipeline goes
UPDATE repo SET kind = 'user' WHERE id = :id

-- name: last_log
-- description: the newest line of a pipeline's logs
SELECT coalesce(max(num), 0) FROM log WHERE pipeline = :name

-- name: delete_pipeline_logs
-- description: forget a page of a pipeline's logs
DELETE FROM log WHERE num IN (
  SELECT num FROM log WHERE pipeline = :name AND num <= :until ORDER BY num LIMIT :limit)

-- name: doomed_add
-- description: the rows of what was deleted go in pages
INSERT INTO doomed(what, key, name, until) VALUES (:what, :key, :name, :until)

-- name: doomed_next
-- description: what was deleted and has rows left, oldest first
SELECT id, what, key, name, until FROM doomed ORDER BY id LIMIT 1

-- name: doomed_done
-- description: nothing is left of what was deleted
DELETE FROM doomed WHERE id = :id

-- name: commits_between
-- description: how many commits lead from one to another, at most so many, and how the size grew
WITH RECURSIVE back(num, parent, state, steps) AS (
    SELECT num, parent, state, 1 FROM cmt WHERE num = :until AND num > :after
    UNION ALL SELECT c.num, c.parent, c.state,
        b.steps + CASE c.state WHEN 'finished' THEN 1 ELSE 0 END
    FROM back b JOIN cmt c ON c.num = b.parent
    WHERE c.num > :after AND b.steps < :most)
SELECT count(*), coalesce((SELECT size FROM cmt WHERE num = :until), 0)
    - coalesce((SELECT size FROM cmt WHERE num = :after), 0)
FROM back WHERE state = 'finished'

-- name: history_since
-- description: the finished commits from one of the ancestors of another on, oldest first
WITH RECURSIVE back(num, parent, state) AS (
    SELECT num, parent, state FROM cmt WHERE num = :head
    UNION ALL SELECT c.num, c.parent, c.state FROM back b JOIN cmt c ON c.num = b.parent
    WHERE c.num >= :first)
SELECT num FROM back WHERE state = 'finished' ORDER BY num

-- name: trim_standing_log
-- description: forget the oldest lines of a service or spout, beyond the newest so many
DELETE FROM log WHERE pipeline = :pipeline AND num <= (
  SELECT coalesce(max(old.num), 0) FROM (
    SELECT num FROM log WHERE pipeline = :pipeline ORDER BY num DESC LIMIT 1 OFFSET :keep) old)
