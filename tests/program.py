"""The real program for tests: `vedette serve` in a process of its own, and commands as typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

PROGRAM = Path(sys.executable).with_name("vedette")
PATIENCE = 120.0
"""Seconds after which something will never happen, on a machine that is busy with other things."""


class Done(NamedTuple):
    """How a command went."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What `--raw` printed."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a user without any setting of Vedette's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VEDETTE_")}
    return {**kept, **(more or {})}


def run(
    words: Sequence[str | Path],
    *,
    program: Path = PROGRAM,
    cwd: Path | None = None,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run one command of the program to its end."""
    done = subprocess.run(
        [str(program), *map(str, words)],
        cwd=cwd, input=stdin, env=environment(env), capture_output=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


class Server:
    """A running `vedette serve`, and commands that speak to it."""

    def __init__(self, data: Path, words: Sequence[str] = (), prefix: Sequence[str] = ()) -> None:
        self.data = data
        self.log = data.with_name(f"{data.name}.log")
        self.program = PROGRAM
        self.cwd: Path | None = None
        self.http = httpx2.Client(timeout=PATIENCE, trust_env=False)
        self._words = [
            *prefix, str(PROGRAM), "serve", "--data", str(data), "--listen", "127.0.0.1:0", *words
        ]  # fmt: skip
        self.process = self._begin()

    def begin(self) -> subprocess.Popen[bytes]:
        """Start the process, and do not wait until it serves."""
        with self.log.open("ab") as log:
            self._from = log.tell()
            self.process = subprocess.Popen(
                self._words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )
        return self.process

    def _begin(self) -> subprocess.Popen[bytes]:
        process = self.begin()
        self.address = ""
        limit = time.monotonic() + PATIENCE
        while not self.address:
            for line in self.said().splitlines():
                if line.startswith("vedette serves ") and " at http://" in line:
                    self.address = line.rpartition(" ")[2]
            if process.poll() is not None or time.monotonic() > limit:
                process.kill()
                process.wait()
                raise AssertionError(f"the server did not start: {self.said()}")
            time.sleep(0.02)
        return process

    def said(self) -> str:
        """What this run of the server has written to its log."""
        with self.log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    def again(self) -> None:
        """Start over the same data after the end of the process."""
        self._begin()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it in good order; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not end when asked to: {self.said()}") from None

    def __call__(self, *words: str | Path, stdin: bytes = b"", code: int = 0) -> Done:
        """A command that is meant to end with this code."""
        done = self.tell(*words, stdin=stdin)
        assert done.code == code, f"{' '.join(map(str, words))}: {done}"
        return done

    def tell(self, *words: str | Path, stdin: bytes = b"") -> Done:
        """A command, however it ends."""
        address = {"VEDETTE_ADDRESS": self.address}
        return run(words, program=self.program, cwd=self.cwd, stdin=stdin, env=address)

    def get(self, path: str, **query: str) -> Any:
        """Ask the HTTP API, as JSON."""
        answer = self.http.get(self.address + path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def content(self, repo: str, path: str, ref: str = "master") -> bytes:
        """The bytes of a file, over HTTP."""
        address = f"{self.address}/v1/repos/{repo}/commits/{ref}/files/{path.lstrip('/')}"
        answer = self.http.get(address)
        assert answer.status_code == 200, answer.text
        return answer.content

    def json(self, repo: str, path: str, ref: str = "master") -> Any:
        """A JSON file of a repo."""
        return json.loads(self.content(repo, path, ref))

    def files(self, repo: str, ref: str = "master") -> dict[str, str]:
        """Paths and object ids of all files of a commit; none while the branch has no commit."""
        where = f"{self.address}/v1/repos/{repo}/commits/{ref}/glob?pattern=/**&limit=10000"
        answer = self.http.get(where)
        if answer.status_code == 404 and "no commit" in answer.text:
            return {}
        assert answer.status_code == 200, answer.text
        return {row["path"]: row["object"] for row in answer.json() if row["type"] == "file"}

    def idle(self) -> None:
        """Wait until nothing is left to do."""
        self.get("/v1/idle", timeout=f"{PATIENCE - 10:.0f}")

    def put(self, repo: str, path: str, content: bytes) -> str:
        """Write one file, over HTTP; the id of its commit."""
        address = f"{self.address}/v1/repos/{repo}/branches/master/files/{path.lstrip('/')}"
        answer = self.http.put(address, content=content)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def pipeline(self, name: str, state: str) -> dict[str, Any]:
        """A pipeline once it has reached a state."""
        limit = time.monotonic() + PATIENCE
        while True:
            found: dict[str, Any] = self.get(f"/v1/pipelines/{name}")
            if found["state"] == state:
                return found
            assert time.monotonic() < limit, f"{name} is not {state} but {found}"
            time.sleep(0.05)


@contextmanager
def serving(data: Path, *words: str, prefix: Sequence[str] = ()) -> Iterator[Server]:
    """A server over a data folder, ended with the block; tells its log when the block fails."""
    server = Server(data, words, prefix)
    try:
        yield server
    except BaseException:
        print(server.said())
        raise
    finally:
        server.http.close()
        server.stop()


def descendants(of: int) -> set[int]:
    """The processes below one, by their numbers."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has just ended
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    rest = [of]
    while rest:
        for child in children.get(rest.pop(), []):
            found.add(child)
            rest.append(child)
    return found
