"""N tiny tasks, each the copy of a small file: a first run, a run with nothing changed, a run with
one file added; beside make, DVC, Snakemake, Luigi, Dagster and redun doing the same in this run.

What is compared: a peer's time is that of its command, from its start to its end; it looks at all
files to find what has changed. Ours is from the first byte until all outputs are committed: all
files are put at first; where nothing has changed one of them is put again with the bytes it has,
which makes a commit and a job that skips N; the file that is added is put. `all put again` is what
a user pays who does not know what has changed: N files are read from disk, sent and found to be
there. `client` is one open client in a process that runs already, `CLI` is `vedette put-file
--wait`, a process that begins and ends with each run, as a peer's does. The server runs, as it does
in practice. But for the first run, a time is the middle one of five, or of a slow peer of three.

Who would take hours for so many tasks is given fewer, in the same run and beside as many of ours
(see `most` in projects.py).

Peers come from the package index, each into an environment of its own (see environments.py).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tarfile
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from environments import clean_environment, installed, present
from measure import (
    COMMAND_IMAGE,
    IMAGE,
    ROOT,
    Report,
    Server,
    arguments,
    compiled,
    median,
    scratch,
    server,
)
from projects import PROJECTS, Project
from vedette.cli.packing import header
from vedette.client import Client
from vedette.client.http import HttpTransport

VEDETTE = str(Path(sys.executable).with_name("vedette"))
FIRST, SAME, ADDED, AGAIN = "first run", "nothing changed", "one file added", "all put again"
REPEATS = 5
STAGES = {
    "command": (COMMAND_IMAGE, ["sh", "-c", "cp /pfs/in/* /pfs/out/"]),
    "python": (IMAGE, ["python", "-m", "vedette.stage", "vedette.testing.stages:copy"]),
}
BY_CLIENT = 10_000
"""Below so many tasks the open client is compared, from there on the command line."""
SIZE = 100
PIECE = 1 << 20
Times = dict[str, float]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--tasks", type=int, nargs="+", default=[1000, 10_000], help="how many")
    parser.add_argument(
        "--only", nargs="*", default=[project.name for project in PROJECTS], help="these peers"
    )
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for a peer's run")
    parser.add_argument(
        "--peers", type=Path, default=ROOT / ".bench" / "peers", help="where peers are installed"
    )
    options = parser.parse_args()
    report = Report("peers", options.json)
    compiled()
    peers = [project for project in PROJECTS if project.name in options.only]
    asked = {(min(count, peer.most), peer) for count in options.tasks for peer in peers}
    for count in sorted({*options.tasks, *(count for count, _ in asked)}):
        report.say(f"{count:,} tasks")
        given = [peer for peer in peers if (count, peer) in asked]
        stages = {peer.like for peer in given} or set(STAGES)
        with scratch(options.scratch) as folder:
            mine = ours(report, folder, count, stages)
            for project in given:
                beside(report, folder, count, project, mine, options)
    report.end()


def ours(report: Report, folder: Path, count: int, stages: set[str]) -> dict[str, Times]:
    """Seconds of the runs, for each sort of stage and each way to ask."""
    found: dict[str, Times] = {}
    ways = {"client": by_client} if count < BY_CLIENT else {}
    for stage in sorted(stages):
        for way, act in {**ways, "CLI": by_command}.items():
            files = folder / f"{stage}-{way}" / "in"
            make_files(files, count)
            with server(folder / f"{stage}-{way}" / "data") as serving:
                create(serving, stage)
                found[f"{stage}, {way}"] = act(serving, files)
    for name, times in found.items():
        for run, seconds in times.items():
            report.add(f"{count}: vedette, {name}: {run}", seconds, "s")
    return found


def beside(
    report: Report, folder: Path, count: int, project: Project, mine: dict[str, Times],
    options: Namespace,
) -> None:  # fmt: skip
    """A peer's three runs, and how far ahead of them ours are."""
    programs = None
    if project.system:
        if not present(project.command[0], report):
            return
    elif (programs := installed(project.name, options.peers, report)) is None:
        return
    try:
        times = peer(folder / project.name, count, project, programs, options.limit)
    except (subprocess.SubprocessError, OSError) as error:
        report.say(f"  {project.name} is left out: {error}"[:300])
        return
    way = f"{project.like}, {'client' if count < BY_CLIENT else 'CLI'}"
    for run, theirs in times.items():
        report.add(f"{count}: {project.name}: {run}", theirs, "s", project.note)
    for run, own in mine[way].items():
        name = f"{count}: {project.name} / vedette ({way}): {run}"
        if run in (SAME, ADDED):
            report.goal(name, times[run] / own, "", least=1)
        else:
            report.add(name, times[SAME if run == AGAIN else run] / own, "")


def make_files(folder: Path, count: int) -> None:
    """Small files of different bytes."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:07}").write_bytes(os.urandom(SIZE))


def one_more(folder: Path, number: int) -> Path:
    """One file that was not there."""
    file = folder / f"x{number}"
    file.write_bytes(os.urandom(SIZE))
    return file


def peer(
    folder: Path, count: int, project: Project, programs: Path | None, limit: float
) -> Times:  # fmt: skip
    """Seconds of a peer's three runs, of which the outputs are counted."""
    make_files(folder / "in", count)
    (folder / "out").mkdir()
    for name, text in project.files.items():
        (folder / name).write_text(text)
    environment = clean_environment(folder, programs)

    def run(words: Sequence[str]) -> float:
        begin = time.perf_counter()
        ended(words, folder, environment, limit)
        return time.perf_counter() - begin

    if project.setup:
        run(project.setup)

    def there(wanted: int) -> None:
        found = sum(1 for _ in (folder / "out").iterdir())
        if found != wanted:
            raise SystemExit(f"{project.name}: {found} of {wanted} outputs are there")

    first = run(project.command)
    there(count)
    same = [run(project.command) for _ in range(project.repeats)]
    added = []
    for number in range(project.repeats):
        one_more(folder / "in", number)
        added.append(run(project.command))
        there(count + number + 1)
    return {FIRST: first, SAME: median(same), ADDED: median(added)}


def ended(words: Sequence[str], folder: Path, environment: dict[str, str], limit: float) -> None:
    """Run a command to its end, and end all that it has started if that takes too long."""
    with (folder / "said").open("w+b") as said:
        process = subprocess.Popen(
            words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(limit)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if code:
            said.seek(max(0, said.tell() - 200))
            raise OSError(f"{words[0]} ended with {code}: {said.read().decode(errors='replace')}")


def create(serving: Server, stage: str) -> None:
    """The input, and the pipeline that copies."""
    image, command = STAGES[stage]
    serving.send("POST", "/v1/repos", {"name": "in"})
    spec = {
        "pipeline": {"name": "copy"},
        "transform": {"image": image, "cmd": command},
        "input": {"pfs": {"repo": "in", "glob": "/*"}},
    }
    serving.send("POST", "/v1/pipelines", spec)


def check(serving: Server, processed: int, skipped: int, jobs: set[str]) -> None:
    """Whether there is a new job that did what it should have; it is added to `jobs`."""
    (job,) = serving.get("/v1/jobs?pipeline=copy&limit=1")
    found = job["state"], job["processed"], job["skipped"]
    if found != ("SUCCESS", processed, skipped) or job["id"] in jobs:
        raise SystemExit(f"{processed} should have run, {skipped} been skipped: {job}")
    jobs.add(job["id"])


def measured(serving: Server, files: Path, act: Callable[[Path], None]) -> Times:
    """Seconds of our runs; `act` puts a folder or a file and waits for what that causes."""
    count = sum(1 for _ in files.iterdir())
    jobs: set[str] = set()

    def run(path: Path, processed: int, skipped: int) -> float:
        begin = time.perf_counter()
        act(path)
        seconds = time.perf_counter() - begin
        check(serving, processed, skipped, jobs)
        return seconds

    first = run(files, count, 0)
    old = files / f"{count // 2:07}"
    same = [run(old, 0, count) for _ in range(REPEATS)]
    again = [run(files, 0, count) for _ in range(REPEATS)]
    added = [run(one_more(files, number), 1, count + number) for number in range(REPEATS)]
    return {FIRST: first, SAME: median(same), ADDED: median(added), AGAIN: median(again)}


def by_client(serving: Server, files: Path) -> Times:
    """Through one open client of the Python library."""
    with asyncio.Runner() as runner:
        client = Client(HttpTransport(serving.address, token=""))

        async def act(path: Path) -> None:
            if path.is_dir():
                made = await client.put_tar("in", "master", packed(path))
            else:
                made = await client.put_file("in", "master", f"/{path.name}", path.read_bytes())
            await client.flush_commit(str(made.id), timeout=900)

        runner.run(client.version())
        try:
            return measured(serving, files, lambda path: runner.run(act(path)))
        finally:
            runner.run(client.transport.close())


async def packed(folder: Path) -> AsyncIterator[bytes]:
    """All files of a folder, read now, as a tar in pieces."""
    held: list[bytes] = []
    for file in folder.iterdir():
        content = file.read_bytes()
        held += (header(file.name, len(content)), content, bytes(-len(content) % tarfile.BLOCKSIZE))
        if len(held) * tarfile.BLOCKSIZE > PIECE:
            yield b"".join(held)
            held = []
    yield b"".join(held) + bytes(2 * tarfile.BLOCKSIZE)


def by_command(serving: Server, files: Path) -> Times:
    """By the command line: one program for each run."""
    environment = {**os.environ, "VEDETTE_ADDRESS": serving.address}

    def act(path: Path) -> None:
        where = ["/", "-r"] if path.is_dir() else [f"/{path.name}"]
        words = ["put-file", "in", "master", *where, "-f", str(path), "--wait"]
        subprocess.run([VEDETTE, *words], env=environment, check=True, stdout=subprocess.DEVNULL)

    return measured(serving, files, act)


if __name__ == "__main__":
    main()
