-- name: setting_get
-- description: What is kept under a name for the whole installation.
SELECT value FROM setting WHERE name = :name;

-- name: setting_put
-- description: Keeps a word under a name, in place of what was there.
INSERT INTO setting(name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: setting_add
-- description: Keeps a word under a name, unless there is one.
INSERT INTO setting(name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING;

-- name: setting_all
-- description: Everything that is kept for the whole installation.
SELECT name, value FROM setting ORDER BY name;

-- name: setting_remove
-- description: Forgets what is kept under a name.
DELETE FROM setting WHERE name = :name;
