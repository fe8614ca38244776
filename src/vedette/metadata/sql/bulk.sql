-- name: datums_by_key
-- description: the records of a page of contents of datums
SELECT num, state, result, refs, tries, lost, prior, reason, inputs, job, version, key FROM datum
WHERE key IN (:k0, :k1, :k2, :k3, :k4, :k5, :k6, :k7, :k8, :k9, :k10, :k11, :k12, :k13, :k14, :k15,
  :k16, :k17, :k18, :k19, :k20, :k21, :k22, :k23, :k24, :k25, :k26, :k27, :k28, :k29, :k30, :k31,
  :k32, :k33, :k34, :k35, :k36, :k37, :k38, :k39, :k40, :k41, :k42, :k43, :k44, :k45, :k46, :k47,
  :k48, :k49, :k50, :k51, :k52, :k53, :k54, :k55, :k56, :k57, :k58, :k59, :k60, :k61, :k62, :k63)

-- name: idents_succeeded
-- description: which of a page of identities ever succeeded
SELECT DISTINCT ident FROM datum WHERE state = 'done' AND ident IN (:k0, :k1, :k2, :k3, :k4, :k5, :k6, :k7, :k8, :k9, :k10, :k11, :k12, :k13, :k14, :k15,
  :k16, :k17, :k18, :k19, :k20, :k21, :k22, :k23, :k24, :k25, :k26, :k27, :k28, :k29, :k30, :k31,
  :k32, :k33, :k34, :k35, :k36, :k37, :k38, :k39, :k40, :k41, :k42, :k43, :k44, :k45, :k46, :k47,
  :k48, :k49, :k50, :k51, :k52, :k53, :k54, :k55, :k56, :k57, :k58, :k59, :k60, :k61, :k62, :k63)

-- name: forget_job_datums
-- description: a job is expanded again: what it had noted of datums goes
DELETE FROM job_datum WHERE job = :job

-- name: job_has_datum
-- description: whether a job has noted what became of a datum
SELECT 1 FROM job_datum WHERE job = :job AND datum = :datum AND how <> 'gone'

-- name: job_results
-- description: a page of a job's datums with what they wrote
SELECT x.datum, d.ident, x.how, d.result, d.inputs FROM job_datum x JOIN datum d ON d.num = x.datum
WHERE x.job = :job AND x.datum > :after ORDER BY x.datum LIMIT :limit

-- name: job_replaces
-- description: for a page of a job's datums, those that their identities had before
SELECT x.datum, m.datum FROM
  (SELECT datum, how FROM job_datum WHERE job = :job AND datum > :after
   ORDER BY datum LIMIT :limit) x
JOIN datum d ON d.num = x.datum
LEFT JOIN member m ON x.how <> 'gone' AND m.pipeline = :pipeline AND m.ident = d.ident AND m.datum <> x.datum

-- name: strangers
-- description: for a page of a pipeline's datums, whether a job has them too
SELECT m.ident, m.datum, x.datum FROM
  (SELECT ident, datum FROM member WHERE pipeline = :pipeline AND ident > :after
   ORDER BY ident LIMIT :limit) m
LEFT JOIN job_datum x ON x.job = :job AND x.datum = m.datum
ORDER BY m.ident

-- name: job_members
-- description: give the identities of a stretch of a job's datums these datums
INSERT INTO member(pipeline, ident, datum)
SELECT :pipeline, d.ident, d.num FROM job_datum x JOIN datum d ON d.num = x.datum
WHERE x.job = :job AND x.datum > :after AND x.datum <= :until AND x.how <> 'gone'
ON CONFLICT(pipeline, ident) DO UPDATE SET datum = excluded.datum

-- name: job_datum_page
-- description: a page of the datums that a job has noted
SELECT datum FROM job_datum WHERE job = :job AND datum > :after ORDER BY datum LIMIT :limit

-- name: job_gone
-- description: a page of the identities that a job took away from its pipeline
SELECT m.ident, m.datum, NULL FROM job_datum x JOIN datum d ON d.num = x.datum
JOIN member m ON m.pipeline = :pipeline AND m.ident = d.ident AND m.datum = x.datum
WHERE x.job = :job AND x.how = 'gone' AND m.ident > :after ORDER BY m.ident LIMIT :limit

-- name: failed_beside
-- description: how many failed datums of a pipeline a large job leaves as they are
SELECT count(*) FROM datum d WHERE d.state = 'failed' AND d.pipeline = :name
AND (SELECT m.datum FROM member m WHERE m.pipeline = :pipeline AND m.ident = d.ident) = d.num
AND NOT EXISTS (
  SELECT 1 FROM datum n JOIN job_datum x ON x.job = :job AND x.datum = n.num
  WHERE n.ident = d.ident)
