-- name: live_get
-- description: What a line has at a path now. An object of NULL hides the file of the line it left.
SELECT from_seq, object, size, datum, gone FROM live WHERE line = :line AND path = :path;

-- name: live_add
-- description: A file that a line did not have.
INSERT INTO live(line, path, from_seq, object, size, datum)
VALUES (:line, :path, :seq, :object, :size, :datum);

-- name: live_claim
-- description: A file that a line did not have, or nothing where it has one.
INSERT INTO live(line, path, from_seq, object, size, datum)
VALUES (:line, :path, :seq, :object, :size, :datum) ON CONFLICT DO NOTHING;

-- name: live_set
-- description: Another file at a path that a line has.
UPDATE live SET from_seq = :seq, object = :object, size = :size, datum = :datum, gone = NULL
WHERE line = :line AND path = :path;

-- name: live_drop
-- description: A path that a line has no longer.
DELETE FROM live WHERE line = :line AND path = :path;

-- name: live_close
-- description: Remembers what a line has at a path, before it changes.
INSERT INTO past(line, path, from_seq, to_seq, object, size, datum, gone)
SELECT line, path, from_seq, :seq, object, size, datum, gone FROM live
WHERE line = :line AND path = :path;

-- name: live_obstacle
-- description: A file among the directories above a path, or the first file below it.
SELECT path FROM live WHERE line = :line AND object IS NOT NULL
  AND path IN (SELECT value FROM json_each(:parents))
UNION ALL SELECT path FROM (
  SELECT path FROM live WHERE line = :line AND path > :low AND path < :high
    AND object IS NOT NULL ORDER BY path LIMIT 1) AS below
LIMIT 1;

-- name: live_of_datum
-- description: The files of a datum on a line now.
SELECT path FROM live INDEXED BY live_datum
WHERE line = :line AND datum = :datum ORDER BY path;

-- name: old_of_datum
-- description: The files of a datum at an earlier place on a line.
SELECT path FROM live INDEXED BY live_datum
WHERE line = :line AND datum = :datum AND from_seq <= :seq
UNION ALL SELECT path FROM past INDEXED BY past_to
WHERE line = :line AND to_seq > :seq AND from_seq <= :seq AND datum = :datum;

-- name: file_at
-- description: What a line had at a path at an earlier place: one statement, so that no row moves meanwhile.
SELECT from_seq, object, size, datum, gone FROM live
WHERE line = :line AND path = :path AND from_seq <= :seq
UNION ALL SELECT from_seq, object, size, datum, gone FROM (
  SELECT from_seq, to_seq, object, size, datum, gone FROM past
  WHERE line = :line AND path = :path AND from_seq <= :seq ORDER BY from_seq DESC LIMIT 1) AS before
WHERE to_seq > :seq;

-- name: live_page
-- description: A page of what a line has now, in the order of paths.
SELECT path, object, size, datum, from_seq, gone FROM live
WHERE line = :line AND path > :after AND path < :high ORDER BY path LIMIT :limit;

-- name: live_page_at
-- description: Of what a line has now, a page of what it had at an earlier place.
SELECT path, object, size, datum, from_seq, gone FROM live
WHERE line = :line AND path > :after AND path < :high AND +from_seq <= :seq
ORDER BY path LIMIT :limit;

-- name: past_page_by_path
-- description: A page of what a line had at an earlier place and has lost, near the start of its history.
SELECT path, object, size, datum, from_seq, gone FROM past
WHERE line = :line AND path > :after AND path < :high AND +from_seq <= :seq AND +to_seq > :seq
ORDER BY path LIMIT :limit;

-- name: past_page_by_change
-- description: The same, near the end of its history.
SELECT path, object, size, datum, from_seq, gone FROM past INDEXED BY past_to
WHERE line = :line AND to_seq > :seq AND from_seq <= :seq AND path > :after AND path < :high
ORDER BY path LIMIT :limit;

-- name: live_total
-- description: Number and size of the files of a line in a range of paths.
SELECT count(*), coalesce(sum(size), 0) FROM live
WHERE line = :line AND path > :low AND path < :high AND object IS NOT NULL;

-- name: line_diff
-- description: What differs between two places on a line: 0 was there and is gone, 1 is there and was not.
SELECT path, 1, object, size, datum, from_seq FROM live INDEXED BY live_from
WHERE line = :line AND from_seq > :old AND from_seq <= :new
UNION ALL SELECT path, 1, object, size, datum, from_seq FROM past INDEXED BY past_from
WHERE line = :line AND from_seq > :old AND from_seq <= :new AND to_seq > :new
UNION ALL SELECT path, 0, object, size, datum, from_seq FROM past INDEXED BY past_to
WHERE line = :line AND to_seq > :old AND to_seq <= :new AND from_seq <= :old
ORDER BY 1, 2;

-- name: line_touched
-- description: The paths that any commit touched between two places on a line.
SELECT path FROM live INDEXED BY live_from
WHERE line = :line AND from_seq > :old AND from_seq <= :new
UNION SELECT path FROM past INDEXED BY past_from
WHERE line = :line AND from_seq > :old AND from_seq <= :new
UNION SELECT path FROM past INDEXED BY past_to
WHERE line = :line AND to_seq > :old AND to_seq <= :new
ORDER BY 1;

-- name: file_origin
-- description: the global id of the commit at a place on a line
SELECT id FROM cmt WHERE line = :line AND seq = :seq;

-- name: file_datum
-- description: the identity of the datum that wrote a file
SELECT ident FROM datum WHERE num = :num;
