"""Commands that keep house."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from vedette.cli import shown, words
from vedette.cli.session import commit_of, connected, raw_option
from vedette.cli.sizes import max_bytes_option, read_bytes
from vedette.model.errors import Corrupt, Invalid
from vedette.model.spec_words import duration

if TYPE_CHECKING:
    from vedette.client import Client

_ID = re.compile(r"[0-9a-f]{32}")


@words.command("garbage-collect")
@words.option("--full", is_flag=True, help="Look at every object, not only at what was dropped.")
@raw_option
@connected
async def garbage_collect(client: Client, full: bool, raw: bool) -> None:
    """Let go of the bytes that nobody names any more. The server does it by itself, too."""
    done = await client.garbage_collect(full=full)
    if raw:
        shown.raw([done])
        return
    print(f"{done.objects} objects ({shown.size(done.size)}) and {done.packs} packs went")
    if done.suspects:
        print(f"{done.suspects} objects wait for their grace period to end")
    if done.busy:
        print("a large job or a backup is under way: the rest waits for its end", file=sys.stderr)


@words.command("fsck")
@words.option("--deep", is_flag=True, help="Also read and hash all bytes.")
@raw_option
@connected
async def fsck(client: Client, deep: bool, raw: bool) -> int:
    """Check that all that is needed is there and that nothing deleted remains.

    Exits with 8 when something is amiss.
    """
    faults = 0
    async for line in client.fsck(deep=deep):
        faults += line.fault is not None
        if raw:
            shown.raw([line])
        elif line.fault is not None:
            print(f"{line.fault.kind}: {line.fault.text}")
        elif line.checked is not None:
            seen = line.checked
            size, how = shown.size(seen.size), "read and hashed" if deep else "looked for"
            print(f"{seen.objects} objects ({size}) {how}, {seen.files} files: {faults} faults")
    return Corrupt.exit_code if faults else 0


@words.command("update-repo")
@words.argument("repo")
@words.option("--retain", "rule", metavar="RULE",
              help="What is kept: 30d, 12h, last:10, 30d,last:10, or all.")  # fmt: skip
@max_bytes_option
@connected
async def update_repo(client: Client, repo: str, rule: str | None, max_bytes: str | None) -> None:
    """Say how long a repo keeps the bytes of what its commits wrote, and how many it may have.

    With --retain older files stay with path, size, hash and history, but can be read no more. For
    ever.
    """
    if rule is None and max_bytes is None:
        raise Invalid("say what to change: --retain RULE or --max-bytes SIZE")
    age, last = read_rule(rule or "all")
    most = None if max_bytes is None else read_bytes(max_bytes)
    if max_bytes is not None:
        await client.limit_repo(repo, most)
    if rule is not None:
        await client.put_retain(repo, age=age, last=last)


@words.command("squash-commit")
@words.argument("where", nargs=-1, metavar="ID | REPO@COMMIT", required=True)
@connected
async def squash_commit(client: Client, where: tuple[str, ...]) -> None:
    """Take a commit out of the history, or with an ID all that share it.

    Later commits keep their files; what only this one showed goes. Refused for the head of a
    branch and for what a job needs.
    """
    if len(where) == 1 and _ID.fullmatch(where[0]):
        await client.squash_commits(where[0])
        return
    await client.squash_commit(*commit_of(where))


@words.command("delete-commit")
@words.argument("where", nargs=-1, metavar="REPO@COMMIT", required=True)
@connected
async def delete_commit(client: Client, where: tuple[str, ...]) -> None:
    """Take a commit away that no other follows, once no branch stands on it."""
    await client.delete_commit(*commit_of(where))


@words.command("du")
@words.argument("repos", nargs=-1, metavar="[REPO ... | REPO@COMMIT ...]")
@raw_option
@connected
async def du(client: Client, repos: tuple[str, ...], raw: bool) -> None:
    """Show what repos take up: at the head, in all versions, once each, and shared with others.

    Of a commit: all of its files, what it brought, and what of that nothing else has.
    """
    if any("@" in name for name in repos):
        await _du_commits(client, repos, raw)
        return
    names = repos or [repo.name for repo in await client.list_repo()]
    found = [await client.du(name) for name in names]
    if raw:
        shown.raw(found)
        return
    rows = (
        (u.repo, *map(shown.size, (u.head, u.versions, u.stored, u.shared)), u.objects)
        for u in found
    )
    shown.table(("NAME", "HEAD", "VERSIONS", "STORED", "SHARED", "OBJECTS"), rows)


async def _du_commits(client: Client, places: tuple[str, ...], raw: bool) -> None:
    found = [await client.du_commit(*commit_of((place,))) for place in places]
    if raw:
        shown.raw(found)
        return
    rows = (
        (u.repo, u.commit, u.files, *map(shown.size, (u.size, u.brought, u.own))) for u in found
    )
    shown.table(("REPO", "COMMIT", "FILES", "SIZE", "BROUGHT", "OWN"), rows)


def read_rule(text: str) -> tuple[float | None, int | None]:
    """Seconds and number of commits of a rule as it is typed; None, None for `all`."""
    age: float | None = None
    last: int | None = None
    for word in [] if text == "all" else text.split(","):
        name, colon, value = word.strip().partition(":")
        found = duration(word.strip())
        if colon and name == "last" and value.isascii() and value.isdigit() and last is None:
            last = int(value)
        elif word.strip().endswith("d") and word.strip()[:-1].isdigit() and age is None:
            age = int(word.strip()[:-1]) * 86_400.0
        elif found is not None and age is None:
            age = found
        else:
            raise Invalid(f"--retain {text!r}: write 30d, 12h, last:10, 30d,last:10, or all")
    return age, last
