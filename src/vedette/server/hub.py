"""Tells listeners of the asynchronous world what the scheduler's thread has made durable."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager

import msgspec

from vedette.model.events import Event

PAUSE = 0.1
HEARTBEAT = 15.0
_MOST = 200
_encode = msgspec.json.Encoder().encode

Listen = Callable[[Callable[[list[Event]], None]], Callable[[], None]]


class Listener:
    """Gathers what happened until somebody looks; the newest of each sort, not every one."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, str, str, str, str], Event] = {}
        self._happened = asyncio.Event()

    def add(self, events: list[Event]) -> None:
        """Take note. More than there is room for: the oldest are forgotten."""
        for event in events:
            key = (event.kind, event.repo, event.branch, event.pipeline, event.id)
            self._events.pop(key, None)
            self._events[key] = event
        while len(self._events) > _MOST:
            del self._events[next(iter(self._events))]
        self._happened.set()

    def end(self) -> None:
        """Wake up: the server stops."""
        self._happened.set()

    async def next(self, timeout: float) -> list[Event]:
        """What happened since the last call; waits up to `timeout` seconds for something."""
        if not self._happened.is_set():
            try:
                async with asyncio.timeout(timeout):
                    await self._happened.wait()
            except TimeoutError:
                return []
        self._happened.clear()
        found = list(self._events.values())
        self._events.clear()
        return found


class Hub:
    """Where handlers listen. `start` and `stop` belong to the server's event loop."""

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self._listeners: set[Listener] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unlisten: Callable[[], None] = lambda: None
        self._heard_so_far: list[Event] = []
        self._lock = threading.Lock()
        self.stopping = False

    def start(self) -> None:
        """Begin to listen, from within the event loop."""
        self._loop = asyncio.get_running_loop()
        self._unlisten = self._listen(self._heard)

    def stop(self) -> None:
        """End every wait and every stream."""
        self.stopping = True
        self._unlisten()
        for listener in self._listeners:
            listener.end()

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener. Open it before looking at the state that is waited for."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def _heard(self, events: list[Event]) -> None:
        # Runs in the scheduler's thread. Harmless race: who begins to listen after this check looks
        # at the state afterwards, and finds there what these events tell.
        if self._listeners and self._loop is not None and not self._loop.is_closed():
            with self._lock:
                waking = bool(self._heard_so_far)
                self._heard_so_far += events
            if not waking:
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        with self._lock:
            events, self._heard_so_far = self._heard_so_far, []
        for listener in self._listeners:
            listener.add(events)


async def batches(hub: Hub) -> AsyncGenerator[list[Event], None]:
    """What happens, at most one batch in PAUSE seconds; an empty one when nothing happens.

    The first one is empty: from then on nothing is missed.
    """
    with hub.listening() as listener:
        yield []
        while not hub.stopping:
            events = await listener.next(HEARTBEAT)
            if hub.stopping:
                return
            yield events
            if events:
                await asyncio.sleep(PAUSE)


async def sent_events(hub: Hub) -> AsyncIterator[bytes]:
    """Server-sent events: at most one batch in PAUSE seconds, a comment when nothing happens.

    An event's name is its kind; its data is a JSON list of what happened of that kind.
    """
    comment = b"retry: 2000\n: listening\n\n"
    async with aclosing(batches(hub)) as told:
        async for events in told:
            if not events:
                yield comment
                comment = b": still here\n\n"
                continue
            kinds: dict[str, list[Event]] = {}
            for event in events:
                kinds.setdefault(event.kind, []).append(event)
            yield b"".join(
                b"event: %s\ndata: %s\n\n" % (kind.encode(), _encode(of_kind))
                for kind, of_kind in kinds.items()
            )
