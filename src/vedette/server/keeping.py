"""Operations that keep house: garbage, checks, retention, deleting for good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec

from vedette.model.errors import NotFound, TooLarge, Unavailable
from vedette.model.files import RepoInfo
from vedette.model.keeping import CheckLine, Collected, CommitUsage, Deleted, Rule, Usage
from vedette.model.paths import clean
from vedette.scheduling.intents import CommitsSquashed, intend
from vedette.scheduling.upkeep import Upkeep
from vedette.server.call import Call, Content
from vedette.server.files import in_thread
from vedette.server.site import Site
from vedette.versioning import quota, repos, retention, squash, usage
from vedette.versioning.check import Check
from vedette.versioning.refs import resolve
from vedette.versioning.transaction import Transaction

_REASON = 500
_encode = msgspec.json.Encoder().encode


def _upkeep(site: Site) -> Upkeep:
    if site.upkeep is None:
        raise Unavailable("this server does not keep house: ask the one that leads")
    return site.upkeep


async def garbage_collect(site: Site, call: Call) -> Collected:
    """Let go of what nobody names."""
    return await asyncio.to_thread(_upkeep(site).collect, call.query.full)


async def fsck(site: Site, call: Call) -> Content:
    """Whether all is there that should be, and nothing else."""
    check = Check(site.store, site.objects, call.query.deep, _upkeep(site).young())
    return Content(chunks=in_thread(_lines(check)), media="application/x-ndjson")


async def get_retain(site: Site, call: Call) -> Rule:
    """How long a repo keeps bytes."""
    with site.read() as rows:
        return retention.rule_of(rows, repos.get(rows, call.params["repo"]).id)


async def put_retain(site: Site, call: Call) -> Rule:
    """Say how long a repo keeps bytes."""
    rule: Rule = call.body

    def work(tx: Transaction) -> Rule:
        repo = repos.get(tx.rows, call.params["repo"]).id
        retention.set_rule(tx, repo, rule)
        return retention.rule_of(tx.rows, repo)

    return await site.write(work)


async def limit_repo(site: Site, call: Call) -> RepoInfo:
    """Say how many bytes a repo may have."""

    def work(tx: Transaction) -> RepoInfo:
        quota.limit(tx, call.params["repo"], call.body.max_bytes)
        return repos.inspect(tx.rows, call.params["repo"])

    return await site.write(work)


async def delete_for_good(site: Site, call: Call) -> Deleted:
    """Delete the bytes at a path for good (ENGINE K1)."""
    repo, asked = call.params["repo"], call.body
    path, reason = clean(asked.path), asked.reason or "deleted by hand"
    if len(reason) > _REASON:
        raise TooLarge(f"a reason of {len(reason)} characters: at most {_REASON}")
    with site.read() as rows:
        repos.get(rows, repo)
    count = await asyncio.to_thread(_upkeep(site).delete, repo, path, reason)
    if not count:
        raise NotFound(f"no file at or below {path} in any commit of {repo} has bytes", repo=repo)
    return Deleted(files=count)


async def squash_commits(site: Site, call: Call) -> None:
    """Take all commits of a global id out of the history."""
    identity = call.params["id"]
    await site.write(lambda tx: intend(tx, CommitsSquashed(tuple(squash.squash_set(tx, identity)))))


async def squash_commit(site: Site, call: Call) -> None:
    """Take one commit out of the history."""
    await _take_away(site, call, alone=False)


async def delete_commit(site: Site, call: Call) -> None:
    """Take a commit away that no other follows."""
    await _take_away(site, call, alone=True)


async def _take_away(site: Site, call: Call, alone: bool) -> None:
    def work(tx: Transaction) -> None:
        commit = resolve(tx.rows, call.params["repo"], call.params["ref"])
        intend(tx, CommitsSquashed((squash.squash(tx, commit, alone=alone),)))

    await site.write(work)


async def du(site: Site, call: Call) -> Usage:
    """What a repo takes up."""

    def look() -> Usage:
        with site.read() as rows:
            return usage.usage(rows, call.params["repo"])

    return await asyncio.to_thread(look)


async def du_commit(site: Site, call: Call) -> CommitUsage:
    """What a commit takes up."""

    def look() -> CommitUsage:
        with site.read() as rows:
            return usage.of_commit(rows, call.params["repo"], call.params["ref"])

    return await asyncio.to_thread(look)


def _lines(check: Check) -> Iterator[bytes]:
    for fault in check.faults():
        yield _encode(CheckLine(fault=fault)) + b"\n"
    yield _encode(CheckLine(checked=check.checked)) + b"\n"
