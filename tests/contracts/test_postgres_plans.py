"""What a put, a job and a listing ask of PostgreSQL costs what they touch, not what there is.

The questions are those that the engine really asks, with their values, on tables that are large and
churned: two hundred times as many rows as are asked for, one path replaced ten thousand times, a
window of deleted files before the living ones. Each is planned with its values and without
(generic plans), by statistics that are fresh, out of date, or not there at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.postgres import Postgres
from tests.rig import Rig, pfs, rig

from vedette.metadata.postgres import PostgresStore
from vedette.metadata.postgres_connection import connect
from vedette.metadata.postgres_rows import PostgresRows
from vedette.scheduling import datums, jobs
from vedette.versioning import commits, files, repos

Asked = dict[str, dict[str, Any]]
ROWS = 20_000
# Where repo, pipeline and line are those of the test's own, and where they are others'.
FILL = """
INSERT INTO object(id, size, data)
  SELECT sha256(n::text::bytea), 4, 'abcd' FROM generate_series(1, {rows}) n;
INSERT INTO repo(name, description, kind, created) SELECT 'other-' || n, '', 'user', 0
  FROM generate_series(1, 500) n;
INSERT INTO branch(repo, name, line, head, planned, moved)
  SELECT id, 'master', id + 1000, NULL, NULL, 0 FROM repo WHERE name LIKE 'other-%';
INSERT INTO cmt(id, repo, branch, line, seq, origin, state, started, finished, files, size, closed,
  description, error)
  SELECT md5(n::text), {repo}, 'side', {line} + 1000000, n, 'user', 'finished', 0, 0, 1, 1, 0, '',
    ''
  FROM generate_series(1, {rows}) n;
INSERT INTO live(line, path, from_seq, object, size, datum)
  SELECT {line}, '/live/' || lpad(n::text, 7, '0'), 1, sha256(n::text::bytea), 4, NULL
  FROM generate_series(1, {rows}) n;
INSERT INTO live(line, path, from_seq, object, size, datum)
  SELECT {out}, '/live/' || lpad(n::text, 7, '0'), 1, sha256(n::text::bytea), 4, 1000000 + n
  FROM generate_series(1, {rows}) n;
INSERT INTO past(line, path, from_seq, to_seq, object, size, datum)
  SELECT {line}, '/churned', 1 - n, 2 - n, sha256(n::text::bytea), 4, NULL
  FROM generate_series(1, {rows} / 2) n;
INSERT INTO past(line, path, from_seq, to_seq, object, size, datum)
  SELECT {line}, '/a/' || lpad(n::text, 7, '0'), -9, 1, sha256(n::text::bytea), 4, NULL
  FROM generate_series(1, {rows}) n;
INSERT INTO past(line, path, from_seq, to_seq, object, size, datum)
  SELECT {out}, '/a/' || lpad(n::text, 7, '0'), -9, 1, sha256(n::text::bytea), 4, 1000000 + n
  FROM generate_series(1, {rows}) n;
INSERT INTO job(num, id, pipeline, version, cmt, inputs, state, reason, created, total, processed,
  skipped, failed, recovered, restarts, download, upload)
  SELECT n, md5('job' || n), {pipeline}, 1, (SELECT max(num) FROM cmt) + 1000001 - n,
    '\\x90', 'SUCCESS', '', 0, 1, 1, 0, 0, 0, 0, 0, 0
  FROM generate_series(1000001, 1000000 + {rows}) n;
INSERT INTO datum(num, key, ident, pipeline, version, job, inputs, state, prior, refs, tries, lost,
  lease, result, reason, created, seconds)
  SELECT n, sha256(('key' || n)::bytea), sha256(('id' || n)::bytea), 'p', 1, 1000000,
    '\\x90', CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'done' END, 0,
    '\\x', 1, 0, 0, '\\x90', '', 0, 0
  FROM generate_series(1000000, 1000000 + {rows}) n;
INSERT INTO member(pipeline, ident, datum)
  SELECT {pipeline}, ident, num FROM datum WHERE num > 1000000 ON CONFLICT DO NOTHING;
INSERT INTO job_datum(job, datum, how) SELECT 1000000, num, 'run' FROM datum WHERE num > 1000000;
INSERT INTO log(datum, job, pipeline, at, attempt, stream, text)
  SELECT n, 1000000, 'p', 0, 1, 'out', 'x' FROM generate_series(1000000, 1000000 + {rows}) n;
INSERT INTO once(key, made) SELECT sha256(n::text::bytea), 0 FROM generate_series(1, {rows}) n;
INSERT INTO garbage(object, since) SELECT sha256(n::text::bytea), n
  FROM generate_series(1, {rows}) n;
INSERT INTO staged(cmt, n, op, path, object, size)
  SELECT 1000000 + n % 9, n, 'put', '/' || n, sha256(n::text::bytea), 4
  FROM generate_series(1, {rows}) n;
"""
TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)
FORGET = """
DELETE FROM pg_statistic WHERE starelid IN (
  SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace);
UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relnamespace = 'public'::regnamespace;
"""


def work(engine: Rig, turn: str) -> None:
    """A bit of everything that happens all day."""
    engine.put("images", {f"/{turn}/one": turn.encode()})
    engine.put("images", {f"/{turn}/one": b"again " + turn.encode(), "/churned": turn.encode()})
    engine.put("images", {f"/{turn}/one": None})
    engine.put("images", {f"/{turn}/two": b"bad" + turn.encode()})
    engine.settle()
    with engine.store.read() as rows:
        key = repos.get(rows, "images").id
        for commit in commits.listing(rows, key, limit=3):
            list(files.walk(rows, commit, "/", limit=50))
            list(files.walk(rows, commit, f"/{turn}", limit=50))
        list(commits.listing(rows, key, branch="master", limit=3))
        list(commits.since(rows, key, "master", 0, 3))
        for job in jobs.listing(rows, "p", limit=3):
            jobs.inspect(rows, job.id)
            datums.of_job(rows, job.id)
        for datum in datums.failed(rows, "p", limit=5):
            datums.inspect(rows, datum.number)


class Recorder:
    """Notes what is asked while it is on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: Asked = {}
        named = PostgresRows._named

        def noted(rows: PostgresRows, query: str, values: Any, then: Any = None) -> Any:
            self.asked[query] = dict(values)
            return named(rows, query, values, then)

        patch.setattr(PostgresRows, "_named", noted)


def fill(engine: Rig, database: psycopg.Connection) -> None:
    """Make the tables large."""
    with engine.store.read() as rows:
        own, out = repos.get(rows, "images").id, repos.get(rows, "p").id
    found = database.execute(
        "SELECT (SELECT max(line) FROM branch WHERE repo = $1), "
        "(SELECT max(line) FROM branch WHERE repo = $2), (SELECT id FROM pipeline)", [own, out]
    ).fetchone()  # fmt: skip
    assert found is not None
    values = {"rows": ROWS, "repo": own, "line": found[0], "out": found[1], "pipeline": found[2]}
    for statement in FILL.format(**values).strip().split(";\n"):
        database.execute(statement.encode())


def plans(
    database: psycopg.Connection, store: PostgresStore, asked: Asked, mode: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each question's plan and what carrying it out took; nothing of it is kept."""
    database.execute(f"SET plan_cache_mode = force_{mode}_plan".encode())
    for name, values in asked.items():
        found = store._sql[name]
        if found.sql.lstrip().startswith("INSERT") and "SELECT" not in found.sql:
            continue
        with database.transaction(force_rollback=True):
            database.execute(f"PREPARE {name} AS {found.sql}".encode())
            given = sql.SQL(", ").join(sql.Literal(values[each]) for each in found.names)
            words = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {}{}").format(
                sql.Identifier(name),
                sql.SQL("({})").format(given) if found.names else sql.SQL(""),
            )
            row = database.execute(words.as_string(database).encode()).fetchone()
            database.execute(f"DEALLOCATE {name}".encode())
        assert row is not None
        plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
        yield name, plan[0]["Plan"]


def parts(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from parts(part)


def faults(name: str, plan: dict[str, Any], mode: str) -> list[str]:
    """What is wrong with a plan: it reads much more than it gives."""
    given = max(part["Actual Rows"] for part in parts(plan))
    pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    found = []
    if pages > 60 + 6 * given or given > 1100:
        found.append(f"{name} ({mode}): {pages} pages for {given} rows")
    for part in parts(plan):
        if part.get("Rows Removed by Filter", 0) * part["Actual Loops"] > 200:
            table = part.get("Index Name") or part.get("Relation Name")
            found.append(f"{name} ({mode}): {part['Node Type']} {table} reads much in vain")
    return found


def test_no_question_of_the_hot_path_reads_what_it_does_not_give(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.database()
    store = PostgresStore(url)
    found: list[str] = []
    with connect(url, "plans") as database, rig(tmp_path, store) as engine:
        for (table,) in database.execute(TABLES).fetchall():
            database.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)".encode())
        engine.repo("images")
        engine.pipeline("p", pfs("images", "/*/*"), on_datum_failure="datum", datum_tries=1)
        work(engine, "before")
        database.execute("ANALYZE")
        fill(engine, database)
        recorder = Recorder(monkeypatch)
        work(engine, "after")
        asked = dict(recorder.asked)
        assert len(asked) > 40
        for statistics in ("stale", "none", "fresh"):
            if statistics == "none":
                for statement in FORGET.strip().split(";\n"):
                    database.execute(statement.encode())
            elif statistics == "fresh":
                database.execute("ANALYZE")
            for mode in ("generic", "custom"):
                for name, plan in plans(database, store, asked, mode):
                    found += faults(name, plan, f"{mode} plan, statistics {statistics}")
    assert found == [], "\n".join(["", *found])
