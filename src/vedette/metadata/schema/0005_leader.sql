-- The server that leads. `epoch` grows by one each time another takes over: who holds an older one
-- can commit nothing. `since`: microseconds, never less than before, whatever the clocks say.
CREATE TABLE leader(
  name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, address TEXT NOT NULL, since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
