-- name: quota_set
-- description: How many bytes a repo may have; it is counted by whoever sets it.
INSERT INTO quota(repo, bytes, used, stale) VALUES (:repo, :bytes, :used, 0)
ON CONFLICT(repo) DO UPDATE SET bytes = excluded.bytes, used = excluded.used, stale = 0;

-- name: quota_drop
-- description: A repo may have as many bytes as there is room for.
DELETE FROM quota WHERE repo = :repo;

-- name: quota_get
-- description: How many bytes a repo may have, and has.
SELECT bytes, used FROM quota WHERE repo = :repo;

-- name: quota_charge
-- description: A commit wrote so many bytes; what the repo may have, and has now.
UPDATE quota SET used = used + :size WHERE repo = :repo RETURNING bytes, used;

-- name: quota_freed
-- description: Something of a repo has gone.
UPDATE quota SET stale = stale + 1 WHERE repo = :repo;

-- name: quota_freed_line
-- description: Something of a line's repo has gone.
UPDATE quota SET stale = stale + 1 WHERE repo = (SELECT repo FROM line WHERE id = :line);

-- name: quota_stale
-- description: The repos of which something went since they were counted.
SELECT repo, used, stale FROM quota WHERE stale > 0 ORDER BY repo;

-- name: quota_counted
-- description: A repo was counted; what was written to it meanwhile counts too.
UPDATE quota SET used = :counted + used - :used, stale = stale - :stale WHERE repo = :repo;

-- name: stored_bytes
-- description: The bytes of all objects, once each.
SELECT coalesce(sum(size), 0) FROM object;
