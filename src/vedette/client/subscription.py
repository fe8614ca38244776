"""Commits as they are finished, one after the other, over any interruption."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from vedette.model.errors import Unavailable
from vedette.model.files import CommitInfo

if TYPE_CHECKING:
    from vedette.client.calls import Client

PAGE = 200
PATIENCE = 15.0
"""Seconds after which the server is asked though it told of nothing."""
_PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)


async def finished(
    client: Client, repo: str, branch: str, after: int
) -> AsyncGenerator[CommitInfo, None]:
    """The finished commits of a branch above a number, oldest first, for as long as it is read.

    Numbers of one branch rise in the order in which its commits end, so a commit that is still open
    holds back those behind it. Errored commits are passed over. While the server is away it is
    asked again, with pauses of up to 5 seconds; any other error is the caller's.
    """
    changed = asyncio.Event()
    listening = asyncio.create_task(_listen(client, repo, changed))
    failures = 0
    try:
        while True:
            changed.clear()
            try:
                page = await client.list_commit(repo, branch, after=after, limit=PAGE)
                failures = 0
            except Unavailable:
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1
                continue
            ended = 0
            for commit in page:
                if commit.state == "started":
                    break
                ended += 1
                after = commit.number
                if commit.state == "finished":
                    yield commit
            if ended < PAGE:
                await _until(changed)
    finally:
        listening.cancel()
        await asyncio.wait([listening])


async def _until(changed: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await changed.wait()
    except TimeoutError:
        return


async def _listen(client: Client, repo: str, changed: asyncio.Event) -> None:
    failures = 0
    while True:
        try:
            async with aclosing(client.transport.events()) as batches:
                async for batch in batches:
                    # After an empty batch: what happened before the stream began may be new too.
                    failures = 0
                    if not batch or any(event.repo == repo for event in batch):
                        changed.set()
        except Unavailable:
            pass
        await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
        failures += 1
