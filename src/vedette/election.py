"""Several servers over one PostgreSQL: what each of them needs besides the stores."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import Protocol

from vedette.config import Settings
from vedette.dashboard.sessions import session_key as key_in
from vedette.metadata.store import MetadataStore, Role
from vedette.server import serving

_SESSION_KEY = "session key"
_ANSWER_SECONDS = 3.0


class Election(Protocol):
    """Decides which of several servers leads, and tells of it."""

    def start(self) -> None:
        """Stand. Raises Unavailable when nobody can be asked."""

    def resign(self) -> None:
        """Let another lead."""

    def stop(self) -> None:
        """Stand no more."""


def election(settings: Settings, address: str, told: Callable[[Role], None]) -> Election:
    """The election among the servers of a database. `address`: where they reach this one."""
    from vedette.metadata.leadership import Leadership

    return Leadership(settings.database, address, told)


class LeaderRows(MetadataStore, Protocol):
    """The rows as one leader has them, which it may lose."""

    def give_up(self) -> None:
        """Wait for the rows no more; all that is asked of them is Unavailable."""


def rows_of_leader(store: MetadataStore, epoch: int) -> LeaderRows:
    """The rows for as long as this epoch of the leader lasts, on connections of their own."""
    from vedette.metadata.postgres import PostgresStore

    assert isinstance(store, PostgresStore), "only there are epochs"
    return store.leading(epoch)


def rows_answer(settings: Settings) -> bool:
    """Whether the database lets this server in at the moment."""
    from vedette.metadata.postgres_connection import answers

    return answers(settings.database, _ANSWER_SECONDS)


def session_key(settings: Settings, store: MetadataStore) -> bytes:
    """The key that signs cookies: one for all servers on a database, else in the data folder."""
    if not settings.database:
        return key_in(settings.data)
    with store.read() as rows:
        found = rows.one("setting_get", name=_SESSION_KEY)
    if found is None:
        with store.write() as rows:
            rows.run("setting_add", name=_SESSION_KEY, value=secrets.token_hex(32))
            found = rows.one("setting_get", name=_SESSION_KEY)
    assert found is not None, "it has just been added"
    return bytes.fromhex(found[0])


def reachable(settings: Settings, listening: socket.socket) -> str:
    """The address at which other servers reach this one, where nobody has said it.

    One that listens at every address is reached at the one from which it reaches the database.
    """
    address = serving.address_of(listening)
    host = listening.getsockname()[0]
    if host not in ("0.0.0.0", "::"):  # noqa: S104  asks whether it is every address
        return address
    from vedette.metadata.postgres_connection import own_address

    near = own_address(settings.database)
    if near is None:
        return address
    port = listening.getsockname()[1]
    return f"http://[{near}]:{port}" if ":" in near else f"http://{near}:{port}"
