"""Two servers over PostgreSQL and SeaweedFS, and two hosts with workers, on bad networks."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
from tests.hosts import Worker
from tests.object_proxy import Proxy, before
from tests.object_servers import ObjectServer, Weed
from tests.object_servers import running as object_server
from tests.postgres import Postgres, owner, postgres_server
from tests.program import PATIENCE, Server, descendants, serving
from tests.sendgrid import SendGridStub
from tests.storm.disk import Disk, disk
from tests.storm.installation import LONG, Installation, environ, free_port
from tests.storm.memory import Memory

SERVERS = 2
HOSTS = 2
_LEFT = (0, 20_000, 400_000, 4_000_000)
"""Bytes that a full disk still has."""
_RECOVERY_SECONDS = 15.0


class Host:
    """A machine with workers: killed, and started again."""

    def __init__(self, log: Path, addresses: list[str]) -> None:
        self._log = log
        named = [word for address in addresses for word in ("--server", address)]
        self._words = [*named, "--slots", "1"]
        self.worker = Worker(log, self._words)

    def again(self) -> None:
        """Kill it with all that it runs, and start it anew."""
        self.worker.kill()
        self.worker = Worker(self._log, self._words)

    def stop(self) -> None:
        """End it in good order."""
        self.worker.stop()


class Cluster(Installation):
    """What is needed to strike each part."""

    def __init__(
        self, memory: Memory, provider: SendGridStub, chance: random.Random,
        rows: tuple[Postgres, Disk | None], objects: tuple[ObjectServer, Disk],
    ) -> None:  # fmt: skip
        super().__init__(memory, provider, chance)
        self._rows, self._rows_room = rows
        self._objects, self._objects_room = objects
        self.hosts: list[Host] = []
        self.to_objects: list[Proxy] = []
        self.to_hosts: list[Proxy] = []
        self.faults |= {
            "a server": (2, self.kill_server),
            "the leader": (3, self.kill_leader),
            "a server pauses": (1, self.pause_server),
            "the leader pauses": (2, self.pause_leader),
            "postgresql": (2, self.kill_rows),
            "the object store": (1, self.kill_objects),
            "the object store has no room": (2, self.fill_objects),
            "answers of the object store": (2, self.lose_objects),
            "a host": (3, self.kill_host),
            "a host pauses": (2, self.pause_host),
            "a host is cut off": (2, self.cut_host),
            "answers to hosts": (3, self.lose_hosts),
        }
        if self._rows_room is not None:
            self.faults["postgresql has no room"] = (2, self.fill_rows)

    def below(self) -> list[int]:
        """The processes of servers and of hosts."""
        hosts = [host.worker.process.pid for host in self.hosts]
        return sorted({*super().below(), *(pid for host in hosts for pid in descendants(host))})

    def leader(self) -> Server:
        """The one that leads, as far as anybody answers; else any."""
        for server in self.servers:
            with suppress(httpx2.TransportError):
                answer = httpx2.get(server.address + "/v1/health", timeout=2.0, trust_env=False)
                if answer.status_code == 200 and answer.json()["role"] == "leader":
                    return server
        return self.chance.choice(self.servers)

    def kill_server(self) -> None:
        """Any of them."""
        self._kill(self.chance.choice(self.servers), self._pause_before_return())

    def kill_leader(self) -> None:
        """The other goes on; sometimes this one is back before it does."""
        self._kill(self.leader(), self._pause_before_return())

    def _pause_before_return(self) -> float:
        return self.chance.choice((0.0, 1.0, 6.0))

    def working(self) -> Server:
        """The leader."""
        return self.leader()

    def pause_server(self) -> None:
        """Any of them."""
        self._pause(self.chance.choice(self.servers))

    def pause_leader(self) -> None:
        """It wakes, and believes that it still leads."""
        self._pause(self.leader())

    def _pause(self, server: Server) -> None:
        self.upset("a server sleeps")
        self.pause(server.process.pid, self.chance.uniform(1.0, LONG))

    def woken(self, pid: int) -> None:
        """It may finish what it was about to do when it fell asleep."""
        if pid in [server.process.pid for server in self.servers]:
            self.upset("a server is awake")

    def kill_rows(self) -> None:
        """PostgreSQL is gone for a while, and with it the lock of who leads."""
        self.upset("postgresql was killed")
        self._rows.kill()
        time.sleep(self.chance.choice((0.0, 0.5, 4.0)))
        self._rows.start()
        self.upset("postgresql is back")

    def fill_rows(self) -> None:
        """No room but for a page or a few; it may end because of that, and another may lead."""
        assert self._rows_room is not None, "else there is no such fault"
        self.upset("postgresql has no room")
        self._rows_room.fill(self.chance.choice(_LEFT))
        time.sleep(self.chance.uniform(0.5, 4.0))
        self._rows_room.free()
        self._rows.recover()
        self.upset("postgresql has room")

    def fill_objects(self) -> None:
        """The bucket takes nothing for a while, or half of it."""
        self._objects_room.fill(self.chance.choice(_LEFT))
        time.sleep(self.chance.uniform(0.5, 4.0))
        self._objects_room.free()
        self._objects.recover(_RECOVERY_SECONDS)

    def kill_objects(self) -> None:
        """The bucket is gone for some seconds."""
        self._objects.kill()
        time.sleep(self.chance.choice((0.0, 2.0)))
        self._objects.again()

    def lose_objects(self) -> None:
        """Objects are stored, and nobody is told."""
        self.chance.choice(self.to_objects).lose += self.chance.randint(1, 3)

    def kill_host(self) -> None:
        """A machine loses power, and comes back."""
        host = self.chance.choice(self.hosts)
        self.wake(host.worker.process.pid)
        host.again()

    def pause_host(self) -> None:
        """Its leases lapse, and then it answers."""
        host = self.chance.choice(self.hosts)
        self.pause(host.worker.process.pid, self.chance.uniform(1.0, LONG))

    def cut_host(self) -> None:
        """Every connection between hosts and servers ends in the middle."""
        for proxy in self.to_hosts:
            proxy.drop()

    def lose_hosts(self) -> None:
        """What hosts reported is recorded, and they are not told."""
        self.chance.choice(self.to_hosts).lose += self.chance.randint(1, 3)

    def calm(self) -> None:
        """As ever, and both servers know who leads."""
        for room in (self._rows_room, self._objects_room):
            if room is not None:
                room.free()
        super().calm()
        for proxy in (*self.to_objects, *self.to_hosts):
            proxy.lose = 0
        limit = time.monotonic() + PATIENCE
        for server in self.servers:
            while httpx2.get(server.address + "/v1/health", trust_env=False).status_code != 200:
                assert time.monotonic() < limit, server.said()
                time.sleep(0.1)


def _rows(stack: ExitStack) -> tuple[Postgres, Disk | None]:
    """A PostgreSQL and the disk of its data, where whoever runs it can look for it.

    Only root can make it one: in a namespace of their own, others would seem to be root, for whom
    PostgreSQL does not run.
    """
    if os.geteuid() != 0:
        return stack.enter_context(postgres_server()), None
    place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgdisk")))
    place.chmod(0o755)
    room = stack.enter_context(disk(place / "disk", owner()))
    return stack.enter_context(postgres_server(prefix=room.words, room=room.folder)), room


def _objects(stack: ExitStack, folder: Path) -> tuple[ObjectServer, Disk]:
    """A bucket and the disk of its data."""
    room = stack.enter_context(disk(folder / "weed"))
    return stack.enter_context(object_server(Weed, folder, prefix=[*room.words, "--"])), room


@contextmanager
def cluster(
    folder: Path, memory: Memory, provider: SendGridStub, chance: random.Random
) -> Iterator[Cluster]:
    """A clustered installation, ended with the block."""
    with ExitStack() as stack:
        rows, objects = _rows(stack), _objects(stack, folder)
        made = Cluster(memory, provider, chance, rows, objects)
        url, place = rows[0].empty(), objects[0].place()
        for number in range(SERVERS):
            store = stack.enter_context(before(objects[0].endpoint))
            made.to_objects.append(store)
            keys = {**objects[0].environ, "AWS_ENDPOINT_URL": store.endpoint}
            prefix = environ(provider, memory.noted.senders, [f"{k}={v}" for k, v in keys.items()])
            words = ["--listen", f"127.0.0.1:{free_port()}", "--database", url, "--objects", place]
            words += ["--workers", "1"]
            (folder / f"s{number}").mkdir()
            (folder / f"s{number}" / "vedette.toml").write_text("grace = 5.0\n")
            server = stack.enter_context(serving(folder / f"s{number}", *words, prefix=prefix))
            made.servers.append(server)
            made.proxies.append(stack.enter_context(before(server.address)))
            made.to_hosts.append(stack.enter_context(before(server.address)))
        for number in range(HOSTS):
            host = Host(folder / f"h{number}.log", [proxy.endpoint for proxy in made.to_hosts])
            stack.callback(host.stop)
            made.hosts.append(host)
        try:
            yield made
        finally:
            made.calm()
