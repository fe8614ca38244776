-- name: draft_add
-- description: a commit that will be made over several transactions
INSERT INTO draft(pipeline, job, line, seq, whole, placed)
VALUES (:pipeline, :job, :line, :seq, :whole, 0)

-- name: draft_place
-- description: its commit is there now
UPDATE draft SET placed = 1 WHERE pipeline = :pipeline

-- name: draft_drop
-- description: nothing is left to do of it
DELETE FROM draft WHERE pipeline = :pipeline

-- name: draft_of
-- description: the draft of a pipeline
SELECT job, line, seq, whole, placed FROM draft WHERE pipeline = :pipeline

-- name: drafts_open
-- description: drafts whose commit never came, after a pipeline
SELECT pipeline, line, seq FROM draft WHERE placed = 0 AND pipeline > :after
ORDER BY pipeline LIMIT 1

-- name: draft_past
-- description: a page of what a draft closed
SELECT path FROM past INDEXED BY past_to
WHERE line = :line AND to_seq = :seq ORDER BY path LIMIT :limit

-- name: draft_reopen
-- description: put back what a draft closed in a range of paths
INSERT INTO live(line, path, from_seq, object, size, datum)
SELECT line, path, from_seq, object, size, datum FROM past
WHERE line = :line AND to_seq = :seq AND path >= :first AND path <= :last
ON CONFLICT(line, path) DO UPDATE SET from_seq = excluded.from_seq, object = excluded.object,
  size = excluded.size, datum = excluded.datum

-- name: draft_unclose
-- description: forget that a draft closed it
DELETE FROM past WHERE line = :line AND to_seq = :seq AND path >= :first AND path <= :last

-- name: draft_unmake
-- description: take away a page of what a draft wrote
DELETE FROM live WHERE line = :line AND path IN (
  SELECT path FROM live INDEXED BY live_from
  WHERE line = :line AND from_seq = :seq ORDER BY path LIMIT :limit)

-- name: line_drop
-- description: a line that no commit was ever made on
DELETE FROM line WHERE id = :line
