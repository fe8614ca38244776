"""An installation on several hosts: PostgreSQL, a bucket, servers and workers, each on its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
from tests.hosts import Worker, working
from tests.network import Host, Network, network
from tests.object_servers import ObjectServer, Weed, running
from tests.postgres import Postgres, postgres_server
from tests.program import PATIENCE, Done, Server, run

PORT = 7650
_ASKED_SECONDS = 20.0


class Member(Server):
    """One of several servers; `host` is where it runs."""

    def __init__(self, host: Host, data: Path, words: Sequence[str], env: Mapping[str, str]):
        self.host = host
        self.token = ""
        settings = ["env", *(f"{name}={value}" for name, value in env.items())]
        listen = ["--listen", f"{host.address}:{PORT}"]
        super().__init__(data, [*words, *listen], [*host.prefix, *settings])
        self.http.timeout = _ASKED_SECONDS

    def show(self, token: str) -> None:
        """Say this token with everything that is asked."""
        self.token = token
        self.http.headers["authorization"] = f"Bearer {token}"

    def tell(self, *words: str | Path, stdin: bytes = b"") -> Done:
        """A command, however it ends."""
        env = {"VEDETTE_ADDRESS": self.address, "VEDETTE_TOKEN": self.token}
        return run(words, stdin=stdin, env=env)

    def role(self) -> str:
        """leader or follower; nothing when it does not say."""
        try:
            answer = httpx2.get(
                f"{self.address}/v1/health", timeout=_ASKED_SECONDS, trust_env=False
            )
            return str(answer.json().get("role", ""))
        except httpx2.HTTPError:
            return ""

    def asked(self, path: str, **query: str) -> Any:
        """An answer of the API as JSON; None when it cannot be had now."""
        try:
            answer = self.http.get(self.address + path, params=query)
        except httpx2.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None


class Cluster:
    """Hosts and what runs there. The first server leads, unless another one had to."""

    def __init__(self, folder: Path, net: Network, held: ExitStack) -> None:
        self.folder, self.net, self._held = folder, net, held
        self.rows_host, self.objects_host = net.host(), net.host()
        self.rows: Postgres = held.enter_context(
            postgres_server(self.rows_host.address, self.rows_host.prefix)
        )
        self.objects: ObjectServer = held.enter_context(
            running(Weed, folder, self.objects_host.address, self.objects_host.prefix)
        )
        self.servers: list[Member] = []
        self.workers: list[Worker] = []
        self.worker_hosts: list[Host] = []
        self.database = self.rows.empty()
        self._last: Member | None = None

    def serve(self, count: int, database: str, env: Mapping[str, str]) -> None:
        """Start servers that leave the work to other hosts."""
        words = ["--database", database, "--objects", self.objects.place(), "--workers", "0"]
        for number in range(count):
            member = Member(self.net.host(), self.folder / f"s{number}", words, env)
            self.servers.append(member)
            self._held.callback(member.http.close)
            self._held.callback(member.stop)
        token = (self.folder / "s0" / "admin.token").read_text().strip()
        for member in self.servers:
            member.show(token)
        made = self.servers[-1]("create-token", "hosts", "--scope", "worker").out.split()
        (self.folder / "worker.token").write_text(made[-1])

    def work(self, count: int, addresses: Sequence[str] = ()) -> None:
        """Start workers that know these servers; all of them unless said."""
        known = addresses or [member.address for member in self.servers]
        words = [word for address in known for word in ("--server", address)]
        words += ["--token-file", str(self.folder / "worker.token"), "--slots", "2"]
        for number in range(count):
            host = self.net.host()
            log = self.folder / f"w{number}.log"
            self.worker_hosts.append(host)
            self.workers.append(self._held.enter_context(working(log, *words, prefix=host.prefix)))

    def leader(self) -> Member:
        """The server that leads, once one does."""
        limit = time.monotonic() + PATIENCE
        while True:
            for member in self.servers:
                if member.role() == "leader":
                    return member
            assert time.monotonic() < limit, "nobody leads"
            time.sleep(0.05)

    def put(self, repo: str, path: str, content: bytes) -> None:
        """Put a file through whichever server takes it, as a client with patience does."""
        limit = time.monotonic() + PATIENCE
        told = ""
        while time.monotonic() < limit:
            for member in sorted(self.servers, key=lambda each: each is not self._last):
                where = f"{member.address}/v1/repos/{repo}/branches/master/files/{path}"
                try:
                    answer = member.http.put(where, content=content)
                except httpx2.HTTPError as error:
                    told = repr(error)
                    continue
                if answer.status_code == 200:
                    self._last = member
                    return
                told = answer.text
                assert answer.status_code == 503, told
            time.sleep(0.1)
        raise AssertionError(f"{path} was not taken: {told}")

    def settle(self) -> Member:
        """The leader, once nothing is left to do."""
        limit = time.monotonic() + PATIENCE
        while True:
            leader = self.leader()
            if leader.asked("/v1/idle", timeout="10") is not None:
                return leader
            assert time.monotonic() < limit, leader.tell("list-job").out
            time.sleep(0.1)

    def epoch(self) -> int:
        """How often a server became the leader."""
        database = self.database.rpartition("/")[2]
        return int(str(self.rows.execute("SELECT epoch FROM leader", database)[0][0]))


@contextmanager
def hosts(folder: Path) -> Iterator[Cluster]:
    """PostgreSQL and a bucket on hosts of their own, and room for servers and workers."""
    with network() as net, ExitStack() as held:
        made = Cluster(folder, net, held)
        try:
            yield made
        except BaseException:
            for member in made.servers:
                print(f"--- {member.data.name}\n{member.said()[-4000:]}")
            raise
