"""How a call reaches the server: the protocol, and what passes through it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from vedette.model.events import Event

T = TypeVar("T")
Chunks = AsyncIterator[bytes]
Body = Struct | Mapping[str, Any] | bytes | Chunks | Callable[[], Chunks] | None
"""A stream can be sent once only; what makes streams is asked for another to send again."""

KEY_HEADER = "idempotency-key"
TIME_DIGITS = 12
"""With so many hex digits of milliseconds a key begins that costs the server least."""


class Endpoint(Struct, Generic[T], frozen=True, kw_only=True):
    """One operation of the API. The client calls it, the server carries it out, OpenAPI shows it.

    `path` holds `{name}` for one element and `{path}` for all that follows. `body` and `query` are
    the types of what goes in (`bytes` for a raw body of type `media`), `answer` of what comes out
    (`bytes` for raw content, read with `Transport.stream` when it may be large). `once`: where it
    changes something, a key keeps a call that is sent again from doing it twice.
    """

    name: str
    method: str
    path: str
    summary: str
    answer: type[T]
    body: Any = None
    query: Any = None
    media: str = "application/octet-stream"
    open: bool = False
    once: bool = True


class Transport(Protocol):
    """A way to the server."""

    async def call(
        self,
        endpoint: Endpoint[T],
        params: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
        body: Body = None,
    ) -> T:
        """The answer of one call; raises the `VedetteError` that the server raised."""

    def stream(
        self,
        endpoint: Endpoint[bytes],
        params: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The answer's bytes as they come."""

    def events(self) -> AsyncGenerator[list[Event], None]:
        """What happens from now on, in batches; under load only the newest of each sort.

        The first batch is empty: nothing that happens after it is missed.
        """

    async def close(self) -> None:
        """Let go of connections."""
