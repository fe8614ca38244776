-- name: commits_after
-- Commits of a branch with numbers above one, oldest first, up to the first that is still open.
SELECT num, state FROM cmt
WHERE repo = :repo AND branch = :branch AND num > :after AND state != 'errored'
ORDER BY num LIMIT :limit;

-- name: datum_identity
-- Whose output a file is, and whether that datum's identity had succeeded before.
SELECT ident, prior FROM datum WHERE num = :num;
