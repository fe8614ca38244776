-- name: secret_put
-- Set one value of a secret.
INSERT INTO secret(name, key, value, created) VALUES (:name, :key, :value, :created)
ON CONFLICT(name, key) DO UPDATE SET value = excluded.value, created = excluded.created;

-- name: secret_list
-- Names, keys and dates of secrets, never values.
SELECT name, key, created FROM secret ORDER BY name, key;

-- name: secret_keys
-- Keys and dates of one secret.
SELECT key, created FROM secret WHERE name = :name ORDER BY key;

-- name: secret_value
-- One value of a secret.
SELECT value FROM secret WHERE name = :name AND key = :key;

-- name: secret_delete
-- Remove a secret with all its values.
DELETE FROM secret WHERE name = :name;

-- name: secret_delete_key
-- Remove one value of a secret.
DELETE FROM secret WHERE name = :name AND key = :key;
