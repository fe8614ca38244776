-- Keeping and deleting (ENGINE K). `garbage` names objects that may be nobody's any more; they are
-- looked at again some time after `since`.
CREATE TABLE garbage(object BLOB PRIMARY KEY, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX garbage_since ON garbage(since);

-- Packs with bytes that nobody names. moved: when the last object that somebody names left it.
CREATE TABLE pack(
  number INTEGER PRIMARY KEY, dead INTEGER NOT NULL, since INTEGER NOT NULL, moved INTEGER) STRICT;
CREATE INDEX object_pack ON object(pack, place) WHERE pack IS NOT NULL;
CREATE INDEX part_object ON part(object);
CREATE INDEX staged_object ON staged(object) WHERE object IS NOT NULL;

-- Why and when files were deleted for good. Their rows stay, and name the tombstone in `gone`.
CREATE TABLE tombstone(
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;
ALTER TABLE live ADD COLUMN gone INTEGER;
ALTER TABLE past ADD COLUMN gone INTEGER;
ALTER TABLE part ADD COLUMN gone INTEGER;

-- How long a repo keeps the bytes of what its commits wrote: age in microseconds, the newest
-- `last` commits of each branch; what either keeps stays. spec: a pipeline's spec says so.
CREATE TABLE retain(
  repo INTEGER PRIMARY KEY, age INTEGER, last INTEGER, spec INTEGER NOT NULL) STRICT;
-- Up to which place on a line that has been carried out.
CREATE TABLE retained(line INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;

-- Places of lines whose commits were squashed, until the files that only they showed have gone:
-- those written above one place and replaced by another (NULL: there is no later commit).
CREATE TABLE squashed(
  id INTEGER PRIMARY KEY AUTOINCREMENT, line INTEGER NOT NULL, above INTEGER NOT NULL,
  seq INTEGER NOT NULL, until INTEGER) STRICT;
