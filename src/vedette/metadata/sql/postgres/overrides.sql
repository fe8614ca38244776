-- name: last_job_num
-- description: the highest job number that ever was: of those there are and of those deleted
SELECT greatest(coalesce((SELECT max(num) FROM job), 0),
  coalesce((SELECT value FROM given WHERE name = 'job'), 0))

-- name: last_datum_num
-- description: the highest datum number that ever was
SELECT greatest(coalesce((SELECT max(num) FROM datum), 0),
  coalesce((SELECT value FROM given WHERE name = 'datum'), 0))

-- name: old_of_datum
-- description: The files of a datum at an earlier place on a line.
SELECT path FROM live INDEXED BY live_datum WHERE line = :line AND datum = :datum AND nullif(from_seq, NULL) <= :seq
UNION ALL SELECT path FROM past INDEXED BY past_to
WHERE line = :line AND to_seq > :seq AND nullif(from_seq, NULL) <= :seq AND datum = :datum

-- name: past_page_by_change
-- description: Former files near the end of a history. The fence keeps LIMIT from choosing the key.
SELECT path, object, size, datum, from_seq, gone FROM (
  SELECT path, object, size, datum, from_seq, gone FROM past INDEXED BY past_to
  WHERE line = :line AND to_seq > :seq AND nullif(from_seq, NULL) <= :seq OFFSET 0) p
WHERE path > :after AND path < :high ORDER BY path LIMIT :limit

-- name: line_diff
-- description: What differs between two places on a line: 0 was there and is gone, 1 is there and was not.
SELECT path, 1, object, size, datum, from_seq FROM live INDEXED BY live_from
WHERE line = :line AND from_seq > :old AND from_seq <= :new
UNION ALL SELECT path, 1, object, size, datum, from_seq FROM past INDEXED BY past_from
WHERE line = :line AND from_seq > :old AND from_seq <= :new AND nullif(to_seq, NULL) > :new
UNION ALL SELECT path, 0, object, size, datum, from_seq FROM past INDEXED BY past_to
WHERE line = :line AND to_seq > :old AND to_seq <= :new AND nullif(from_seq, NULL) <= :old
ORDER BY 1, 2

-- name: parts
-- description: what each datum wrote to one path, in datum order. The NUL between the paths of a
-- datum sorts before all letters; what stands for it here does not.
SELECT datum, ord, object, size FROM part WHERE pipeline = :pipeline AND path = :path
ORDER BY replace(ord, '␀', chr(1)), datum
