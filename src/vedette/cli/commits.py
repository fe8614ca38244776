"""Commands on commits."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING

from vedette.cli import shown, words
from vedette.cli.session import commit_of, connected, place, raw_option, speak
from vedette.model.errors import Invalid

if TYPE_CHECKING:
    from vedette.client import Client
    from vedette.model.files import CommitInfo

_ID = re.compile(r"[0-9a-f]{32}")


@words.command("start-commit")
@words.argument("where", nargs=-1, metavar="REPO BRANCH | REPO@BRANCH")
@words.option("-m", "--message", "--description", "description", default="", help="What for.")
@connected
async def start_commit(client: Client, where: tuple[str, ...], description: str) -> None:
    """Open a commit on a branch and print its id."""
    repo, branch, _ = place(where)
    print((await client.start_commit(repo, branch, description)).id)


@words.command("finish-commit")
@words.argument("where", nargs=-1, metavar="REPO COMMIT | REPO@COMMIT")
@connected
async def finish_commit(client: Client, where: tuple[str, ...]) -> None:
    """Finish an open commit, named by its branch or id."""
    await client.finish_commit(*commit_of(where))


@words.command("list-commit")
@words.argument("where", nargs=-1, metavar="REPO [BRANCH] | REPO@BRANCH | ID")
@words.option("-n", "--number", type=words.integer(1), help="At most so many.")
@raw_option
@connected
async def list_commit(
    client: Client, where: tuple[str, ...], number: int | None, raw: bool
) -> None:
    """List commits of a repo, newest first, or all that share a global id."""
    if len(where) == 1 and _ID.fullmatch(where[0]):
        found = await client.commits_of(where[0])
    else:
        repo, branch = _repo_and_branch(where)
        found = []
        while page := await client.list_commit(
            repo,
            branch,
            before=found[-1].number if found else None,
            limit=min(number or 1000, 1000),
        ):
            found += page
            if number is not None and len(found) >= number:
                break
        found = found[:number]
    _show(found, raw)


@words.command("inspect-commit")
@words.argument("where", nargs=-1, metavar="REPO COMMIT | REPO@COMMIT")
@raw_option
@connected
async def inspect_commit(client: Client, where: tuple[str, ...], raw: bool) -> None:
    """Show one commit; COMMIT is a branch, an id or an ancestor such as master^2."""
    shown.details(await client.inspect_commit(*commit_of(where)), as_raw=raw)


@words.command("flush-commit")
@words.argument("where", nargs=-1, metavar="REPO@COMMIT | REPO/COMMIT | ID", required=True)
@words.option(
    "--timeout", type=words.number(), default=3600.0, help="Give up after so many seconds."
)
@raw_option
@connected
async def flush_commit(client: Client, where: tuple[str, ...], timeout: float, raw: bool) -> None:
    """Wait for all jobs that commits cause, and list what they made."""
    found: list[CommitInfo] = []
    for word in where:
        identity = word
        if not _ID.fullmatch(word):
            identity = (await client.inspect_commit(*commit_of((word,)))).id
        found += (await client.flush_commit(identity, timeout)).commits
    _show(found, raw)


@words.command("subscribe-commit")
@words.argument("where", nargs=-1, metavar="REPO BRANCH | REPO@BRANCH")
@words.option("--from", "since", metavar="COMMIT", help="Only those after this one.")
@words.option("--new", is_flag=True, help="Only those that come from now on.")
@raw_option
def subscribe_commit(where: tuple[str, ...], since: str | None, new: bool, raw: bool) -> None:
    """Print the finished commits of a branch, oldest first, and each new one as it comes.

    Goes on until it is interrupted; a server that is away is waited for.
    """
    repo, branch, _ = place(where)
    speak(lambda client: _subscribe(client, repo, branch, since, new, raw), together=True)


async def _subscribe(
    client: Client, repo: str, branch: str, since: str | None, new: bool, raw: bool
) -> None:
    await client.inspect_repo(repo)
    after = 0
    if since is not None:
        after = (await client.inspect_commit(repo, since)).number
    elif new:
        newest = await client.list_commit(repo, branch, limit=1)
        after = newest[0].number if newest else 0
    async with aclosing(client.subscribe_commit(repo, branch, after=after)) as commits:
        async for commit in commits:
            if raw:
                shown.raw([commit])
            else:
                print(commit.repo, commit.branch, commit.id, shown.size(commit.size))
            sys.stdout.flush()


def _repo_and_branch(where: tuple[str, ...]) -> tuple[str, str]:
    if len(where) == 1 and "@" not in where[0]:
        return where[0], ""
    if not where:
        raise Invalid("name a repo, or a global id")
    return place(where)[:2]


def _show(commits: Iterable[CommitInfo], raw: bool) -> None:
    if raw:
        shown.raw(commits)
        return
    shown.table(
        ("REPO", "ID", "PARENT", "STARTED", "DURATION", "SIZE"),
        (
            (
                commit.repo,
                commit.id,
                commit.parent or "<none>",
                shown.age(commit.started),
                shown.duration(commit.started, commit.finished),
                shown.size(commit.size) if commit.state != "started" else "-",
            )
            for commit in commits
        ),
    )
