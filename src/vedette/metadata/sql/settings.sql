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
