-- name: once_note
-- Note a call that is carried out, unless it was before.
INSERT INTO once(key, made, answer) VALUES (:key, :made, :answer) ON CONFLICT DO NOTHING;

-- name: once_known
-- What a call was answered.
SELECT answer FROM once WHERE key = :key;

-- name: once_oldest
-- The oldest call, and how many numbers lie between it and the newest.
SELECT made, num, (SELECT max(num) FROM once) - num FROM once ORDER BY num LIMIT 1;

-- name: once_forget
-- Forget the oldest calls: those from before `old`, and before `young` those over `most`.
DELETE FROM once
WHERE num IN (SELECT num FROM once ORDER BY num LIMIT :step)
  AND (made < :old OR (made < :young AND num <= (SELECT max(num) FROM once) - :most));
