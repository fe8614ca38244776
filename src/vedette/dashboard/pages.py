"""What each page shows: from the address to the values that its template needs.

Everything is read through the API's client, as anybody could. A page is a template whose blocks
named `live_...` are sent again when something has happened (see `vedette.dashboard.live`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from vedette.client import Client
from vedette.dashboard.graph import draw, links_of
from vedette.model.api import NumberedLine
from vedette.model.errors import NotFound
from vedette.model.files import BranchInfo
from vedette.model.job import TERMINAL

Query = Mapping[str, str]
Gather = Callable[[Client, Query], Awaitable[dict[str, Any]]]

JOBS = 20
ROWS = 100
LINES = 200


class Page(Struct, frozen=True, kw_only=True):
    """A page: its path in Starlette's notation, its template and what gathers its values.

    `gather` is given the parameters of the path and the query in one mapping, those of the path
    last. A page whose values have `live` False does not follow what happens.
    """

    path: str
    template: str
    gather: Gather


async def overview(client: Client, query: Query) -> dict[str, Any]:
    """The front page: the flow, what services say, the newest jobs."""
    pipelines = await client.list_pipeline()
    repos = await client.list_repo()
    jobs = await client.list_job(limit=JOBS) if pipelines else []
    status = await client.status()
    return {
        "graph": draw(repos, pipelines),
        "pipelines": pipelines,
        "repos": repos,
        "jobs": jobs,
        "warning": status.space.warning,
        "troubles": [service for service in status.services if service.error],
    }


async def jobs(client: Client, query: Query) -> dict[str, Any]:
    """Jobs from the newest on, of all pipelines or of one."""
    pipeline, before = query.get("pipeline", ""), _number(query, "before")
    found = await client.list_job(pipeline, before=before or None, limit=ROWS)
    return {
        "pipeline": pipeline,
        "jobs": found,
        "older": found[-1].number if len(found) == ROWS else 0,
        "live": not before,
    }


async def pipeline(client: Client, query: Query) -> dict[str, Any]:
    """One pipeline: how it is, what it reads, its jobs, its spec."""
    found = await client.inspect_pipeline(query["name"])
    return {
        "pipeline": found,
        "links": links_of(found),
        "description": str(found.spec.get("description") or ""),
        "jobs": await client.list_job(found.name, limit=JOBS),
        "spec": msgspec.json.format(msgspec.json.encode(found.spec), indent=2).decode(),
    }


async def job(client: Client, query: Query) -> dict[str, Any]:
    """One job: its counts, its datums, what they wrote into the log."""
    found = await client.inspect_job(query["id"])
    after = _number(query, "after")
    datums = await client.list_datum(found.id, after=after, limit=ROWS)
    lines, more = await _lines(client, job=found.id, after=_number(query, "line"))
    return {
        "job": found,
        "datums": datums,
        "next_datum": datums[-1].number if len(datums) == ROWS else 0,
        "lines": lines,
        "next_line": more,
        "live": found.state not in TERMINAL,
    }


async def datums(client: Client, query: Query) -> dict[str, Any]:
    """Datums that failed, of all pipelines or of one."""
    name = query.get("pipeline", "")
    found = await client.failed_datums(name, after=_number(query, "after"), limit=ROWS)
    return {
        "pipeline": name,
        "datums": found,
        "next_datum": found[-1].number if len(found) == ROWS else 0,
    }


async def datum(client: Client, query: Query) -> dict[str, Any]:
    """One datum: what it read, what it wrote, why it failed, its log."""
    found = await client.inspect_datum(query["id"])
    lines, more = await _lines(
        client, pipeline=found.pipeline, datum=found.id, after=_number(query, "line")
    )
    return {
        "datum": found,
        "lines": lines,
        "next_line": more,
        "live": found.state in ("QUEUED", "RUNNING"),
    }


async def repo(client: Client, query: Query) -> dict[str, Any]:
    """A directory of a repo, a page at a time."""
    found = await client.inspect_repo(query["name"])
    branches = await client.list_branch(found.name)
    branch = query.get("branch") or _main_branch(branches)
    path = "/" + query.get("path", "").strip("/")
    after = query.get("after", "")
    head = next((each.head for each in branches if each.name == branch), None)
    files = (
        await client.list_file(found.name, branch, path, after=after, limit=ROWS) if head else []
    )
    if path != "/" and head and not files and not after:
        raise NotFound(f"there is no directory {path} in {found.name}@{branch}")
    return {
        "repo": found,
        "branch": branch,
        "branches": branches,
        "path": path,
        "crumbs": _crumbs(path),
        "files": files,
        "next_file": files[-1].path if len(files) == ROWS else "",
    }


PAGES = (
    Page(path="/", template="overview.html", gather=overview),
    Page(path="/jobs", template="jobs.html", gather=jobs),
    Page(path="/jobs/{id}", template="job.html", gather=job),
    Page(path="/datums", template="datums.html", gather=datums),
    Page(path="/datums/{id}", template="datum.html", gather=datum),
    Page(path="/pipelines/{name}", template="pipeline.html", gather=pipeline),
    Page(path="/repos/{name}", template="repo.html", gather=repo),
    Page(path="/repos/{name}/{path:path}", template="repo.html", gather=repo),
)


def file_address(repo: str, ref: str, path: str) -> str:
    """Where the bytes of a file are to be had."""
    return f"/v1/repos/{quote(repo)}/commits/{quote(ref)}/files/{quote(path.lstrip('/'))}"


def directory_address(repo: str, branch: str, path: str) -> str:
    """The page of a directory."""
    address = f"/repos/{quote(repo)}/{quote(path.lstrip('/'))}".rstrip("/")
    return address if branch == "master" else f"{address}?branch={quote(branch)}"


async def _lines(
    client: Client, *, after: int, pipeline: str = "", job: str = "", datum: str = ""
) -> tuple[list[NumberedLine], int]:
    """Some lines of a log, and where to go on, 0 at its end."""
    found: list[NumberedLine] = []
    async with aclosing(client.logs(pipeline=pipeline, job=job, datum=datum, after=after)) as lines:
        async for line in lines:
            if len(found) == LINES:
                return found, found[-1].number
            found.append(line)
    return found, 0


def _number(query: Query, name: str) -> int:
    text = query.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _main_branch(branches: list[BranchInfo]) -> str:
    names = [branch.name for branch in branches]
    return "master" if "master" in names or not names else names[0]


def _crumbs(path: str) -> list[tuple[str, str]]:
    """Each directory on the way to a path: its name and its own path."""
    elements = path.strip("/").split("/") if path != "/" else []
    return [(element, "/" + "/".join(elements[: at + 1])) for at, element in enumerate(elements)]
