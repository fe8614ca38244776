"""One server with SQLite and a folder, on a small disk."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.object_proxy import before
from tests.program import serving
from tests.sendgrid import SendGridStub
from tests.storm.disk import Disk, disk
from tests.storm.installation import LONG, Installation, environ, free_port
from tests.storm.memory import Memory


class Local(Installation):
    """A server and its disk."""

    def __init__(
        self, memory: Memory, provider: SendGridStub, chance: random.Random, room: Disk
    ) -> None:
        super().__init__(memory, provider, chance)
        self._room = room
        self.faults |= {
            "the server": (4, self.kill_server),
            "the server pauses": (1, self.pause_server),
            "the disk is full": (2, self.fill_disk),
        }

    def kill_server(self) -> None:
        """A power cut, without the loss of what was not synced."""
        self._kill(self.servers[0])

    def pause_server(self) -> None:
        """Nobody answers for a while: leases lapse, unless the server knows better."""
        self.pause(self.servers[0].process.pid, self.chance.uniform(1.0, LONG))

    def fill_disk(self) -> None:
        """No room but for a page or a few; after some seconds there is room again."""
        self._room.fill(self.chance.choice((0, 20_000, 400_000)))
        time.sleep(self.chance.uniform(0.5, 4.0))
        self._room.free()

    def calm(self) -> None:
        """As ever, and with room."""
        self._room.free()
        super().calm()


@contextmanager
def local(
    folder: Path, memory: Memory, provider: SendGridStub, chance: random.Random
) -> Iterator[Local]:
    """A local installation, ended with the block."""
    data = folder / "data"
    with disk(data) as room:
        (room.inside / "vedette.toml").write_text("grace = 1.0\n")
        words = ["--listen", f"127.0.0.1:{free_port()}"]
        prefix = [*room.words, "--", *environ(provider, memory.noted.senders)]
        with serving(data, *words, prefix=prefix) as server, before(server.address) as proxy:
            made = Local(memory, provider, chance, room)
            made.servers.append(server)
            made.proxies.append(proxy)
            try:
                yield made
            finally:
                made.calm()
