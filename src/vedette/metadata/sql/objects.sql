-- name: object_add
-- description: Makes an object known, unless it is.
INSERT INTO object(id, size, data, pack, place) VALUES (:id, :size, :data, :pack, :place)
ON CONFLICT DO NOTHING;

-- name: object_get
-- description: Size and whereabouts of an object.
SELECT size, data, pack, place FROM object WHERE id = :id;

-- name: object_size
-- description: Size of an object, without its bytes.
SELECT size FROM object WHERE id = :id;

-- name: object_outside
-- description: Every object whose bytes are not in its row, in the order in which they lie.
SELECT id, size, pack, place FROM object WHERE data IS NULL ORDER BY pack, place, id;

-- name: object_moved
-- description: An object's bytes lie somewhere else now.
UPDATE object SET pack = :pack, place = :place WHERE id = :id AND data IS NULL;

-- name: packs_forget
-- description: Forgets what is known of dead bytes: the packs are in a store that was left.
DELETE FROM pack;
