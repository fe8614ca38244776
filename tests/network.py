"""Several hosts on one machine: network namespaces on a bridge that a test makes.

Programs are started on a host by the words of its `prefix`. A host can be taken off the network,
and stop hearing another, without its programs knowing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import pytest

_NETS = 512
"""As many bridges: each has a /24 of 198.18.0.0/15, which is for tests of networks alone."""


def _run(*words: str) -> str:
    """Run a command; why it failed, nothing when it did not."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    return "" if done.returncode == 0 else f"{' '.join(words)}: {done.stderr.strip()}"


def _must(*words: str) -> None:
    failed = _run(*words)
    assert not failed, failed


@cache
def _missing() -> str:
    """Why there can be no networks here; nothing when there can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    tools = [tool for tool in ("ip", "nsenter", "iptables") if shutil.which(tool) is None]
    if tools:
        return f"{', '.join(tools)} not installed (iproute2, util-linux, iptables)"
    name = f"vtry{os.getpid()}"
    failed = _run("ip", "netns", "add", name)
    if not failed:
        failed = _run("nsenter", f"--net=/run/netns/{name}", "iptables", "-w", "-L")
        _run("ip", "netns", "del", name)
    return failed


class Host:
    """A host with a network of its own. `prefix` are the words before a command that runs there."""

    def __init__(self, net: Network, number: int) -> None:
        self.address = f"198.{18 + net.number // 256}.{net.number % 256}.{number}"
        self._space = f"vn{net.number}h{number}"
        self._port = f"{self._space}p"
        self.prefix = ["nsenter", f"--net=/run/netns/{self._space}"]
        _must("ip", "netns", "add", self._space)
        _must("ip", "link", "add", self._port, "type", "veth", "peer", "name", "eth0",
              "netns", self._space)  # fmt: skip
        _must("ip", "link", "set", self._port, "master", net.bridge, "up")
        _must("ip", "-n", self._space, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _must("ip", "-n", self._space, "link", "set", device, "up")

    def cut(self) -> None:
        """Pull its cable."""
        _must("ip", "link", "set", self._port, "down")

    def mend(self) -> None:
        """Plug the cable in again, and hear everybody."""
        _must("ip", "link", "set", self._port, "up")
        _must(*self.prefix, "iptables", "-w", "-F")

    def lose(self, other: Host) -> None:
        """Drop what comes from another host and goes to it; nobody is told."""
        _must(*self.prefix, "iptables", "-w", "-A", "INPUT", "-s", other.address, "-j", "DROP")
        _must(*self.prefix, "iptables", "-w", "-A", "OUTPUT", "-d", other.address, "-j", "DROP")

    def close(self) -> None:
        """Take it away; what still runs there keeps a network without a cable."""
        _run("ip", "netns", "del", self._space)
        _run("ip", "link", "del", self._port)


class Network:
    """A bridge on which hosts are made. `address` is this machine's own on it."""

    def __init__(self) -> None:
        begin = os.getpid() % _NETS
        for number in (*range(begin, _NETS), *range(begin)):
            if not _run("ip", "link", "add", f"vn{number}", "type", "bridge"):
                break
        else:
            raise AssertionError("all networks are in use: see `ip link`")
        self.number = number
        self.bridge = f"vn{number}"
        self.address = f"198.{18 + number // 256}.{number % 256}.254"
        self._hosts = 0
        self._held = ExitStack()
        self._held.callback(_run, "ip", "link", "del", self.bridge)
        with ExitStack() as undone:
            undone.callback(self._held.close)
            _must("ip", "address", "add", f"{self.address}/24", "dev", self.bridge)
            _must("ip", "link", "set", self.bridge, "up")
            undone.pop_all()

    def host(self) -> Host:
        """One more host, at an address of its own."""
        self._hosts += 1
        made = Host(self, self._hosts)
        self._held.callback(made.close)
        return made

    def close(self) -> None:
        """Take it all away."""
        self._held.close()


@contextmanager
def network() -> Iterator[Network]:
    """A network for the block. Skips the test, and says why, where none can be made."""
    if missing := _missing():
        pytest.skip(f"no network namespaces: {missing}")
    made = Network()
    try:
        yield made
    finally:
        made.close()
