"""Bytes that move between this host and the server: inputs in, outputs out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import structs

from vedette.client import worker_endpoints as at
from vedette.model.errors import Forbidden, NotFound, Unavailable, VedetteError
from vedette.model.ids import object_hasher, object_id
from vedette.model.work import Result, Task
from vedette.worker.fetched import Fetched
from vedette.worker.line import Line
from vedette.worker.pieces import pieces, write

EAGER_BYTES = 1 << 20
EAGER_TOTAL = 32 << 20
"""Objects up to the first are fetched before their task begins, up to the second a task."""

MOVING = 300.0
"""Seconds for which moving one object is tried in vain before its datum is given back."""


class Moving:
    """Moves objects. All of it belongs to one event loop, but for `known`.

    `ask` asks the server within the session of the moment, whose key `session` gives. `cache` is
    how many bytes of objects are kept in memory.
    """

    def __init__(
        self, line: Line, ask: Callable[..., Awaitable[Any]], session: Callable[[], str], cache: int
    ) -> None:
        self._line = line
        self._ask = ask
        self._session = session
        self._fetched = Fetched(cache)
        self._fetching: dict[bytes, asyncio.Task[bytes]] = {}
        self._uploads: dict[bytes, list[asyncio.Task[None]]] = {}

    def known(self, name: bytes) -> bytes | None:
        """An object that is here already; from any thread."""
        return self._fetched.get(name)

    async def prepare(self, tasks: Sequence[Task]) -> None:
        """Fetch the small inputs of tasks. What fails is asked for again when it is needed."""
        wanted: set[bytes] = set()
        room = EAGER_TOTAL
        for task in tasks:
            for file in (file for given in task.inputs for file in given.files):
                if file.size <= EAGER_BYTES and room > file.size and file.object not in wanted:
                    wanted.add(file.object)
                    room -= file.size
        lacking = [name for name in wanted if self._fetched.get(name) is None]
        await asyncio.gather(*map(self.get, lacking), return_exceptions=True)

    def upload(self, name: bytes, data: bytes, done: Callable[[object], None]) -> None:
        """Begin to upload an output; the result that names it waits for that."""
        task = asyncio.ensure_future(self._upload(name, data))
        task.add_done_callback(done)
        self._uploads.setdefault(name, []).append(task)

    async def uploaded(self, result: Result) -> Result:
        """A result whose outputs are at the server, or the news that they could not be moved."""
        for output in result.outputs:
            tasks = self._uploads.get(output.object)
            if output.data is not None or not tasks:
                continue
            task = tasks.pop(0)
            if not tasks:
                del self._uploads[output.object]
            try:
                await asyncio.shield(task)
            except VedetteError as error:
                reason = f"an output could not be uploaded: {error.message}"
                return structs.replace(result, state="lost", reason=reason, outputs=(), tries=1)
        return result

    async def get(self, name: bytes) -> bytes:
        """An object, fetched once however many ask for it at the same time."""
        task = self._fetching.get(name)
        if task is None:
            task = self._fetching[name] = asyncio.ensure_future(self._get(name))
            task.add_done_callback(lambda _: self._fetching.pop(name, None))
        return await asyncio.shield(task)

    async def _get(self, name: bytes) -> bytes:
        found = self._fetched.get(name)
        if found is not None:
            return found
        with _while_held():
            data = await self._line.call(
                at.READ_OBJECT, {"id": name.hex()}, {"session": self._session()}, deadline=MOVING
            )
        if object_id(data) != name:
            raise Unavailable(f"object {name.hex()[:16]} did not arrive as it should")
        self._fetched.add(name, data)
        return data

    async def fetch_to(self, name: bytes, size: int, descriptor: int) -> None:
        """Write an object to an open file, in pieces. Raises Unavailable."""
        hasher = object_hasher()

        def keep(piece: bytes) -> None:
            hasher.update(piece)
            write(descriptor, piece)

        with _while_held():
            await self._line.receive(
                at.READ_OBJECT, {"id": name.hex()}, {"session": self._session()}, size,
                lambda piece: asyncio.to_thread(keep, piece), quiet=MOVING,
            )  # fmt: skip
        if hasher.digest() != name:
            raise Unavailable(f"object {name.hex()[:16]} did not arrive as it should")

    async def _upload(self, name: bytes, data: bytes) -> None:
        stored = await self._ask(at.PUT_OBJECT, {}, lambda: data, deadline=MOVING)
        if stored.object != name:
            raise Unavailable("other bytes arrived at the server than were sent")

    async def upload_file(self, descriptor: int) -> tuple[bytes, int]:
        """Upload all bytes of an open file, in pieces; id and size. Raises Unavailable."""
        hashers = []

        async def content() -> AsyncIterator[bytes]:
            hasher = object_hasher()
            hashers.append(hasher)
            found = pieces(descriptor)
            while (piece := await asyncio.to_thread(next, found, None)) is not None:
                hasher.update(piece)
                yield piece

        stored = await self._ask(at.PUT_OBJECT, {}, content, deadline=MOVING)
        if stored.object != hashers[-1].digest():
            raise Unavailable("other bytes arrived at the server than were sent")
        return stored.object, stored.size


@contextmanager
def _while_held() -> Iterator[None]:
    """Who may not read any more has lost the lease: no fault of the datum."""
    try:
        yield
    except (Forbidden, NotFound) as error:
        raise Unavailable(f"an input is not given out any more: {error.message}") from error
