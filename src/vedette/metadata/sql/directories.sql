-- name: dir_near
-- description: what a directory held at the nearest known place of a line, not after this one
SELECT seq, files, size, digest FROM dir
WHERE line = :line AND path = :path AND seq <= :seq ORDER BY seq DESC LIMIT 1

-- name: dir_keep
-- description: what a directory holds at a place on a line
INSERT INTO dir(line, path, seq, files, size, digest)
VALUES (:line, :path, :seq, :files, :size, :digest) ON CONFLICT DO NOTHING

-- name: dir_forget
-- description: places before this one are not followed from any more
DELETE FROM dir WHERE line = :line AND path = :path AND seq < :seq

-- name: line_drop_dirs
-- description: what is known of directories of a line that goes
DELETE FROM dir WHERE line = :line

-- name: line_diff_within
-- description: as line_diff, in a range of paths
SELECT path, 1, object, size, datum, from_seq FROM live INDEXED BY live_from
WHERE line = :line AND from_seq > :old AND from_seq <= :new AND path > :low AND path < :high
UNION ALL SELECT path, 1, object, size, datum, from_seq FROM past INDEXED BY past_from
WHERE line = :line AND from_seq > :old AND from_seq <= :new AND to_seq > :new
  AND path > :low AND path < :high
UNION ALL SELECT path, 0, object, size, datum, from_seq FROM past INDEXED BY past_to
WHERE line = :line AND to_seq > :old AND to_seq <= :new AND from_seq <= :old
  AND path > :low AND path < :high
ORDER BY 1, 2

-- name: schema_applied
-- description: when this database was brought to a number of the schema
SELECT applied FROM schema_version WHERE number = :number AND phase = 'pre'
