"""Which of several servers on one PostgreSQL leads.

The leader holds an advisory lock on a connection of its own; the others wait for that lock on
theirs, so that PostgreSQL wakes the next one at the moment when the leader's connection ends. A
leader that was killed is noticed at once. One that was paused or cut off says nothing for
SILENCE_SECONDS, and PostgreSQL ends its session: no clocks are compared.

Who gets the lock raises the epoch. Every write of a leader checks its epoch in the same
transaction (`PostgresStore.hold`), so that one that wakes up late cannot commit. Changes are told
by NOTIFY. Reasons: docs/design/014-one-leader.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
import structlog

from vedette.metadata.postgres_connection import connect
from vedette.metadata.postgres_errors import first_line, place
from vedette.metadata.store import Role
from vedette.model.errors import Unavailable

SILENCE_SECONDS = 4.0
BEAT_SECONDS = 1.0
_LOCK = "7650, 2"
_CHANNEL = "vedette_leader"
_AGAIN_SECONDS = 0.3
_SILENT_SECONDS = 3.0
_LOOK_SECONDS = 10.0
_DECIDED_SECONDS = 30.0
_LEAP = 1_000_000_000
_SETTINGS = {
    "idle_session_timeout": f"{int(SILENCE_SECONDS * 1000)}ms",
    "idle_in_transaction_session_timeout": f"{int(SILENCE_SECONDS * 1000)}ms",
    "client_connection_check_interval": "2s",
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
}
_SET = "SELECT " + ", ".join(f"set_config('{k}', '{v}', false)" for k, v in _SETTINGS.items())
_log = structlog.get_logger("vedette.leadership")


class Leadership:
    """Stands for election until it is stopped. `told` is called in a thread at each change.

    `address` is where others reach this server while it leads.
    """

    def __init__(self, url: str, address: str, told: Callable[[Role], None]) -> None:
        self._url = url
        self._where = place(url)
        self._address = address
        self._told = told
        self._role = Role(leads=False, epoch=-1)
        self._telling = threading.Lock()
        self._guard = threading.Lock()
        self._decided = threading.Event()
        self._stopping = threading.Event()
        self._resigned = threading.Event()
        self._given_up = threading.Event()
        self._standing: psycopg.Connection | None = None
        self._threads = [
            threading.Thread(target=self._stand, name="election", daemon=True),
            threading.Thread(target=self._watch, name="leader-watch", daemon=True),
        ]

    def start(self) -> None:
        """Stand; the first role is told before this ends. Raises Unavailable."""
        try:
            connect(self._url, "vedette candidate").close()
        except psycopg.Error as error:
            raise Unavailable(
                f"the {self._where} does not answer ({first_line(error)}): try again"
            ) from error
        self._threads[0].start()
        if not self._decided.wait(_DECIDED_SECONDS):
            raise Unavailable(f"the {self._where} does not say who leads: try again")
        self._threads[1].start()

    def resign(self) -> None:
        """Let another server lead, if there is one; stand again after a pause."""
        self._resigned.set()

    def stop(self) -> None:
        """Let go of the lock and stand no more."""
        self._stopping.set()
        with self._guard:
            if self._standing is not None:
                with suppress(psycopg.Error):
                    self._standing.cancel_safe(timeout=2.0)
        self._given_up.set()  # a database that is only paused would be waited for
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _connect(self, name: str) -> psycopg.Connection:
        return connect(self._url, name, SILENCE_SECONDS, self._given_up)

    def _stand(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._connect("vedette candidate") as connection:
                    connection.execute(_SET)
                    with self._guard:
                        self._standing = connection
                    if not self._stopping.is_set():
                        self._wait_for_lock(connection)
                        self._lead(connection)
            except psycopg.Error as error:
                if not self._stopping.is_set():
                    _log.info("not standing", reason=first_line(error))
            finally:
                with self._guard:
                    self._standing = None
            self._stopping.wait(_AGAIN_SECONDS)

    def _wait_for_lock(self, connection: psycopg.Connection) -> None:
        row = connection.execute(f"SELECT pg_try_advisory_lock({_LOCK})").fetchone()
        if row and row[0]:
            return
        self._tell(_leader(connection))
        connection.execute(f"SELECT pg_advisory_lock({_LOCK})")

    def _lead(self, connection: psycopg.Connection) -> None:
        epoch = self._take_over(connection)
        self._resigned.clear()
        self._tell(Role(leads=True, epoch=epoch, address=self._address))
        held: psycopg.Connection | None = connection
        while held is not None and not self._resigned.is_set():
            if self._stopping.wait(BEAT_SECONDS):
                break
            try:
                if _leader(held).epoch != epoch:
                    break
            except psycopg.OperationalError as error:
                _log.warning("the leader's lock was lost", reason=first_line(error))
                held = self._again(epoch)
        if held is not None:
            held.close()
        self._tell(Role(leads=False, epoch=epoch))
        if self._resigned.is_set():
            self._stopping.wait(SILENCE_SECONDS)

    def _take_over(self, connection: psycopg.Connection) -> int:
        """Raise the epoch, when no transaction of an older one is open any more."""
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name ~ '^vedette leader [0-9]+$' "
            "AND usename = current_user"
        )
        row = connection.execute(
            "INSERT INTO leader AS l (name, epoch, address, since) VALUES ('leader', 1, $1, $2) "
            "ON CONFLICT(name) DO UPDATE SET epoch = l.epoch + 1, address = excluded.address, "
            "since = greatest(excluded.since, l.since + $3) RETURNING epoch",
            [self._address, time.time_ns() // 1000, _LEAP],
        ).fetchone()
        connection.execute(f"NOTIFY {_CHANNEL}")
        assert row is not None, "it returns what it wrote"
        return int(row[0])

    def _again(self, epoch: int) -> psycopg.Connection | None:
        """The lock anew after its connection broke; None when another server was faster.

        While the database is down nobody else can lead either: this one waits; its host says so
        at once. When nothing answers from there, it may be this server alone that is cut off: it
        leads no more, so that who asks it goes elsewhere.
        """
        while not self._stopping.wait(_AGAIN_SECONDS) and not self._resigned.is_set():
            begun = time.monotonic()
            try:
                connection = self._connect("vedette candidate")
                if not self._still_ours(connection, epoch):
                    connection.close()
                    return None
            except psycopg.OperationalError as error:
                if time.monotonic() - begun > _SILENT_SECONDS or _no_way(error):
                    _log.warning("cut off from the database", reason=first_line(error))
                    return None
            else:
                _log.info("leading on", epoch=epoch)
                return connection
        return None

    def _still_ours(self, connection: psycopg.Connection, epoch: int) -> bool:
        try:
            connection.execute(_SET)
            row = connection.execute(f"SELECT pg_try_advisory_lock({_LOCK})").fetchone()
            return bool(row and row[0]) and _leader(connection).epoch == epoch
        except psycopg.OperationalError:
            connection.close()
            raise

    def _watch(self) -> None:
        """Tell who leads: when NOTIFY says so, and every LOOK_SECONDS in case it was not heard."""
        while not self._stopping.is_set():
            with suppress(psycopg.Error), self._connect("vedette watcher") as connection:
                connection.execute(f"LISTEN {_CHANNEL}")
                while not self._stopping.is_set():
                    self._tell(_leader(connection))
                    self._heard(connection)
            self._stopping.wait(_AGAIN_SECONDS)

    def _heard(self, connection: psycopg.Connection) -> None:
        until = time.monotonic() + _LOOK_SECONDS
        while not self._stopping.is_set() and time.monotonic() < until:
            if list(connection.notifies(timeout=0.5, stop_after=1)):
                return

    def _tell(self, role: Role) -> None:
        """Pass a change on. What the watcher saw before this server led is older than that."""
        with self._telling:
            before = self._role
            if role == before or role.epoch < before.epoch:
                return
            if before.leads and not role.leads and role.epoch == before.epoch and role.address:
                return  # the watcher reads what this server itself has written
            if not role.leads and role.address == self._address:
                role = Role(leads=False, epoch=role.epoch)
                if role == before:
                    return
            self._role = role
            self._told(role)
            self._decided.set()


def _no_way(error: psycopg.OperationalError) -> bool:
    return "No route to host" in str(error) or "unreachable" in str(error)


def _leader(connection: psycopg.Connection) -> Role:
    row = connection.execute("SELECT epoch, address FROM leader").fetchone()
    return Role(leads=False, epoch=row[0], address=row[1]) if row else Role(leads=False)
