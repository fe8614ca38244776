-- The scheduler numbers jobs and datums itself, so their sequences know nothing. What SQLite keeps
-- by AUTOINCREMENT, that a number never comes back, is kept here: deleting remembers the highest.
CREATE TABLE given(name TEXT COLLATE "C" PRIMARY KEY, value BIGINT NOT NULL);
CREATE FUNCTION remember_given() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO given(name, value) SELECT TG_TABLE_NAME, max(num) FROM gone HAVING max(num) IS NOT NULL
  ON CONFLICT(name) DO UPDATE SET value = greatest(given.value, excluded.value);
  RETURN NULL;
END $$;
CREATE TRIGGER job_given AFTER DELETE ON job REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION remember_given();
CREATE TRIGGER datum_given AFTER DELETE ON datum REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION remember_given();
