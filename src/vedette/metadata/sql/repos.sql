-- name: repo_add
-- description: A new repo.
INSERT INTO repo(name, description, kind, created) VALUES (:name, :description, :kind, :created);

-- name: repo_get
-- description: One repo by its name.
SELECT id, name, description, kind, created FROM repo WHERE name = :name;

-- name: repo_by_id
-- description: One repo by its key.
SELECT id, name, description, kind, created FROM repo WHERE id = :id;

-- name: repo_names
-- description: All names, for finding the nearest one.
SELECT name FROM repo ORDER BY name;

-- name: repo_list
-- description: All repos with size and number of files of the head of master.
SELECT r.id, r.name, r.description, r.kind, r.created, coalesce(h.size, 0), coalesce(h.files, 0),
  q.bytes FROM repo r LEFT JOIN branch b ON b.repo = r.id AND b.name = 'master'
LEFT JOIN cmt h ON h.num = b.head LEFT JOIN quota q ON q.repo = r.id ORDER BY r.name;

-- name: repo_one
-- description: One repo with size and number of files of the head of master.
SELECT r.id, r.name, r.description, r.kind, r.created, coalesce(h.size, 0), coalesce(h.files, 0),
  q.bytes FROM repo r LEFT JOIN branch b ON b.repo = r.id AND b.name = 'master'
LEFT JOIN cmt h ON h.num = b.head LEFT JOIN quota q ON q.repo = r.id WHERE r.name = :name;

-- name: repo_branches
-- description: Names of the branches of every repo.
SELECT repo, name FROM branch ORDER BY repo, name;

-- name: repo_line
-- description: Any line of a repo.
SELECT id FROM line WHERE repo = :repo LIMIT 1;

-- name: repo_drop
-- description: Takes the repo's own row away, last of all.
DELETE FROM repo WHERE id = :repo;

-- name: repo_drop_branches
-- description: Takes the branches of a repo away.
DELETE FROM branch WHERE repo = :repo;

-- name: repo_staged
-- description: An open commit of a repo to which something was written.
SELECT c.num FROM cmt c WHERE c.repo = :repo AND c.state = 'started'
AND EXISTS (SELECT 1 FROM staged s WHERE s.cmt = c.num) LIMIT 1;

-- name: repo_drop_staged
-- description: Takes a page of what was written to an open commit away; its objects.
DELETE FROM staged WHERE cmt = :cmt AND n IN (
  SELECT n FROM staged WHERE cmt = :cmt ORDER BY n LIMIT :limit) RETURNING object;

-- name: repo_drop_provenance
-- description: Takes away what is known of where a page of the commits of a repo come from.
DELETE FROM provenance WHERE cmt IN (
  SELECT num FROM cmt WHERE repo = :repo ORDER BY num LIMIT :limit);

-- name: repo_drop_commits
-- description: Takes a page of the commits of a repo away.
DELETE FROM cmt WHERE num IN (SELECT num FROM cmt WHERE repo = :repo ORDER BY num LIMIT :limit);

-- name: line_drop_retained
-- description: Forgets how far retention had come on a line.
DELETE FROM retained WHERE line = :line;

-- name: line_drop_squashed
-- description: Forgets which files only squashed commits of a line showed.
DELETE FROM squashed WHERE line = :line;

-- name: line_drop_live
-- description: Takes a page of a line's present files away; their objects.
DELETE FROM live WHERE line = :line AND path IN (
  SELECT path FROM live WHERE line = :line ORDER BY path LIMIT :limit) RETURNING object;

-- name: line_drop_past
-- description: Takes a page of a line's former files away; their objects.
DELETE FROM past WHERE line = :line AND (path, from_seq) IN (
  SELECT path, from_seq FROM past WHERE line = :line ORDER BY path, from_seq LIMIT :limit)
RETURNING object;

-- name: branch_add
-- description: A new branch. Its own line comes with its first commit.
INSERT INTO branch(repo, name, line, head, planned, follows, trigger, moved)
VALUES (:repo, :name, NULL, :head, :head, :follows, :trigger, :moved);

-- name: branch_move
-- description: Another head for a branch.
UPDATE branch SET head = :head, planned = :head, moved = :moved WHERE id = :id;

-- name: branch_follow
-- description: What a branch follows, and by which rule.
UPDATE branch SET follows = :follows, trigger = :trigger WHERE id = :id;

-- name: branch_list
-- description: The branches of a repo with the ids of their heads.
SELECT b.id, b.name, b.head, b.planned, b.follows, b.trigger, b.moved, h.id
FROM branch b LEFT JOIN cmt h ON h.num = b.head WHERE b.repo = :repo ORDER BY b.name;

-- name: branch_get
-- description: One branch with the id of its head.
SELECT b.id, b.name, b.head, b.planned, b.follows, b.trigger, b.moved, h.id
FROM branch b LEFT JOIN cmt h ON h.num = b.head WHERE b.repo = :repo AND b.name = :name;

-- name: branch_drop
-- description: Takes a branch away; its commits stay.
DELETE FROM branch WHERE id = :id;

-- name: branch_open
-- description: The open commit that a user works on in a branch.
SELECT num FROM cmt WHERE repo = :repo AND branch = :name AND state = 'started'
AND origin = 'user' LIMIT 1;
