"""Operations that write files. The answer leaves when the commit is durable (DESIGN 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vedette.client.endpoints import Put
from vedette.model.api import Transaction as Writes
from vedette.model.errors import Invalid, TooLarge
from vedette.model.files import Write, WriteResult
from vedette.model.paths import clean
from vedette.server.call import Call
from vedette.server.site import Site
from vedette.server.uploads import INLINE, staged, staged_stream, staged_tar
from vedette.versioning import commits, repos
from vedette.versioning.contents import Prepared
from vedette.versioning.transaction import Transaction


async def put_file(site: Site, call: Call) -> WriteResult:
    """Write one file."""
    repo, branch, path = call.params["repo"], call.params["branch"], clean(call.params["path"])
    query: Put = call.query
    if query.object:
        write = Write(
            repo=repo, branch=branch, path=path, object=query.object, append=query.append
        )  # fmt: skip
        return await committed(site, [write], [None])
    data = await call.data(INLINE)
    if isinstance(data, bytes):
        site.space.admit(len(data))
        ready = await staged(site, data)
    else:
        _check_repo(site, repo)
        head, rest = data
        site.space.admit(len(head))
        ready = await staged_stream(site, head, site.space.admitted(rest), path)
    write = Write(repo=repo, branch=branch, path=path, append=query.append)
    return await committed(site, [write], [ready])


async def delete_file(site: Site, call: Call) -> WriteResult:
    """Remove a file or directory."""
    write = Write(
        repo=call.params["repo"],
        branch=call.params["branch"],
        path=clean(call.params["path"]),
        delete=True,
    )
    return await committed(site, [write], [None])


async def put_tar(site: Site, call: Call) -> WriteResult:
    """Write all files of a tar stream as one commit."""
    repo, branch, query = call.params["repo"], call.params["branch"], call.query
    if not call.inside and not call.media.startswith("application/x-tar"):
        raise Invalid(f"a body of type {call.media!r}: send a tar stream as application/x-tar")
    _check_repo(site, repo)
    found = await staged_tar(site, site.space.admitted(call.chunks()))
    if not query.append:  # a later one of a name wins
        found = list(dict(found).items())
    writes = [Write(repo=repo, branch=branch, path=path, append=query.append) for path, _ in found]
    return await committed(site, writes, [ready for _, ready in found])


async def transaction(site: Site, call: Call) -> WriteResult:
    """Write to several repos at once."""
    given: Writes = call.body
    if not given.writes:
        raise Invalid("a transaction needs at least one write")
    if len(given.writes) > site.limits.writes:
        raise TooLarge(f"{len(given.writes)} writes: at most {site.limits.writes} in one call")
    ready: list[Prepared | None] = []
    writes: list[Write] = []
    for write in given.writes:
        if write.data is None or write.object is not None or write.delete:
            ready.append(None)
            writes.append(write)
        else:
            site.space.admit(len(write.data))
            ready.append(await staged(site, write.data))
            writes.append(msgspec.structs.replace(write, data=None))
    return await committed(site, writes, ready)


async def committed(
    site: Site, writes: Sequence[Write], ready: Sequence[Prepared | None]
) -> WriteResult:
    """Commit staged writes, and say what became of them."""

    def work(tx: Transaction) -> WriteResult:
        before = tx.stored
        made = commits.commit_files(tx, writes, ready)
        site.space.check(tx.stored if tx.stored > before else 0)
        return WriteResult(
            id=made.id,
            commits=tuple(commits.info(tx.rows, row) for row in made.commits),
            objects=tuple(name.hex() for name in made.objects),
        )

    return await site.write(work)


def _check_repo(site: Site, repo: str) -> None:
    """Refuse a large body before it is taken in rather than after."""
    with site.read() as rows:
        repos.get(rows, repo)
