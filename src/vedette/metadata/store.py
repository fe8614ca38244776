"""Rows: what the platform knows, in transactions.

A store is asked by the *name* of a query (see `vedette.metadata.queries`), never by SQL text, so
that the text can differ from one engine to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from msgspec import Struct

Row = tuple[Any, ...]


class Role(Struct, frozen=True, kw_only=True):
    """What a server is to do over rows that several use.

    It leads in an epoch, or follows the leader at an address. Without one nobody has led yet.
    """

    leads: bool
    epoch: int = 0
    address: str = ""


class Rows(Protocol):
    """One open transaction's view. Values are passed by the names that the query gives them."""

    def all(self, query: str, /, **values: Any) -> list[Row]:
        """Every row of the answer."""

    def one(self, query: str, /, **values: Any) -> Row | None:
        """The first row of the answer, or None."""

    def run(self, query: str, /, **values: Any) -> int:
        """Change rows; how many were changed."""

    def later(
        self, query: str, then: Callable[[int], None] | None = None, /, **values: Any
    ) -> None:
        """Change rows, at the latest by the next question that is asked of this view.

        Spares a round trip where nobody has to wait for the answer. `then` is told how many rows
        were changed, and may raise. Faults come up at the next question or at the end of the
        savepoint or transaction, whichever is first; never outside of the savepoint.
        """

    def insert(self, query: str, /, **values: Any) -> int:
        """Add a row; its integer key."""

    def many(self, query: str, values: Sequence[Mapping[str, Any]], /) -> None:
        """Change rows once for each set of values; they may be sent as those of `later`."""

    def iterate(self, query: str, /, **values: Any) -> Iterator[Row]:
        """The rows of the answer one by one, inside this transaction."""

    def savepoint(self) -> AbstractContextManager[None]:
        """A part of the transaction that an exception undoes alone. They nest."""


class MetadataStore(Protocol):
    """Where rows live."""

    def write(self) -> AbstractContextManager[Rows]:
        """A transaction that may change rows; durable when the context ends without exception.

        There is one writer at a time: others wait. Not to be nested in one thread. Raises NoSpace
        when the disk is full; nothing of the transaction is kept then.
        """

    def read(self) -> AbstractContextManager[Rows]:
        """A snapshot: what was committed when its first query ran, and nothing later."""

    def close(self) -> None:
        """Let go of everything; the store cannot be used after."""
