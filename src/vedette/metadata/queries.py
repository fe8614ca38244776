"""Reads named queries out of .sql files.

A query is a line `-- name: word`, a comment `-- description: ...` that says what it answers, and
one statement. A name is unique over all files: two queries of one name are refused at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources

from msgspec import Struct

from vedette.model.errors import Invalid

_NAME = re.compile(r"^-- name: *(\S+) *$", re.MULTILINE)
_WORD = re.compile(r"[a-z][a-z0-9_]*")


class Query(Struct, frozen=True, kw_only=True):
    """One statement with its name, what it is for, and the file that holds it."""

    name: str
    description: str
    sql: str
    source: str


def parse(source: str, text: str) -> Iterator[Query]:
    """The queries of one file, in order; `source` is its name, for messages.

    Raises Invalid for a query without a description or a statement.
    """
    marks = list(_NAME.finditer(text))
    if not marks and text.strip():
        raise Invalid(f"{source} holds no query: start each with a line '-- name: word'")
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        name = mark[1]
        body = text[mark.end() : following.start() if following else len(text)].strip()
        lines = body.splitlines()
        comment = 0
        while comment < len(lines) and lines[comment].startswith("--"):
            comment += 1
        said = " ".join(line.removeprefix("--").strip() for line in lines[:comment])
        description = said.removeprefix("description:").strip()
        sql = "\n".join(lines[comment:]).strip().removesuffix(";")
        if not _WORD.fullmatch(name):
            raise Invalid(f"query name {name!r} in {source}: use lower case letters, digits and _")
        if not description:
            raise Invalid(f"query {name} in {source} says nothing about itself: add a comment")
        if not sql:
            raise Invalid(f"query {name} in {source} has no statement")
        yield Query(name=name, description=description, sql=sql, source=source)


def gather(files: Iterable[tuple[str, str]]) -> dict[str, Query]:
    """Queries by name from (file name, text) pairs. Raises Invalid when a name comes twice."""
    found: dict[str, Query] = {}
    for source, text in files:
        for query in parse(source, text):
            other = found.setdefault(query.name, query)
            if other is not query:
                raise Invalid(
                    f"query {query.name} is in {other.source} and in {source}: rename one"
                )
    return found


@cache
def queries(engine: str = "sqlite") -> dict[str, Query]:
    """Every query of the package, in the words of an engine where `sql/ENGINE/` has its own."""
    common = _folder("sql")
    own = _folder(f"sql/{engine}") if engine != "sqlite" else {}
    if unknown := own.keys() - common.keys():
        raise Invalid(f"sql/{engine} has {sorted(unknown)[0]}, which no file of sql/ has")
    return {**common, **own}


def _folder(name: str) -> dict[str, Query]:
    folder = resources.files("vedette.metadata").joinpath(*name.split("/"))
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return gather((f.name, f.read_text(encoding="utf-8")) for f in files)
