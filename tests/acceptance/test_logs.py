"""`get-logs -f` against the real server: it follows until it is told to stop."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.program import PATIENCE, PROGRAM, Server, environment, serving

SCRIPT = 'for f in /pfs/images/*; do echo "seen ${f##*/}"; done; cp /pfs/images/* /pfs/out'


class Following:
    """A running `get-logs -f`, and what it has printed."""

    def __init__(self, server: Server, *words: str) -> None:
        self.process = subprocess.Popen(
            [str(PROGRAM), "get-logs", "-f", *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment({"VEDETTE_ADDRESS": server.address}),
        )  # fmt: skip
        assert self.process.stdout is not None
        self._out = self.process.stdout.fileno()
        self.said = ""

    def until(self, text: str) -> None:
        """Read on until it has said so."""
        limit = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._out, selectors.EVENT_READ)
            while text not in self.said:
                assert waiting.select(limit - time.monotonic()), self.said
                data = os.read(self._out, 65536)
                assert data, f"it ended: {self.said}"
                self.said += data.decode()

    def interrupt(self) -> int:
        """Press Ctrl-C; its exit code. What it says from then on is read too."""
        self.process.send_signal(signal.SIGINT)
        self.said += self.process.communicate(timeout=PATIENCE)[0].decode()
        return self.process.returncode


@contextmanager
def following(server: Server, *words: str) -> Iterator[Following]:
    made = Following(server, *words)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        if made.process.stdout is not None:
            made.process.stdout.close()


def test_get_logs_follows_until_it_is_interrupted_and_keeps_to_its_job(tmp_path: Path) -> None:
    """U5: from before there is a line on, through a time without any, of one job if told so."""
    spec = {
        "pipeline": {"name": "copy"},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
        "transform": {"cmd": ["sh", "-c", SCRIPT]},
    }
    with serving(tmp_path / "data") as server:
        server("create-repo", "images")
        server("create-pipeline", "-f", "-", stdin=json.dumps(spec).encode())
        with following(server, "--pipeline", "copy") as every:
            server.put("images", "/a", b"1")
            every.until("seen a\n")
            server.idle()
            first = server.get("/v1/jobs", pipeline="copy")[0]["id"]
            with following(server, "--job", first) as one:
                one.until("seen a\n")
                server.put("images", "/b", b"2")
                every.until("seen b\n")
                server.idle()
                assert every.process.poll() is None
                assert one.process.poll() is None
                assert (one.interrupt(), one.said) == (130, "seen a\n")
            assert (every.interrupt(), every.said) == (130, "seen a\nseen b\n")
        with following(server, "--pipeline", "nobody") as none:
            assert none.process.wait(PATIENCE) != 0
