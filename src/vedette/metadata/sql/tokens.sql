-- name: token_insert
-- Add a token; only the hash of its secret part is kept.
INSERT INTO token(id, hash, label, scope, created) VALUES (:id, :hash, :label, :scope, :created);

-- name: token_by_hash
-- What a token that is not revoked allows.
SELECT scope FROM token WHERE hash = :hash AND revoked IS NULL;

-- name: token_list
-- All tokens, oldest first.
SELECT id, label, scope, created, revoked FROM token ORDER BY created, id;

-- name: token_get
-- One token.
SELECT id, label, scope, created, revoked FROM token WHERE id = :id;

-- name: token_revoke
-- Take a token out of use; it stays listed.
UPDATE token SET revoked = :revoked WHERE id = :id AND revoked IS NULL;
