-- The first schema. Files are model S of the metadata study: `live` holds what the head of a line
-- has, `past` what it had; closing a file moves its row. Times are microseconds since 1970 UTC.
-- Numbers never come back (AUTOINCREMENT): cursors and memories that name one must not find another.

CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- An object's bytes are inline (data), in a pack (pack, place), or in a file of their own (neither).
CREATE TABLE object(
  id BLOB PRIMARY KEY, size INTEGER NOT NULL, data BLOB, pack INTEGER, place INTEGER) STRICT;

CREATE TABLE repo(
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
  kind TEXT NOT NULL, created INTEGER NOT NULL) STRICT;

-- A line is an unforked run of commits; a fork makes a line whose parent is the one it left.
CREATE TABLE line(
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo INTEGER NOT NULL, parent INTEGER, fork_seq INTEGER,
  head INTEGER NOT NULL) STRICT;

-- head: number of the newest finished commit. planned: of the newest, finished or not.
CREATE TABLE branch(
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo INTEGER NOT NULL, name TEXT NOT NULL, line INTEGER,
  head INTEGER, planned INTEGER, follows TEXT, trigger BLOB, moved INTEGER,
  UNIQUE(repo, name)) STRICT;

-- line and seq are NULL until the commit is finished; closed counts the rows moved to `past` so far.
CREATE TABLE cmt(
  num INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, repo INTEGER NOT NULL, branch TEXT NOT NULL,
  line INTEGER, seq INTEGER, parent INTEGER, origin TEXT NOT NULL, state TEXT NOT NULL,
  started INTEGER NOT NULL, finished INTEGER, files INTEGER NOT NULL, size INTEGER NOT NULL,
  closed INTEGER NOT NULL, description TEXT NOT NULL, error TEXT NOT NULL,
  UNIQUE(line, seq)) STRICT;
CREATE INDEX cmt_id ON cmt(id);
CREATE INDEX cmt_repo ON cmt(repo, num);
CREATE INDEX cmt_open ON cmt(repo, branch) WHERE state = 'started';

CREATE TABLE live(
  line INTEGER NOT NULL, path TEXT NOT NULL, from_seq INTEGER NOT NULL, object BLOB,
  size INTEGER, datum INTEGER, PRIMARY KEY(line, path)) STRICT, WITHOUT ROWID;
CREATE INDEX live_from ON live(line, from_seq);
CREATE INDEX live_datum ON live(line, datum) WHERE datum IS NOT NULL;
CREATE INDEX live_object ON live(object);

CREATE TABLE past(
  line INTEGER NOT NULL, path TEXT NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL,
  object BLOB, size INTEGER, datum INTEGER,
  PRIMARY KEY(line, path, from_seq)) STRICT, WITHOUT ROWID;
CREATE INDEX past_from ON past(line, from_seq);
CREATE INDEX past_to ON past(line, to_seq);
CREATE INDEX past_object ON past(object);

-- What each datum wrote to a path that several wrote (output_conflict is not `error`); ord: order of datums.
CREATE TABLE part(
  pipeline INTEGER NOT NULL, path TEXT NOT NULL, datum INTEGER NOT NULL, ord TEXT NOT NULL,
  object BLOB NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY(pipeline, path, datum)) STRICT, WITHOUT ROWID;
CREATE INDEX part_datum ON part(pipeline, datum);

-- Writes to an open commit, applied in order when it finishes.
CREATE TABLE staged(
  cmt INTEGER NOT NULL, n INTEGER NOT NULL, op TEXT NOT NULL, path TEXT NOT NULL,
  object BLOB, size INTEGER, PRIMARY KEY(cmt, n)) STRICT, WITHOUT ROWID;
CREATE INDEX staged_path ON staged(cmt, path);

CREATE TABLE pipeline(
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, repo INTEGER NOT NULL, branch TEXT NOT NULL,
  version INTEGER NOT NULL, salt BLOB NOT NULL, created INTEGER NOT NULL, state TEXT NOT NULL,
  reason TEXT NOT NULL) STRICT;
CREATE TABLE pipeline_version(
  pipeline INTEGER NOT NULL, version INTEGER NOT NULL, document BLOB NOT NULL,
  salt BLOB NOT NULL, created INTEGER NOT NULL,
  PRIMARY KEY(pipeline, version)) STRICT, WITHOUT ROWID;

-- inputs: msgpack list of commit numbers, one a leaf of the input tree, from left to right.
-- base: the job whose inputs this one was compared with.
CREATE TABLE job(
  num INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, pipeline INTEGER NOT NULL,
  version INTEGER NOT NULL, cmt INTEGER NOT NULL UNIQUE, base INTEGER, inputs BLOB NOT NULL,
  state TEXT NOT NULL, reason TEXT NOT NULL, created INTEGER NOT NULL, started INTEGER,
  finished INTEGER, total INTEGER NOT NULL, processed INTEGER NOT NULL, skipped INTEGER NOT NULL,
  failed INTEGER NOT NULL, recovered INTEGER NOT NULL, restarts INTEGER NOT NULL,
  download INTEGER NOT NULL, upload INTEGER NOT NULL) STRICT;
CREATE INDEX job_pipeline ON job(pipeline, num);
CREATE INDEX job_open ON job(num) WHERE state NOT IN ('SUCCESS','FAILURE','KILLED','UNRUNNABLE');

-- One row per content of a datum (key): its work while it waits and runs, its result afterwards,
-- which any later job takes from here (the global datum cache). `prior`: its identity had succeeded
-- before. refs: digest of the content of its reference inputs when it last ran.
CREATE TABLE datum(
  num INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, ident BLOB NOT NULL, pipeline TEXT NOT NULL,
  version INTEGER NOT NULL, job INTEGER NOT NULL, inputs BLOB NOT NULL, state TEXT NOT NULL,
  prior INTEGER NOT NULL, refs BLOB NOT NULL, tries INTEGER NOT NULL, lost INTEGER NOT NULL,
  lease INTEGER NOT NULL, worker TEXT, result BLOB, reason TEXT NOT NULL,
  created INTEGER NOT NULL, finished INTEGER, seconds REAL NOT NULL) STRICT;
CREATE INDEX datum_ident ON datum(ident, state);
CREATE INDEX datum_failed ON datum(pipeline, num) WHERE state = 'failed';
CREATE INDEX datum_open ON datum(pipeline, state) WHERE state IN ('queued', 'leased');

-- The datums that a job added, changed or removed against its base. how: run, cached, gone, failed
CREATE TABLE job_datum(
  job INTEGER NOT NULL, datum INTEGER NOT NULL, how TEXT NOT NULL,
  PRIMARY KEY(job, datum)) STRICT, WITHOUT ROWID;

-- The datums of a pipeline's newest successful job, by identity.
CREATE TABLE member(
  pipeline INTEGER NOT NULL, ident BLOB NOT NULL, datum INTEGER NOT NULL,
  PRIMARY KEY(pipeline, ident)) STRICT, WITHOUT ROWID;

CREATE TABLE log(
  num INTEGER PRIMARY KEY AUTOINCREMENT, datum INTEGER NOT NULL, job INTEGER NOT NULL, pipeline TEXT NOT NULL,
  at INTEGER NOT NULL, attempt INTEGER NOT NULL, stream TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE INDEX log_datum ON log(datum, num);
CREATE INDEX log_job ON log(job, num);
CREATE INDEX log_pipeline ON log(pipeline, num);

CREATE TABLE token(
  id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, label TEXT NOT NULL, scope TEXT NOT NULL,
  created INTEGER NOT NULL, revoked INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE secret(
  name TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, created INTEGER NOT NULL,
  PRIMARY KEY(name, key)) STRICT, WITHOUT ROWID;
