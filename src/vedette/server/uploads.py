"""Bytes that come in: hashed and staged while they arrive, in a thread when there are many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from vedette.client.tar import Entries
from vedette.model.errors import TooLarge
from vedette.model.paths import clean
from vedette.objects.store import ObjectStore
from vedette.server.call import limited
from vedette.server.site import Site
from vedette.versioning.contents import Prepared, prepare, prepare_stream

# Hashing and staging 100 KB costs some 50 us, a thread's hand-over as much: small bodies stay here.
INLINE = 256 << 10
LARGE = 8 << 20
_BATCH = 1 << 20


async def staged(site: Site, data: bytes) -> Prepared:
    """Bytes that are here already, staged."""
    if len(data) <= INLINE:
        return prepare(site.objects, data)
    return await asyncio.to_thread(prepare, site.objects, data)


async def staged_stream(
    site: Site, head: bytes, rest: AsyncIterator[bytes], what: str, limit: int | None = None
) -> Prepared:
    """Bytes of which more are to come, staged as they do. Raises TooLarge over the limit."""
    limit = site.limits.file if limit is None else limit
    chunks = limited(_after(head, rest), limit, what)
    return await asyncio.to_thread(
        prepare_stream, site.objects, _pulled(chunks, asyncio.get_running_loop()), limit
    )


async def staged_tar(site: Site, chunks: AsyncIterator[bytes]) -> list[tuple[str, Prepared]]:
    """The files of a tar stream in its order, staged while the next ones arrive."""
    limits = site.limits
    entries = Entries(limited(chunks, limits.stream, "the tar stream"), limits.file)
    found: list[tuple[str, Prepared]] = []
    batch: list[tuple[str, bytes]] = []
    held = count = 0
    under_way: asyncio.Future[list[tuple[str, Prepared]]] | None = None
    try:
        while (entry := await entries.next()) is not None:
            path, size = clean(entry[0].removeprefix("./")), entry[1]
            if count >= limits.files:
                raise TooLarge(f"more than {limits.files} files in one stream: send them in parts")
            count += 1
            if size <= LARGE:
                batch.append((path, await entries.bytes.exactly(size)))
                held += size + 512
            if held >= _BATCH or size > LARGE:
                if under_way is not None:
                    found += await under_way
                under_way = asyncio.ensure_future(
                    asyncio.to_thread(_stage_all, site.objects, batch)
                )
                batch, held = [], 0
            if size > LARGE:
                large = await staged_stream(site, b"", entries.bytes.pieces(size), path)
                if under_way is not None:
                    found += await under_way
                    under_way = None
                found.append((path, large))
    finally:
        if under_way is not None:
            found += await under_way
    return found + _stage_all(site.objects, batch)


def _stage_all(objects: ObjectStore, batch: list[tuple[str, bytes]]) -> list[tuple[str, Prepared]]:
    return [(path, prepare(objects, data)) for path, data in batch]


async def _after(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """One megabyte or more a piece: each is one hand-over to the thread that stages."""
    held, size = [head], len(head)
    async for chunk in rest:
        held.append(chunk)
        size += len(chunk)
        if size >= _BATCH:
            yield b"".join(held)
            held, size = [], 0
    if size:
        yield b"".join(held)


def _pulled(chunks: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """An asynchronous stream, read from another thread."""

    async def step() -> bytes | None:
        return await anext(chunks, None)

    while True:
        chunk = asyncio.run_coroutine_threadsafe(step(), loop).result()
        if chunk is None:
            return
        yield chunk
