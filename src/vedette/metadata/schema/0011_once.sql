-- Calls that were carried out, by a digest of the key that their caller chose: one that is sent
-- again is answered as it was (docs/design/014). `answer` is NULL where it was too large.
CREATE TABLE once(
  num INTEGER PRIMARY KEY AUTOINCREMENT,
  key BLOB NOT NULL UNIQUE,
  made INTEGER NOT NULL,
  answer BLOB
) STRICT;
