-- What was looked for through whole tables. The branches that follow others by a trigger are looked
-- at in every round; the datums that an unfinished job waits for, whenever somebody lists them. They
-- are listed by `-num`, for by `num` PostgreSQL takes the key and reads the datums of other jobs.
CREATE INDEX branch_follows ON branch(id) WHERE follows IS NOT NULL;
CREATE INDEX datum_job ON datum(job, (-num));
