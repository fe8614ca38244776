-- name: inputs_of_commit
-- description: the commits that the job read, known still or not, which made a commit
SELECT inputs FROM job WHERE cmt = :num
UNION ALL SELECT inputs FROM provenance WHERE cmt = :num LIMIT 1

-- name: base_of_job
-- description: the job that a job was compared with, and its inputs
SELECT b.id, b.inputs, b.version FROM job j JOIN job b ON b.num = j.base WHERE j.num = :num

-- name: first_of_version
-- description: the first job of a version of a pipeline
SELECT min(num) FROM job WHERE pipeline = (SELECT pipeline FROM job WHERE num = :num)
AND version = (SELECT version FROM job WHERE num = :num)

-- name: datum_before
-- description: the record of a datum's identity before one of them
SELECT num, inputs, version, state FROM datum WHERE ident = :ident AND num < :num
ORDER BY num DESC LIMIT 1

-- name: how_in_job
-- description: what a job did with a datum
SELECT how FROM job_datum WHERE job = :job AND datum = :datum
