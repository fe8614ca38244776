-- name: commit_get
-- description: One commit by its number.
SELECT num, id, repo, branch, line, seq, parent, origin, state, started, finished, files, size,
  closed, error, description FROM cmt WHERE num = :num;

-- name: commit_in_repo
-- description: The commits with a global id in a repo, newest first: one a branch.
SELECT num, id, repo, branch, line, seq, parent, origin, state, started, finished, files, size,
  closed, error, description FROM cmt WHERE id = :id AND repo = :repo ORDER BY num DESC;

-- name: commit_everywhere
-- description: The commits with a global id in all repos that are there.
SELECT num, id, repo, branch, line, seq, parent, origin, state, started, finished, files, size,
  closed, error, description FROM cmt WHERE id = :id
AND EXISTS (SELECT 1 FROM repo r WHERE r.id = cmt.repo) ORDER BY num;

-- name: commit_list
-- description: The commits of a repo below a number, newest first.
SELECT num, id, repo, branch, line, seq, parent, origin, state, started, finished, files, size,
  closed, error, description FROM cmt WHERE repo = :repo AND num < :before
ORDER BY num DESC LIMIT :limit;

-- name: commit_list_branch
-- description: The commits of one branch below a number, newest first.
SELECT num, id, repo, branch, line, seq, parent, origin, state, started, finished, files, size,
  closed, error, description FROM cmt WHERE repo = :repo AND +branch = :branch AND num < :before
ORDER BY num DESC LIMIT :limit;

-- name: commit_list_since
-- description: The commits of one branch above a number, oldest first.
SELECT num, id, repo, branch, line, seq, parent, origin, state, started, finished, files, size,
  closed, error, description FROM cmt WHERE repo = :repo AND +branch = :branch AND num > :after
ORDER BY num LIMIT :limit;

-- name: commit_at
-- description: The commit with a place on a line.
SELECT num, id, repo, branch, line, seq, parent, origin, state, started, finished, files, size,
  closed, error, description FROM cmt WHERE line = :line AND seq = :seq;

-- name: commit_open
-- description: A commit that is written to.
INSERT INTO cmt(id, repo, branch, parent, origin, state, started, files, size, closed, description,
  error)
VALUES (:id, :repo, :branch, :parent, :origin, 'started', :now, 0, 0, 0, :description, '');

-- name: commit_make
-- description: A commit that is finished as soon as it is there.
INSERT INTO cmt(id, repo, branch, line, seq, parent, origin, state, started, finished, files, size,
  closed, description, error)
VALUES (:id, :repo, :branch, :line, :seq, :parent, :origin, 'finished', :now, :now, :files, :size,
  :closed, :description, '');

-- name: commit_finish
-- description: An open commit gets its place on a line and its counts.
UPDATE cmt SET line = :line, seq = :seq, parent = :parent, state = 'finished', finished = :now,
  files = :files, size = :size, closed = :closed WHERE num = :num AND state = 'started';

-- name: commit_fail
-- description: An open commit comes to nothing.
UPDATE cmt SET state = 'errored', finished = :now, error = :error
WHERE num = :num AND state = 'started';

-- name: tip_by_name
-- description: Where the next commit of a branch goes: repo, branch, its head and the line that holds it.
SELECT r.id, r.kind, r.name, b.id, b.line, b.head, h.line, h.seq, h.files, h.size, h.closed,
  l.head, l.parent, l.fork_seq,
  (SELECT num FROM cmt WHERE repo = r.id AND branch = :branch AND state = 'started'
   AND origin = 'user' LIMIT 1),
  (SELECT bytes FROM quota WHERE repo = r.id)
FROM repo r LEFT JOIN branch b ON b.repo = r.id AND b.name = :branch
LEFT JOIN cmt h ON h.num = b.head LEFT JOIN line l ON l.id = h.line WHERE r.name = :repo;

-- name: tip_by_id
-- description: The same, for a repo whose key is known.
SELECT r.id, r.kind, r.name, b.id, b.line, b.head, h.line, h.seq, h.files, h.size, h.closed,
  l.head, l.parent, l.fork_seq,
  (SELECT num FROM cmt WHERE repo = r.id AND branch = :branch AND state = 'started'
   AND origin = 'user' LIMIT 1),
  (SELECT bytes FROM quota WHERE repo = r.id)
FROM repo r LEFT JOIN branch b ON b.repo = r.id AND b.name = :branch
LEFT JOIN cmt h ON h.num = b.head LEFT JOIN line l ON l.id = h.line WHERE r.id = :repo;

-- name: branch_advance
-- description: A finished commit becomes the head of its branch.
UPDATE branch SET line = :line, head = :num,
  planned = CASE WHEN planned > :num THEN planned ELSE :num END
WHERE id = :id;

-- name: branch_plan
-- description: A commit that is not finished yet becomes the newest of its branch.
UPDATE branch SET planned = :num WHERE id = :id;

-- name: line_add
-- description: A new line with one commit.
INSERT INTO line(repo, parent, fork_seq, head) VALUES (:repo, :parent, :fork_seq, 1);

-- name: line_advance
-- description: The newest place on a line.
UPDATE line SET head = :seq WHERE id = :line;

-- name: line_get
-- description: A line: the one it left and where, and its newest place.
SELECT parent, fork_seq, head FROM line WHERE id = :line;

-- name: line_closed
-- description: How many rows of a line had been moved to the past at a place, and have been by now.
SELECT (SELECT closed FROM cmt WHERE line = :line AND seq = :seq),
  (SELECT closed FROM cmt WHERE line = :line AND seq = :head);

-- name: staged_add
-- description: One more write to an open commit.
INSERT INTO staged(cmt, n, op, path, object, size)
VALUES (:cmt, (SELECT coalesce(max(n), 0) + 1 FROM staged WHERE cmt = :cmt), :op, :path, :object,
  :size);

-- name: staged_all
-- description: What was written to an open commit, in order.
SELECT n, op, path, object, size FROM staged WHERE cmt = :cmt ORDER BY n;

-- name: staged_drop
-- description: Forgets what was written to a commit.
DELETE FROM staged WHERE cmt = :cmt;

-- name: staged_give_up
-- description: Forgets what was written to a commit that comes to nothing; its objects.
DELETE FROM staged WHERE cmt = :cmt RETURNING object;

-- name: staged_since
-- description: What was written to an open commit at some paths, in order.
SELECT n, op, path, object, size FROM staged
WHERE cmt = :cmt AND path IN (SELECT value FROM json_each(:paths)) ORDER BY n;

-- name: staged_below
-- description: What was put below a directory of an open commit, in order.
SELECT n, op, path, object, size FROM staged
WHERE cmt = :cmt AND path > :low AND path < :high AND op <> 'delete' ORDER BY path, n;
