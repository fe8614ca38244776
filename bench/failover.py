"""How long work stands still: the leader killed, a worker killed. Prints the figures.

    .venv/bin/python bench/failover.py [--rounds 3]

Two servers over one PostgreSQL (a process of its own, from the test dependencies) and a folder.
Leader: from kill -9 until a file that is put through the other server has its output. Worker: from
kill -9 of the processes that run a datum until it runs elsewhere, whatever notices it first.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.postgres import postgres_server
from tests.program import Server, descendants, serving

COPY = {
    "pipeline": {"name": "copy"},
    "transform": {"image": "any", "cmd": ["sh", "-c", "cp /pfs/in/* /pfs/out/"]},
    "input": {"pfs": {"repo": "in", "glob": "/*"}},
}
NAP = b"30.125"
SLOW = {
    "pipeline": {"name": "slow"},
    "transform": {"image": "any", "cmd": ["sleep", NAP.decode()]},
    "input": {"pfs": {"repo": "in", "glob": "/slow*"}},
}


def put(server: Server, name: str) -> None:
    """Put a file; answers of a hand-over are asked again."""
    while True:
        where = f"{server.address}/v1/repos/in/branches/master/files/{name}"
        if server.http.put(where, content=name.encode()).status_code == 200:
            return
        time.sleep(0.05)


def output(server: Server, name: str) -> None:
    """Wait for an output."""
    where = f"{server.address}/v1/repos/copy/commits/master/files/{name}"
    while server.http.get(where).status_code != 200:
        time.sleep(0.01)


def leader(servers: list[Server], number: int) -> tuple[float, float]:
    """Seconds from the leader's death to an accepted file, and to its output."""
    first, second = servers
    begun = time.monotonic()
    first.kill()
    put(second, f"after{number}")
    accepted = time.monotonic() - begun
    output(second, f"after{number}")
    worked = time.monotonic() - begun
    first.again()
    servers.reverse()
    return accepted, worked


def running(server: Server) -> set[int]:
    """The processes of the slow datum."""
    found = set()
    for process in descendants(server.process.pid):
        try:
            said = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if said == b"sleep\0" + NAP + b"\0":
            found.add(process)
    return found


def worker(server: Server) -> float:
    """Seconds from the death of a worker's processes until its datum runs again."""
    put(server, "slow")
    while not (before := running(server)):
        time.sleep(0.01)
    begun = time.monotonic()
    for process in descendants(server.process.pid):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    while not running(server) - before:
        time.sleep(0.01)
    return time.monotonic() - begun


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=3)
    rounds = asked.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        postgres = stack.enter_context(postgres_server())
        (folder / "runtimes.toml").write_text('["any"]\nruntime = "process"\n')
        words = ["--database", postgres.empty(), "--objects", str(folder / "shared"),
                 "--runtimes", str(folder / "runtimes.toml")]  # fmt: skip
        servers = [stack.enter_context(serving(folder / f"s{n}", *words)) for n in range(2)]
        (folder / "copy.json").write_text(json.dumps(COPY))
        servers[0]("create-repo", "in")
        servers[0]("create-pipeline", "-f", folder / "copy.json")
        put(servers[0], "warm")
        output(servers[0], "warm")
        found = [leader(servers, number) for number in range(rounds)]
        for label, values in zip(("accepted", "worked on"), zip(*found, strict=True), strict=True):
            print(f"leader killed, next file {label:10} median {statistics.median(values):5.2f} s"
                  f"  most {max(values):5.2f} s  (to reach: < 5 s)")  # fmt: skip
        (folder / "slow.json").write_text(json.dumps(SLOW))
        servers[0]("create-pipeline", "-f", folder / "slow.json")
        seconds = worker(servers[0])
        print(f"worker killed, its datum runs again        {seconds:5.2f} s"
              "  (to reach: < lease of 10 s + 1 s)")  # fmt: skip


if __name__ == "__main__":
    main()
