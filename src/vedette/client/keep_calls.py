"""The client's methods that keep house."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from vedette.client import keep_endpoints as at
from vedette.client.lines import lines
from vedette.client.transport import Transport
from vedette.model import api, keeping
from vedette.model.files import RepoInfo


class KeepCalls:
    """Garbage, checks, retention, deleting for good."""

    transport: Transport

    async def garbage_collect(self, *, full: bool = False) -> keeping.Collected:
        """Let go of what nobody names; `full` looks at every object."""
        return await self.transport.call(at.GARBAGE_COLLECT, {}, {"full": full})

    async def fsck(self, *, deep: bool = False) -> AsyncGenerator[keeping.CheckLine, None]:
        """Every fault as it is found, and in the end what was looked at."""
        decoder = msgspec.json.Decoder(keeping.CheckLine)
        async with self.transport.stream(at.FSCK, {}, {"deep": deep}) as chunks:
            async for line in lines(chunks):
                yield decoder.decode(line)

    async def get_retain(self, repo: str) -> keeping.Rule:
        """How long a repo keeps bytes."""
        return await self.transport.call(at.GET_RETAIN, {"repo": repo})

    async def put_retain(
        self, repo: str, *, age: float | None = None, last: int | None = None
    ) -> keeping.Rule:
        """Say how long a repo keeps bytes: younger than `age` seconds, of the `last` commits."""
        rule = keeping.Rule(age=age, last=last)
        return await self.transport.call(at.PUT_RETAIN, {"repo": repo}, None, rule)

    async def limit_repo(self, repo: str, max_bytes: int | None) -> RepoInfo:
        """Say how many bytes all versions of a repo's files may have; None: any number."""
        body = api.RepoLimit(max_bytes=max_bytes)
        return await self.transport.call(at.LIMIT_REPO, {"repo": repo}, None, body)

    async def delete_for_good(self, repo: str, path: str, reason: str = "") -> keeping.Deleted:
        """Delete the bytes at or below a path for good, in all commits of a repo (ENGINE K1)."""
        body = keeping.Deletion(path=path, reason=reason)
        return await self.transport.call(at.DELETE_FOR_GOOD, {"repo": repo}, None, body)

    async def squash_commits(self, commit_id: str) -> None:
        """Take all commits of a global id out of the history; later ones keep their files."""
        await self.transport.call(at.SQUASH_COMMITS, {"id": commit_id})

    async def squash_commit(self, repo: str, ref: str) -> None:
        """Take one commit out of the history of its repo; later ones keep their files."""
        await self.transport.call(at.SQUASH_COMMIT, {"repo": repo, "ref": ref})

    async def delete_commit(self, repo: str, ref: str) -> None:
        """Take a commit away that no other follows."""
        await self.transport.call(at.DELETE_COMMIT, {"repo": repo, "ref": ref})

    async def du(self, repo: str) -> keeping.Usage:
        """What a repo takes up, and what sharing saves."""
        return await self.transport.call(at.DU, {"repo": repo})

    async def du_commit(self, repo: str, ref: str) -> keeping.CommitUsage:
        """What a commit takes up, and what of it is its own."""
        return await self.transport.call(at.DU_COMMIT, {"repo": repo, "ref": ref})
