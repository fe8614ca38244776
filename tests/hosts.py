"""Real `vedette worker` processes for tests."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.program import PATIENCE, PROGRAM, Server, environment

T = TypeVar("T")


class Worker:
    """A running `vedette worker`."""

    def __init__(
        self, log: Path, words: Sequence[str], env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [*prefix, str(PROGRAM), "worker", *words], stdin=subprocess.DEVNULL, stdout=file,
                stderr=file, env=environment(env),
            )  # fmt: skip

    def said(self) -> str:
        """What it has written to its log."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it in good order; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the worker did not end when asked to: {self.said()}") from None


@contextmanager
def working(
    log: Path, *words: str, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Iterator[Worker]:
    """A worker, ended with the block; tells its log when the block fails."""
    worker = Worker(log, words, env, prefix)
    try:
        yield worker
    except BaseException:
        print(worker.said())
        raise
    finally:
        worker.stop()


def host_of(server: Server, worker: Worker) -> dict[str, Any]:
    """What the server says of a worker's host, once it has joined."""
    mine = f"-{worker.process.pid}-"

    def look() -> list[dict[str, Any]]:
        return [host for host in server.get("/v1/workers") if mine in host["name"]]

    return until(look, worker)[0]


def until(look: Callable[[], T], worker: Worker | None = None) -> T:
    """What `look` finds, once it finds something."""
    limit = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < limit, worker.said() if worker else "it never came to be"
        time.sleep(0.02)
    return found


def alive(process: int) -> bool:
    """Whether a process still runs."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
