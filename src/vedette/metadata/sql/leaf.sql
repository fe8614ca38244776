-- name: leaf_index
-- description: the number of the index of a repo's matches by key
SELECT id FROM leaf_index WHERE repo = :repo AND glob = :glob AND template = :template;

-- name: leaf_indexes
-- description: every index of matches by key
SELECT id, repo, glob, template FROM leaf_index ORDER BY id;

-- name: leaf_index_add
-- description: a new index of matches by key
INSERT INTO leaf_index(repo, glob, template) VALUES (:repo, :glob, :template);

-- name: leaf_index_drop
-- description: forget an index of matches by key
DELETE FROM leaf_index WHERE id = :leaf;

-- name: leaf_lines_drop
-- description: forget how far an index has come
DELETE FROM leaf_line WHERE leaf = :leaf;

-- name: leaf_rows_drop
-- description: forget the matches of an index
DELETE FROM leaf WHERE leaf = :leaf;

-- name: leaf_place
-- description: how far along a line an index knows it
SELECT seq FROM leaf_line WHERE leaf = :leaf AND line = :line;

-- name: leaf_place_set
-- description: an index knows a line up to here
INSERT INTO leaf_line(leaf, line, seq) VALUES (:leaf, :line, :seq)
ON CONFLICT(leaf, line) DO UPDATE SET seq = excluded.seq;

-- name: leaf_line_end
-- description: the newest place of a line that a commit has
SELECT max(seq) FROM cmt WHERE line = :line;

-- name: leaf_add
-- description: a match that came, or one of which only is known that it was there for a while
INSERT INTO leaf(leaf, line, key, gone, path, came)
VALUES (:leaf, :line, :key, :gone, :path, :came) ON CONFLICT DO NOTHING;

-- name: leaf_close
-- description: a match that was there has gone
UPDATE leaf SET gone = :gone
WHERE leaf = :leaf AND line = :line AND key = :key AND gone = :open AND path = :path;

-- name: leaf_page
-- description: A page of the matches that may have had a key at a place of a line.
SELECT gone, path FROM leaf
WHERE leaf = :leaf AND line = :line AND key = :key AND (gone, path) > (:gone, :path)
  AND came <= :seq ORDER BY gone, path LIMIT :limit;

-- name: leaf_keys
-- description: A page of the keys that matches on a line have or had, with repetitions.
SELECT key FROM leaf WHERE leaf = :leaf AND line = :line AND key > :after
ORDER BY key LIMIT :limit;

-- name: line_own_past
-- description: A page of the paths that a line itself once had, with repetitions.
SELECT path FROM past WHERE line = :line AND path > :after ORDER BY path LIMIT :limit;
