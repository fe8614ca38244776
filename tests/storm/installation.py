"""What local and clustered installations have in common: processes, and what may befall them."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

import httpx2
from tests.object_proxy import Proxy
from tests.program import Server, descendants
from tests.sendgrid import SendGridStub, Trick
from tests.storm.memory import Memory, Sent, Upset

LONG = 14.0
"""Seconds longer than a lease (ENGINE C2)."""
_TRICKS: tuple[Trick, ...] = ("429", "500", "slow", "close")


class Installation:
    """Servers behind proxies that lose answers, and the mail provider that they send to.

    `faults`: what may be done to it, each with how often in proportion.
    """

    def __init__(self, memory: Memory, provider: SendGridStub, chance: random.Random) -> None:
        self.memory = memory
        self.provider = provider
        self.chance = chance
        self.done: Counter[str] = Counter()
        self.servers: list[Server] = []
        self.proxies: list[Proxy] = []
        self.faults: dict[str, tuple[int, Callable[[], None]]] = {
            "a process below": (6, self.kill_below),
            "all processes below": (1, self.kill_all_below),
            "a process below pauses": (1, self.pause_below),
            "answers to clients": (3, self.lose_answers),
            "the mail provider": (2, self.trick),
            "one that keeps house": (2, self.kill_keeping),
            "one twice": (2, self.kill_twice),
        }
        self._paused: dict[int, threading.Timer] = {}

    @property
    def fronts(self) -> Sequence[str]:
        """Where clients send to."""
        return [proxy.endpoint for proxy in self.proxies]

    @property
    def addresses(self) -> Sequence[str]:
        """Where the servers are, without what may lose an answer."""
        return [server.address for server in self.servers]

    def strike(self) -> str:
        """Do one of the faults; which."""
        names = list(self.faults)
        (name,) = self.chance.choices(names, [self.faults[each][0] for each in names])
        self.faults[name][1]()
        self.done[name] += 1
        return name

    def keep_to(self, words: Sequence[str]) -> None:
        """Strike only with faults whose names have one of these words, if there are any."""
        kept = {
            name: each
            for name, each in self.faults.items()
            if not words or any(word in name for word in words)
        }
        assert kept, f"no fault is named like {words}: there are {', '.join(self.faults)}"
        self.faults = kept

    def calm(self) -> None:
        """Everything runs again, and nothing more is lost."""
        for pid in list(self._paused):
            self.wake(pid)
        for proxy in self.proxies:
            proxy.lose = 0
        with self.provider.lock:
            self.provider.tricks.clear()

    def upset(self, what: str) -> None:
        """Note that a sender may have died, or lost its place to another."""
        self.memory.noted.upsets.append(Upset(at=time.monotonic(), what=what))

    def told(self) -> None:
        """Note what the provider took."""
        with self.provider.lock:
            self.memory.noted.sent[:] = [
                Sent(id=name, asked=asked, taken=taken, unheard=not heard)
                for name, asked, taken, heard in self.provider.log
            ]

    def below(self) -> list[int]:
        """All processes that the servers have started."""
        return sorted(pid for each in self.servers for pid in descendants(each.process.pid))

    def kill_below(self) -> None:
        """One: a keeper, outer or inner, a warm stage, a command."""
        if found := self.below():
            _signal(self.chance.choice(found), signal.SIGKILL)

    def kill_all_below(self) -> None:
        """All of them."""
        for pid in self.below():
            _signal(pid, signal.SIGKILL)

    def pause_below(self) -> None:
        """One sleeps, perhaps past its lease, and then answers late."""
        if found := self.below():
            self.pause(self.chance.choice(found), self.chance.uniform(1.0, LONG))

    def pause(self, pid: int, seconds: float) -> None:
        """Stop a process, and let it go on after a while; meanwhile others are struck."""
        if pid in self._paused:
            return
        _signal(pid, signal.SIGSTOP)
        timer = threading.Timer(seconds, self.wake, (pid,))
        self._paused[pid] = timer
        timer.start()

    def wake(self, pid: int) -> None:
        """Let a process go on that was paused; any other is left alone."""
        timer = self._paused.pop(pid, None)
        if timer is not None:
            timer.cancel()
            self.woken(pid)
            _signal(pid, signal.SIGCONT)

    def woken(self, pid: int) -> None:
        """Called before a process goes on."""

    def working(self) -> Server:
        """The server that does the work."""
        return self.servers[0]

    def kill_keeping(self) -> None:
        """Garbage is being collected, at whatever step of it."""
        server = self.working()
        address = f"{server.address}/v1/garbage?full=true"
        asked = threading.Thread(target=_post, args=(address,))
        asked.start()
        time.sleep(self.chance.uniform(0.0, 0.4))
        self._kill(server)
        asked.join()

    def kill_twice(self) -> None:
        """Killed, and killed again while it reads what it has to go on with."""
        server = self.working()
        self.wake(server.process.pid)
        self.upset("a server was killed")
        server.kill()
        server.begin()
        time.sleep(self.chance.uniform(0.2, 2.0))
        self._kill(server)

    def _kill(self, server: Server, pause: float = 0.0) -> None:
        self.wake(server.process.pid)
        self.upset("a server was killed")
        server.kill()
        self.upset("a server was killed")
        time.sleep(pause)
        server.again()

    def lose_answers(self) -> None:
        """What clients ask for is done, and they are not told."""
        self.chance.choice(self.proxies).lose += self.chance.randint(1, 3)

    def trick(self) -> None:
        """The mail provider refuses, breaks, is slow, or hangs up after it took a message."""
        with self.provider.lock:
            self.provider.tricks.extend(self.chance.choices(_TRICKS, k=self.chance.randint(1, 3)))


def _post(address: str) -> None:
    with suppress(httpx2.TransportError):
        httpx2.post(address, timeout=30.0, trust_env=False)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def environ(provider: SendGridStub, senders: int, more: Sequence[str] = ()) -> list[str]:
    """Words before a command that say how to reach the mail provider."""
    return [
        "env",
        f"VEDETTE_CAMERAS_SENDGRID__HOST={provider.address}",
        "VEDETTE_CAMERAS_SENDGRID__KEY=k",
        "VEDETTE_CAMERAS_RETRIES__FIRST=0.2",
        "VEDETTE_CAMERAS_RETRIES__LONGEST=2",
        "VEDETTE_CAMERAS_RETRIES__TRIES=1000",
        f"VEDETTE_CAMERAS_SENDERS={senders}",
        *more,
    ]


def free_port() -> int:
    """A port that a server will have each time that it is started."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
