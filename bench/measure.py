"""What the programs here share: a server of their own, processor time by process, tables.

Only ratios within one run count: on one machine an fsync took from 0.5 to 3.2 ms within ten
minutes. So every figure is printed beside its floor from the same run, with the load average.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import vedette

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
START_LIMIT = 60.0
IMAGE, COMMAND_IMAGE = "bench/stage", "bench/command"
SERVE = [sys.executable, "-c", "from vedette.cli.main import run; run()", "serve"]


def compiled() -> None:
    """Have the program's modules compiled, as an installation has them and peers have theirs.

    Where Python may write no bytecode, a work tree has none: each command then compiles all that it
    loads, which doubles its time.
    """
    folder = Path(next(iter(vedette.__path__)))
    if not compileall.compile_dir(folder, quiet=1):
        raise SystemExit(f"{folder} cannot be compiled")


@dataclass(frozen=True)
class Server:
    """A server that was started for one measurement."""

    address: str
    pid: int
    data: Path

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self.address.rpartition(":")[2])

    def get(self, path: str) -> Any:
        """The JSON answer to a GET."""
        with urllib.request.urlopen(self.address + path) as answer:
            return json.load(answer)

    def send(self, method: str, path: str, document: Any = None) -> Any:
        """The JSON answer to a call with a JSON body."""
        request = urllib.request.Request(
            self.address + path,
            data=json.dumps(document).encode() if document is not None else None,
            headers={"content-type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def wait_idle(self, limit: float = 600.0) -> None:
        """Wait until no job, trigger or delivery is left."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try:
                self.get("/v1/idle?timeout=10")
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise
            else:
                return
            for pipeline in self.get("/v1/pipelines"):
                if pipeline["state"] == "CRASHING":
                    raise SystemExit(f"pipeline {pipeline['name']}: {pipeline['reason']}")
        raise SystemExit(f"{self.address} was not idle within {limit:.0f} s")


@contextmanager
def scratch(where: Path) -> Iterator[Path]:
    """A folder on the disk that is measured, removed at the end."""
    where.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="vedette-bench-", dir=where))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server(data: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """`vedette serve` over `data`, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    data.mkdir(parents=True, exist_ok=True)
    log = data.parent / f"{data.name}.log"
    images = data.parent / f"{data.name}.toml"
    images.write_text(
        f'["{IMAGE}"]\nruntime = "python"\n["{COMMAND_IMAGE}"]\nruntime = "process"\n'
    )
    command = [*SERVE, "--data", str(data), "--listen", f"127.0.0.1:{port}"]
    command += ["--runtimes", str(images)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **(environment or {})}
        )
    try:
        started = Server(address=address, pid=process.pid, data=data)
        _wait_for_answer(started, process, log)
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_answer(started: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"the server did not start: {log.read_text(errors='replace')[-500:]}")
        try:
            started.get("/v1/version")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"the server did not answer within {START_LIMIT:.0f} s")


@dataclass(frozen=True)
class Process:
    """One process of a server's tree."""

    pid: int
    role: str
    seconds: float
    reaped: float
    memory: int


def tree(root: int) -> list[Process]:
    """A process and all below it: its processor time, that of children it has buried, and its
    memory in bytes (shared pages are counted in part, by how many share them)."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            parents[int(entry.name)] = int(fields[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    processes = [_process(pid, root) for pid in sorted(found)]
    return [process for process in processes if process is not None]


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _process(pid: int, root: int) -> Process | None:
    fields = _stat(pid)
    if fields is None:
        return None
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        command, rollup = "", ""
    memory = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    user, system, children_user, children_system = (int(value) for value in fields[11:15])
    return Process(
        pid=pid,
        role="server" if pid == root else "workers" if "vedette.stage" in command else "others",
        seconds=(user + system) / TICKS,
        reaped=(children_user + children_system) / TICKS,
        memory=memory * 1024,
    )


def cpu(root: int) -> dict[str, float]:
    """Processor seconds by role so far; children that are gone count as `gone`."""
    totals: dict[str, float] = {"server": 0.0, "workers": 0.0, "others": 0.0, "gone": 0.0}
    for process in tree(root):
        totals[process.role] += process.seconds
        totals["gone"] += process.reaped
    return totals


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values) if values else float("nan")


def fsync_floor(folder: Path, contents: Sequence[bytes]) -> float:
    """Files a second when each is written and synced, one by one, as a careful script would."""
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    for number, content in enumerate(contents):
        descriptor = os.open(folder / f"{number:06}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.close(descriptor)
    return len(contents) / (time.perf_counter() - begin)


@dataclass
class Report:
    """Figures as they come: printed at once, and as one JSON document at the end if asked for."""

    program: str
    as_json: bool
    figures: dict[str, Any] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """A line for people."""
        if not self.as_json:
            print(text, flush=True)

    def add(self, name: str, value: float, unit: str, note: str = "") -> None:
        """A figure."""
        self.figures[name] = round(value, 4)
        self.say(f"  {name:<44} {value:>10.4g} {unit:<12} {note}".rstrip())

    def goal(self, name: str, value: float, unit: str, least: float = 0, most: float = 0) -> None:
        """A figure that should reach `least`, or stay within `most`."""
        reached = value >= least if least else value <= most
        aim = f">= {least:g}" if least else f"<= {most:g}"
        self.add(name, value, unit, f"{'reached' if reached else 'MISSED'} ({aim})")
        if not reached:
            self.missed.append(f"{name}: {value:.4g} {unit}, wanted {aim}")

    def end(self) -> None:
        """The JSON document, or what was missed."""
        load = os.getloadavg()[0]
        self.figures["load_average"] = load
        if self.as_json:
            print(json.dumps({"program": self.program, **self.figures, "missed": self.missed}))
            return
        print(f"  load average {load:.2f} on {os.cpu_count()} processors")
        print("\n".join(f"  not reached: {line}" for line in self.missed))


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every program here has."""
    # What a time limit ends is cleaned up like what ends by itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--scratch",
        type=Path,
        default=ROOT / ".bench",
        help="a folder on the disk to measure (default: .bench in the checkout)",
    )
    return parser
