"""Connections to PostgreSQL: how they are made, and what values become."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg import RawCursor
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.types.bool import BoolBinaryLoader
from psycopg.types.numeric import FloatBinaryDumper, Int8BinaryDumper, NumericBinaryLoader
from psycopg.types.string import StrBinaryDumper

# A transaction is on disk when COMMIT is answered, whatever the server's default. Who opens a
# transaction and says nothing more is ended: nobody must wait for a process that was paused.
_SETTINGS = {
    "synchronous_commit": "on",
    "jit": "off",
    # Every query of ours goes by an index. What the planner thinks of the sizes of tables is wrong
    # where they have just grown, and then it would read whole ones.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "client_min_messages": "warning",
    "standard_conforming_strings": "on",
    "idle_in_transaction_session_timeout": "60s",
}
_SET = "SELECT " + ", ".join(f"set_config('{k}', '{v}', false)" for k, v in _SETTINGS.items())


class _Text(StrBinaryDumper):
    """Text without NUL, which PostgreSQL cannot hold and logs of programs may have."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\N{SYMBOL FOR NULL}") if "\0" in obj else obj)


class _Whole(Loader):
    """A sum of whole numbers, which PostgreSQL gives as a decimal; or their mean."""

    format = Format.BINARY

    def __init__(self, oid: int, context: Any = None) -> None:
        super().__init__(oid, context)
        self._decimal = NumericBinaryLoader(oid, context)

    def load(self, data: Any) -> int | float:
        found = self._decimal.load(data)
        return int(found) if found == int(found) else float(found)


class _Flag(BoolBinaryLoader):
    """0 or 1, as in SQLite."""

    def load(self, data: Any) -> int:  # type: ignore[override]
        return int(super().load(data))


class GivenUp(psycopg.OperationalError):
    """Nobody waited for the answer any more."""


class Line(psycopg.Connection[Any]):
    """A connection that breaks when it has to wait for an answer once `given_up` is set.

    And when it has to wait longer than `patience` seconds, where that is not None.
    """

    given_up: threading.Event | None = None
    patience: float | None = None

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **more: Any) -> Any:
        """Wait for an answer; the driver looks up every tenth of a second."""
        if self.given_up is None:
            return super().wait(gen, *args, **more)
        try:
            return super().wait(self._watched(gen), *args, **more)
        except GivenUp:
            self.close()
            raise

    def _watched(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        begun = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                self.heed(begun)
                ready = yield wanted
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value

    def heed(self, begun: float) -> None:
        """Raise GivenUp if what began to wait then (`time.monotonic`) is not to wait any more."""
        if self.given_up is not None and self.given_up.is_set():
            raise GivenUp("nobody here waits for it any more")
        if self.patience is not None and time.monotonic() > begun + self.patience:
            raise GivenUp("its answer took too long")


def answers(url: str, seconds: float) -> bool:
    """Whether a database lets somebody in within so long."""
    late = threading.Event()
    timer = threading.Timer(seconds, late.set)
    timer.start()
    try:
        connect(url, "vedette asks", given_up=late, timeout=int(seconds)).close()
    except psycopg.Error:
        return False
    finally:
        timer.cancel()
    return True


def connect(
    url: str, name: str, silence_seconds: float = 10.0, given_up: threading.Event | None = None,
    timeout: int = 5,
) -> Line:  # fmt: skip
    """A connection in autocommit mode whose cursors take `$1` and speak binary.

    `name` is what the server shows of it. When nothing that is sent is acknowledged for
    `silence_seconds`, the network is gone and the connection broken. It is made within `timeout`
    seconds. A server that is only paused acknowledges everything: its answers are waited for until
    `given_up` is set.

    Whole numbers are always 64 bits wide, so that a statement is prepared once and not once for
    each size of its values.
    """
    connection = Line.connect(
        url,
        autocommit=True,
        application_name=name,
        connect_timeout=timeout,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=int(silence_seconds * 1000),
        client_encoding="utf8",
        cursor_factory=Binary,
        prepare_threshold=None,  # `postgres_pipeline` prepares by itself
    )
    connection.given_up = given_up
    adapters = connection.adapters
    adapters.register_dumper(int, Int8BinaryDumper)
    adapters.register_dumper(bool, Int8BinaryDumper)
    adapters.register_dumper(float, FloatBinaryDumper)
    adapters.register_dumper(str, _Text)
    adapters.register_loader("numeric", _Whole)
    adapters.register_loader("bool", _Flag)
    connection.execute(_SET)
    return connection


def own_address(url: str) -> str | None:
    """This machine's address as the database sees it; None over a Unix socket."""
    with connect(url, "vedette asks") as connection:
        row = connection.execute("SELECT host(inet_client_addr())").fetchone()
    return row[0] if row else None


class Binary(RawCursor[Any]):
    """A cursor whose answers come in binary."""

    def __init__(self, connection: psycopg.Connection, **more: Any) -> None:
        super().__init__(connection, **more)
        self.format = Format.BINARY
