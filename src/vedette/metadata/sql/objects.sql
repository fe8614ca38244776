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
