"""Brings a database to the schema of this program.

`schema/0001_init.sql`, `0002_...` are run in the order of their numbers, each in one transaction.
Statements after a line `-- phase: post` are the second half of a migration: they take away what
older programs still need, so all first halves come before all second halves. `schema_version` has
one row for each half that has been run.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from importlib import resources

from msgspec import Struct

from vedette.model.errors import Conflict, Invalid

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
PHASES = ("pre", "post")
_POST = re.compile(r"^-- phase: post *$", re.MULTILINE)
VERSIONS = """CREATE TABLE IF NOT EXISTS schema_version(
  number INTEGER NOT NULL, phase TEXT NOT NULL, name TEXT NOT NULL, applied INTEGER NOT NULL,
  PRIMARY KEY(number, phase)) STRICT, WITHOUT ROWID"""


class Migration(Struct, frozen=True, kw_only=True):
    """One numbered change of the schema, in two halves of SQL."""

    number: int
    name: str
    pre: str
    post: str = ""


def parse(files: Iterable[tuple[str, str]]) -> list[Migration]:
    """Migrations from (file name, text) pairs, in order. Numbers may be left out.

    Raises Invalid for odd names.
    """
    found: list[Migration] = []
    for file, text in sorted(files):
        named = _FILE.fullmatch(file)
        last = found[-1].number if found else 0
        if named is None or int(named[1]) <= last:
            raise Invalid(f"schema file {file}: expected a name like {last + 1:04}_what.sql")
        found.append(_halves(int(named[1]), named[2], text))
    return found


def migrations() -> list[Migration]:
    """The migrations of this package."""
    folder = resources.files("vedette.metadata") / "schema"
    files = [f for f in folder.iterdir() if f.name.endswith(".sql")]
    return parse((f.name, f.read_text(encoding="utf-8")) for f in files)


def additions() -> dict[int, Migration]:
    """What only PostgreSQL needs besides, by the number of the migration that it belongs to."""
    folder = resources.files("vedette.metadata") / "schema" / "postgres"
    found: dict[int, Migration] = {}
    for file in folder.iterdir():
        if named := _FILE.fullmatch(file.name):
            step = _halves(int(named[1]), named[2], file.read_text(encoding="utf-8"))
            found[step.number] = step
    return found


def _halves(number: int, name: str, text: str) -> Migration:
    pre, _, post = text.partition(mark[0]) if (mark := _POST.search(text)) else (text, "", "")
    return Migration(number=number, name=name, pre=pre, post=post)


def statements(text: str) -> Iterator[str]:
    """The statements of a script, one by one."""
    held = ""
    for line in text.splitlines(keepends=True):
        held += line
        if sqlite3.complete_statement(held):
            yield held.strip()
            held = ""
    rest = [line for line in held.splitlines() if line.strip() and not line.startswith("--")]
    if rest:
        raise Invalid(f"a schema file ends within a statement: {rest[0].strip()!r}")


def newest_of(steps: list[Migration]) -> int:
    """The number of the newest migration."""
    return max((step.number for step in steps), default=0)


def refuse_newer(done: set[tuple[int, str]], steps: list[Migration], *, running: bool) -> None:
    """Raise Conflict when a database is newer than this program.

    `running`: servers of two releases may use it at once. Then first halves that this program does
    not know are no obstacle, for first halves keep what older programs need.
    """
    newest = max((number for number, phase in done if not running or phase == "post"), default=0)
    if newest > newest_of(steps):
        raise Conflict(
            f"the data has schema {newest}, this program knows {newest_of(steps)}: "
            "use a newer vedette"
        )


def pending(
    done: set[tuple[int, str]], steps: list[Migration], phases: Iterable[str] = PHASES
) -> list[tuple[Migration, str, str]]:
    """What has not been run: (migration, phase, SQL), all first halves before all second ones."""
    return [
        (step, phase, text)
        for phase in phases
        for step in steps
        if (text := step.pre if phase == "pre" else step.post) and (step.number, phase) not in done
    ]


def migrate(connection: sqlite3.Connection, steps: list[Migration] | None = None) -> int:
    """Run what has not been run yet; returns the number of halves that were run.

    Raises Conflict when the database is newer than this program.
    """
    steps = migrations() if steps is None else steps
    connection.execute(VERSIONS)
    done = set(connection.execute("SELECT number, phase FROM schema_version").fetchall())
    refuse_newer(done, steps, running=False)
    todo = pending(done, steps)
    for step, phase, text in todo:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements(text):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_version VALUES (?, ?, ?, ?)",
                (step.number, phase, step.name, time.time_ns() // 1000),
            )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    return len(todo)
