-- How many bytes the versions of a repo's files may have, each counted by itself (ENGINE K). `used`
-- grows with each commit; where something went since (`stale`), it is counted anew.
CREATE TABLE quota(
  repo INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, used INTEGER NOT NULL,
  stale INTEGER NOT NULL) STRICT;
