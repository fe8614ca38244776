-- name: garbage_add
-- description: An object that may be nobody's any more; its time of grace begins now.
INSERT INTO garbage(object, since) VALUES (:object, :since)
ON CONFLICT(object) DO UPDATE SET since = excluded.since;

-- name: garbage_found
-- description: An object that is nobody's, and may have been for long.
INSERT INTO garbage(object, since) VALUES (:object, :since) ON CONFLICT(object) DO NOTHING;

-- name: garbage_due
-- description: A page of the objects that have been suspected since before a time.
SELECT object FROM garbage WHERE since < :before ORDER BY since LIMIT :limit;

-- name: garbage_drop
-- description: An object is no longer suspected.
DELETE FROM garbage WHERE object = :object;

-- name: garbage_later
-- description: An object is to be looked at again later.
UPDATE garbage SET since = :since WHERE object = :object;

-- name: garbage_count
-- description: How many objects are suspected.
SELECT count(*) FROM garbage;

-- name: object_where
-- description: Size of an object, whether it is inline (1), and its pack.
SELECT size, CASE WHEN data IS NULL THEN 0 ELSE 1 END, pack FROM object WHERE id = :id;

-- name: object_named
-- description: Whether a file, or a write on its way to be one, has this object.
SELECT 1 FROM live WHERE object = :id AND gone IS NULL
UNION ALL SELECT 1 FROM past WHERE object = :id AND gone IS NULL
UNION ALL SELECT 1 FROM part WHERE object = :id AND gone IS NULL
UNION ALL SELECT 1 FROM staged WHERE object = :id LIMIT 1;

-- name: object_drop
-- description: An object is not known any more.
DELETE FROM object WHERE id = :id;

-- name: object_tombstone
-- description: Why and when the bytes of an object were deleted for good.
SELECT t.at, t.reason, t.id FROM live f JOIN tombstone t ON t.id = f.gone WHERE f.object = :id
UNION ALL SELECT t.at, t.reason, t.id FROM past f JOIN tombstone t ON t.id = f.gone
WHERE f.object = :id LIMIT 1;

-- name: pack_dead
-- description: More of a pack is dead.
INSERT INTO pack(number, dead, since, moved) VALUES (:number, :size, :now, NULL)
ON CONFLICT(number) DO UPDATE SET dead = pack.dead + excluded.dead;

-- name: pack_waste
-- description: How much of a pack is dead, as it was counted.
INSERT INTO pack(number, dead, since, moved) VALUES (:number, :dead, :now, NULL)
ON CONFLICT(number) DO UPDATE SET dead = excluded.dead;

-- name: packs_dead
-- description: Packs of which something is dead.
SELECT number, dead, since, moved FROM pack ORDER BY number;

-- name: pack_live
-- description: A page of the objects in a pack, by their places.
SELECT id, size, place FROM object WHERE pack = :pack AND place >= :place
ORDER BY place LIMIT :limit;

-- name: pack_live_size
-- description: Number and bytes of the objects in a pack.
SELECT count(*), coalesce(sum(size), 0) FROM object WHERE pack = :pack;

-- name: object_move
-- description: An object has another place, if nobody moved it meanwhile.
UPDATE object SET pack = :pack, place = :place
WHERE id = :id AND pack = :old_pack AND place = :old_place;

-- name: pack_moved
-- description: Nobody names anything in a pack any more.
UPDATE pack SET moved = :now WHERE number = :number;

-- name: pack_postpone
-- description: A pack that could not be emptied is tried again later.
UPDATE pack SET since = :now WHERE number = :number;

-- name: pack_drop
-- description: A pack has gone.
DELETE FROM pack WHERE number = :number;

-- name: objects_after
-- description: A page of the known objects after one.
SELECT id, size, CASE WHEN data IS NULL THEN 0 ELSE 1 END, pack, place FROM object
WHERE id > :after ORDER BY id LIMIT :limit;

-- name: results_after
-- description: A page of the results of datums.
SELECT num, result FROM datum WHERE num > :after AND result IS NOT NULL ORDER BY num LIMIT :limit;

-- name: tombstones
-- description: Whether anything was ever deleted for good.
SELECT 1 FROM tombstone LIMIT 1;

-- name: check_live
-- description: Files whose object is not known.
SELECT r.name, f.path, f.object FROM live f JOIN line l ON l.id = f.line JOIN repo r ON r.id = l.repo
WHERE f.object IS NOT NULL AND f.gone IS NULL
  AND NOT EXISTS (SELECT 1 FROM object o WHERE o.id = f.object) LIMIT :limit;

-- name: check_past
-- description: Former files whose object is not known.
SELECT r.name, f.path, f.object FROM past f JOIN line l ON l.id = f.line JOIN repo r ON r.id = l.repo
WHERE f.object IS NOT NULL AND f.gone IS NULL
  AND NOT EXISTS (SELECT 1 FROM object o WHERE o.id = f.object) LIMIT :limit;

-- name: check_part
-- description: Shared paths whose object is not known.
SELECT p.name, f.path, f.object FROM part f JOIN pipeline p ON p.id = f.pipeline
WHERE f.gone IS NULL AND NOT EXISTS (SELECT 1 FROM object o WHERE o.id = f.object) LIMIT :limit;

-- name: check_staged
-- description: Writes to open commits whose object is not known.
SELECT r.name, s.path, s.object FROM staged s JOIN cmt c ON c.num = s.cmt JOIN repo r ON r.id = c.repo
WHERE s.object IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM object o WHERE o.id = s.object) LIMIT :limit;

-- name: check_lines
-- description: Files of lines that are not there.
SELECT line, count(*) FROM live WHERE NOT EXISTS (SELECT 1 FROM line l WHERE l.id = live.line)
GROUP BY line
UNION ALL SELECT line, count(*) FROM past
WHERE NOT EXISTS (SELECT 1 FROM line l WHERE l.id = past.line) GROUP BY line LIMIT :limit;

-- name: check_heads
-- description: Branches whose head is not a finished commit of their repo.
SELECT r.name, b.name, b.head FROM branch b JOIN repo r ON r.id = b.repo
LEFT JOIN cmt c ON c.num = b.head AND c.repo = b.repo AND c.state = 'finished'
WHERE b.head IS NOT NULL AND c.num IS NULL LIMIT :limit;

-- name: check_parents
-- description: Finished commits whose parent or line is not there.
SELECT r.name, c.id FROM cmt c JOIN repo r ON r.id = c.repo
LEFT JOIN cmt p ON p.num = c.parent LEFT JOIN line l ON l.id = c.line
WHERE c.state = 'finished' AND ((c.parent IS NOT NULL AND p.num IS NULL) OR l.id IS NULL
  OR c.seq > l.head) LIMIT :limit;

-- name: check_members
-- description: Datums of pipelines that are not there.
SELECT p.name, m.datum FROM member m JOIN pipeline p ON p.id = m.pipeline
LEFT JOIN datum d ON d.num = m.datum WHERE d.num IS NULL LIMIT :limit;

-- name: check_jobs
-- description: Jobs whose counts do not add up (R9), or whose commit is gone and that do not go too.
SELECT p.name, j.id FROM job j JOIN pipeline p ON p.id = j.pipeline
LEFT JOIN cmt c ON c.num = j.cmt
WHERE (c.num IS NULL AND coalesce(j.finished, 1) <> 0) OR (j.state = 'SUCCESS'
  AND j.processed + j.skipped + j.failed + j.recovered <> j.total) LIMIT :limit;

-- name: check_branch_heads
-- description: The heads of all branches.
SELECT r.name, b.name, b.head FROM branch b JOIN repo r ON r.id = b.repo
WHERE b.head IS NOT NULL ORDER BY r.name, b.name;

-- name: pack_known
-- description: Whether a pack is noted as one with dead bytes.
SELECT 1 FROM pack WHERE number = :number;

-- name: garbage_known
-- description: Whether an object is suspected.
SELECT 1 FROM garbage WHERE object = :id;

-- name: object_data
-- description: The bytes of an object that lie in its row.
SELECT data FROM object WHERE id = :id;

-- name: tombstone_add
-- description: Files are deleted for good from now on, for this reason.
INSERT INTO tombstone(at, reason) VALUES (:at, :reason);

-- name: tombstone_get
-- description: When and why files were deleted for good.
SELECT at, reason FROM tombstone WHERE id = :id;

-- name: retain_set
-- description: How long a repo keeps bytes.
INSERT INTO retain(repo, age, last, spec) VALUES (:repo, :age, :last, :spec)
ON CONFLICT(repo) DO UPDATE SET age = excluded.age, last = excluded.last, spec = excluded.spec;

-- name: retain_drop
-- description: A repo keeps all bytes from now on.
DELETE FROM retain WHERE repo = :repo;

-- name: retain_get
-- description: How long a repo keeps bytes.
SELECT age, last, spec FROM retain WHERE repo = :repo;

-- name: retain_all
-- description: The repos that do not keep bytes for ever.
SELECT k.repo, r.name, k.age, k.last FROM retain k JOIN repo r ON r.id = k.repo ORDER BY k.repo;

-- name: retain_lines
-- description: The lines of a repo, their newest places, and how far retention has come.
SELECT l.id, l.head, coalesce(d.seq, 0) FROM line l LEFT JOIN retained d ON d.line = l.id
WHERE l.repo = :repo ORDER BY l.id;

-- name: retain_first_young
-- description: The first place on a line, after one, that was finished at a time or later.
SELECT seq FROM cmt WHERE line = :line AND seq > :after AND finished >= :cutoff ORDER BY seq LIMIT 1;

-- name: retained_set
-- description: How far retention has come on a line.
INSERT INTO retained(line, seq) VALUES (:line, :seq)
ON CONFLICT(line) DO UPDATE SET seq = excluded.seq;

-- name: old_live
-- description: A page of files, still there, that were written between two places of a line.
SELECT path, from_seq, object FROM live INDEXED BY live_from
WHERE line = :line AND from_seq > :after
AND from_seq <= :until AND gone IS NULL AND object IS NOT NULL ORDER BY from_seq LIMIT :limit;

-- name: old_past
-- description: A page of former files that were written between two places of a line.
SELECT path, from_seq, object FROM past INDEXED BY past_from
WHERE line = :line AND from_seq > :after
AND from_seq <= :until AND gone IS NULL AND object IS NOT NULL ORDER BY from_seq LIMIT :limit;

-- name: versions_live
-- description: A page of files at or below a path that are there for good so far.
SELECT path, from_seq, object FROM live WHERE line = :line AND path >= :low AND path < :high
AND gone IS NULL AND object IS NOT NULL ORDER BY path LIMIT :limit;

-- name: versions_past
-- description: A page of former files at or below a path that are there for good so far.
SELECT path, from_seq, object FROM past WHERE line = :line AND path >= :low AND path < :high
AND gone IS NULL AND object IS NOT NULL ORDER BY path LIMIT :limit;

-- name: bury_live
-- description: A file is deleted for good.
UPDATE live SET gone = :gone WHERE line = :line AND path = :path AND from_seq = :seq;

-- name: bury_past
-- description: A former file is deleted for good.
UPDATE past SET gone = :gone WHERE line = :line AND path = :path AND from_seq = :seq;

-- name: bury_parts
-- description: What datums wrote to a shared path is deleted for good.
UPDATE part SET gone = :gone WHERE path = :path AND gone IS NULL
AND pipeline IN (SELECT id FROM pipeline WHERE repo = :repo) RETURNING object;

-- name: bury_again
-- description: A file that a result brought back has no bytes any more.
UPDATE live SET gone = :gone WHERE line = :line AND path = :path AND object = :object;

-- name: job_to_forget
-- description: A job by its id, its state, and the newest of its pipeline whose output commit is
-- finished, whatever became of copying it outside (good_job).
SELECT j.num, j.state, coalesce((SELECT g.num FROM job g JOIN cmt c ON c.num = g.cmt
  WHERE g.pipeline = j.pipeline AND c.state = 'finished' ORDER BY g.num DESC LIMIT 1), 0)
FROM job j WHERE j.id = :id;

-- name: old_jobs
-- description: A page of jobs that ended long ago; not the newest of a pipeline whose output
-- commit is finished, nor one that its branch was moved to: the next is compared with these.
SELECT num FROM job
WHERE ((state = 'SUCCESS' AND finished < :good) OR (state <> 'SUCCESS' AND finished < :bad))
AND num <> coalesce((SELECT g.num FROM job g JOIN cmt c ON c.num = g.cmt
  WHERE g.pipeline = job.pipeline AND c.state = 'finished' ORDER BY g.num DESC LIMIT 1), 0)
AND NOT EXISTS (SELECT 1 FROM rebase b WHERE b.pipeline = job.pipeline AND b.job = job.num)
ORDER BY num LIMIT :limit;

-- name: job_drop_logs
-- description: Forgets a page of a job's log.
DELETE FROM log WHERE num IN (SELECT num FROM log WHERE job = :job ORDER BY num LIMIT :limit);

-- name: job_drop_datums
-- description: Forgets a page of what a job did with datums.
DELETE FROM job_datum WHERE job = :job AND datum IN (
  SELECT datum FROM job_datum WHERE job = :job ORDER BY datum LIMIT :limit);

-- name: job_keep_provenance
-- description: What a job read stays known of the commit that it made.
INSERT INTO provenance(cmt, inputs) SELECT j.cmt, j.inputs FROM job j JOIN cmt c ON c.num = j.cmt
JOIN repo r ON r.id = c.repo WHERE j.num = :job ON CONFLICT(cmt) DO NOTHING;

-- name: job_drop
-- description: Forgets a job.
DELETE FROM job WHERE num = :job;

-- name: old_datums
-- description: A page of records of datums that belong to no pipeline's newest job.
SELECT d.num, d.state, d.finished, d.result, p.id, m.datum FROM datum d
LEFT JOIN pipeline p ON p.name = d.pipeline
LEFT JOIN member m ON m.pipeline = p.id AND m.ident = d.ident
WHERE d.num > :after ORDER BY d.num LIMIT :limit;

-- name: datum_drop
-- description: Forgets the record of a datum.
DELETE FROM datum WHERE num = :num;

-- name: datum_drop_logs
-- description: Forgets a datum's log.
DELETE FROM log WHERE datum = :num;

-- name: squash_neighbours
-- description: The nearest places of commits before and after one of a line.
SELECT (SELECT max(seq) FROM cmt WHERE line = :line AND seq < :seq),
  (SELECT min(seq) FROM cmt WHERE line = :line AND seq > :seq);

-- name: squash_heads
-- description: The branches that stand on a commit, or will.
SELECT name FROM branch WHERE repo = :repo AND (head = :num OR planned = :num) ORDER BY name;

-- name: squash_forks
-- description: Lines that left a line at a place.
SELECT id FROM line WHERE repo = :repo AND parent = :line AND fork_seq = :seq LIMIT 1;

-- name: squash_readers
-- description: Jobs that are not done, and the newest of each pipeline whose output commit is
-- finished, with their inputs.
SELECT j.id, p.name, j.cmt, j.inputs, j.state FROM job j JOIN pipeline p ON p.id = j.pipeline
WHERE j.state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE')
UNION ALL SELECT j.id, p.name, j.cmt, j.inputs, j.state FROM pipeline p
JOIN job j ON j.num = (SELECT g.num FROM job g JOIN cmt c ON c.num = g.cmt
  WHERE g.pipeline = p.id AND c.state = 'finished' ORDER BY g.num DESC LIMIT 1);

-- name: squash_children
-- description: Later commits that follow one directly.
SELECT id FROM cmt WHERE repo = :repo AND num > :num AND parent = :num ORDER BY num LIMIT 1;

-- name: squash_adopt
-- description: What followed a commit follows its parent.
UPDATE cmt SET parent = :parent WHERE repo = :repo AND num > :num AND parent = :num;

-- name: squash_commit
-- description: Takes a commit away.
DELETE FROM cmt WHERE num = :num;

-- name: squash_job
-- description: The job that made a commit is as old as can be, so that it goes next.
UPDATE job SET finished = 0 WHERE cmt = :num;

-- name: squash_provenance
-- description: Forgets where a commit that is taken away came from.
DELETE FROM provenance WHERE cmt = :num;

-- name: squash_add
-- description: The files that only one place of a line showed are to go.
INSERT INTO squashed(line, above, seq, until) VALUES (:line, :above, :seq, :until);

-- name: squash_next
-- description: A place whose files are to go.
SELECT id, line, above, seq, until FROM squashed ORDER BY id LIMIT 1;

-- name: squash_done
-- description: All files that only this place showed have gone.
DELETE FROM squashed WHERE id = :id;

-- name: squash_past
-- description: A page of former files that no commit shows any more; their objects.
DELETE FROM past WHERE line = :line AND from_seq > :above AND path IN (
  SELECT path FROM past INDEXED BY past_to WHERE line = :line AND to_seq > :seq AND to_seq <= :until
  AND from_seq > :above LIMIT :limit)
AND to_seq > :seq AND to_seq <= :until RETURNING object;

-- name: squash_live
-- description: A page of a line's last files that no commit shows any more; their objects.
DELETE FROM live WHERE line = :line AND from_seq > :above AND path IN (
  SELECT path FROM live INDEXED BY live_from WHERE line = :line AND from_seq > :above LIMIT :limit) RETURNING object;

-- name: usage_versions
-- description: Number and bytes of all versions of files of a repo whose bytes were not deleted.
SELECT count(*), coalesce(sum(v.size), 0) FROM (
  SELECT f.size FROM live f JOIN line l ON l.id = f.line
  WHERE l.repo = :repo AND f.object IS NOT NULL AND f.gone IS NULL
  UNION ALL SELECT f.size FROM past f JOIN line l ON l.id = f.line
  WHERE l.repo = :repo AND f.object IS NOT NULL AND f.gone IS NULL) v;

-- name: usage_commit
-- description: Number and bytes of the contents that a commit brought, and bytes of those that no
-- other version of a file has, in any repo.
WITH brought(object, size) AS (
  SELECT object, size FROM live INDEXED BY live_from
  WHERE line = :line AND from_seq = :seq AND object IS NOT NULL AND gone IS NULL
  UNION SELECT object, size FROM past INDEXED BY past_from
  WHERE line = :line AND from_seq = :seq AND object IS NOT NULL AND gone IS NULL)
SELECT count(*), coalesce(sum(b.size), 0), coalesce(sum(CASE
  WHEN EXISTS (SELECT 1 FROM live f WHERE f.object = b.object AND f.gone IS NULL
    AND (f.line <> :line OR f.from_seq <> :seq)) THEN 0
  WHEN EXISTS (SELECT 1 FROM past f WHERE f.object = b.object AND f.gone IS NULL
    AND (f.line <> :line OR f.from_seq <> :seq)) THEN 0
  ELSE b.size END), 0) FROM brought b;

-- name: usage_objects
-- description: Number and bytes of the objects of a repo, and bytes of those that other repos have too.
WITH mine(object, size) AS (
  SELECT f.object, f.size FROM live f JOIN line l ON l.id = f.line
  WHERE l.repo = :repo AND f.object IS NOT NULL AND f.gone IS NULL
  UNION SELECT f.object, f.size FROM past f JOIN line l ON l.id = f.line
  WHERE l.repo = :repo AND f.object IS NOT NULL AND f.gone IS NULL)
SELECT count(*), coalesce(sum(m.size), 0), coalesce(sum(CASE
  WHEN EXISTS (SELECT 1 FROM live f JOIN line l ON l.id = f.line
    WHERE f.object = m.object AND f.gone IS NULL AND l.repo <> :repo) THEN m.size
  WHEN EXISTS (SELECT 1 FROM past f JOIN line l ON l.id = f.line
    WHERE f.object = m.object AND f.gone IS NULL AND l.repo <> :repo) THEN m.size
  ELSE 0 END), 0) FROM mine m;
