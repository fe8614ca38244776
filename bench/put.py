"""How fast a folder of files comes in, and is durable: small files and files like pictures, by the
command line and as one streamed body, into a local folder and into S3.

Beside it, with the same files in the same run: `cp -r` and a sync of the file system, `git add`
with a commit, `dvc add`. git and DVC sync nothing by themselves; they are timed without a sync.
DVC comes from the package index into an environment of its own; SeaweedFS is a test dependency.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.object_servers import Weed

from environments import clean_environment, installed, present
from measure import ROOT, Report, Server, arguments, compiled, cpu, scratch, server
from vedette.cli.packing import header

FOLDER = 1000
"""Files in each folder of the tree."""
VEDETTE = str(Path(sys.executable).with_name("vedette"))
LIMIT = 900.0


@dataclass(frozen=True)
class Tree:
    """Files to put: how many of how many bytes, as a folder and, other bytes, as a tar."""

    name: str
    count: int
    size: int
    folder: Path
    tar: Path


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--small", type=int, default=100_000, help="files of 1 KB")
    parser.add_argument("--large", type=int, default=10_000, help="files of 100 KB")
    parser.add_argument("--no-s3", action="store_true", help="leave S3 out")
    parser.add_argument("--no-peers", action="store_true", help="leave git and DVC out")
    parser.add_argument(
        "--peers", type=Path, default=ROOT / ".bench" / "peers", help="where peers are installed"
    )
    options = parser.parse_args()
    report = Report("put", options.json)
    compiled()
    sizes = (("1 KB", options.small, 1000), ("100 KB", options.large, 100_000))
    for name, count, size in sizes:
        if count:
            with scratch(options.scratch) as folder:
                report.say(f"{count:,} files of {name}")
                measure(report, made(folder, name, count, size), folder, options)
    report.end()


def measure(report: Report, tree: Tree, folder: Path, options: Namespace) -> None:
    """One sort of files, all ways."""
    synced(folder)
    ours: dict[str, float] = {}
    with server(folder / "local") as serving:
        ours.update(into(report, serving, tree, "local"))
    copied = timed(lambda: copy(tree, folder))
    report.add(f"{tree.name}: cp -r and sync", tree.count / copied, "files/s")
    for way in ours:
        report.add(f"{tree.name}: {way}: ratio to cp -r and sync", copied / ours[way], "")
    shutil.rmtree(folder / "copy")
    if tree.size < 10_000:
        for way, seconds in ours.items():
            report.goal(f"{tree.name}: {way}", tree.count / seconds, "files/s", least=5000)
    if not options.no_peers:
        for name, seconds in peers(report, tree, folder, options):
            report.add(f"{tree.name}: {name}", tree.count / seconds, "files/s")
            for way in ours:
                ratio = seconds / ours[way]
                report.goal(f"{tree.name}: {way}: ratio to {name}", ratio, "", least=1)
    if not options.no_s3:
        bucket(report, tree, folder)


def copy(tree: Tree, folder: Path) -> None:
    """`cp -r` and a sync of the file system."""
    command(["cp", "-r", tree.folder, folder / "copy"])
    synced(folder)


def bucket(report: Report, tree: Tree, folder: Path) -> None:
    """The same into SeaweedFS on this machine."""
    weed = Weed(folder / "weed", "bench")
    try:
        environment = {**weed.environ, "VEDETTE_OBJECTS": weed.place()}
        with server(folder / "s3", environment) as serving:
            into(report, serving, tree, "S3")
    finally:
        weed.kill()


def into(report: Report, serving: Server, tree: Tree, where: str) -> dict[str, float]:
    """Seconds to put a tree by the command line, and another as one body."""
    found = {}
    ways: Sequence[tuple[str, Callable[[Server, Tree], None]]] = (
        ("put-file -r", by_command), ("one body", streamed)
    )  # fmt: skip
    for name, act in ways:
        serving.send("POST", "/v1/repos", {"name": act.__name__})
        before = cpu(serving.pid)["server"]
        seconds = timed(lambda act=act: act(serving, tree))  # type: ignore[misc]
        spent = cpu(serving.pid)["server"] - before
        way = f"{where}, {name}"
        report.add(f"{tree.name}: {way}", tree.count / seconds, "files/s")
        report.add(f"{tree.name}: {way}: server's processor", spent / tree.count * 1e6, "us/file")
        (commit,) = serving.get(f"/v1/repos/{act.__name__}/commits?limit=1")
        if commit["files"] != tree.count:
            raise SystemExit(f"{way}: {commit['files']} of {tree.count} files are there")
        found[way] = seconds
    return found


def by_command(serving: Server, tree: Tree) -> None:
    """`put-file -r`, the program's start included."""
    words = [VEDETTE, "put-file", "by_command", "master", "/", "-r", "-f", str(tree.folder)]
    command(words, {**os.environ, "VEDETTE_ADDRESS": serving.address})


def streamed(serving: Server, tree: Tree) -> None:
    """One body, sent by the kernel from a tar that is there."""
    with tree.tar.open("rb") as file, socket.create_connection(("127.0.0.1", serving.port)) as to:
        head = (
            "POST /v1/repos/streamed/branches/master/files HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            "content-type: application/x-tar\r\nconnection: close\r\n"
            f"content-length: {tree.tar.stat().st_size}\r\n\r\n"
        )
        to.sendall(head.encode())
        to.sendfile(file)
        answer = b"".join(iter(lambda: to.recv(1 << 20), b""))
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"one body: {answer[:500]!r}")


def peers(
    report: Report, tree: Tree, folder: Path, options: Namespace
) -> Sequence[tuple[str, float]]:
    """Seconds of those that are there."""
    found = []
    if present("git", report):
        found.append(("git add, commit", git(tree, folder / "git")))
    programs = installed("dvc", options.peers, report)
    if programs is not None:
        found.append(("dvc add", dvc(tree, folder / "dvc", programs)))
    return found


def git(tree: Tree, folder: Path) -> float:
    """`git add` and a commit of a fresh repository's work tree."""
    environment = working_copy(tree, folder, None)
    command(["git", "-C", folder, "init", "-q"], environment)

    def act() -> None:
        command(["git", "-C", folder, "add", "tree"], environment)
        command(["git", "-C", folder, "commit", "-q", "-m", "all"], environment)

    return timed(act)


def dvc(tree: Tree, folder: Path, programs: Path) -> float:
    """`dvc add` of a folder in a fresh repository; links and copies as it chooses."""
    environment = working_copy(tree, folder, programs)
    command(["dvc", "init", "-q", "--no-scm"], environment, folder)
    return timed(lambda: command(["dvc", "add", "-q", "tree"], environment, folder))


def working_copy(tree: Tree, folder: Path, programs: Path | None) -> dict[str, str]:
    """The files copied to where a peer wants them, durable before it begins."""
    folder.mkdir()
    shutil.copytree(tree.folder, folder / "tree")
    synced(folder)
    return clean_environment(folder, programs)


def command(
    words: Sequence[str | Path],
    environment: dict[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a program to its end; one that fails ends the bench."""
    done = subprocess.run(
        [str(word) for word in words], env=environment, cwd=folder,
        capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{words[0]} failed: {(done.stderr or done.stdout)[-500:]}")


def timed(act: Callable[[], object]) -> float:
    """Seconds of doing it."""
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def synced(folder: Path) -> None:
    """Make all that was written durable, so that it is not counted as somebody else's."""
    command(["sync", "-f", folder])


def made(folder: Path, name: str, count: int, size: int) -> Tree:
    """Files on disk, and others in a tar: no two are the same, and none can be compressed."""
    tree = Tree(name, count, size, folder / "tree", folder / "tree.tar")
    for number, content in enumerate(contents(count, size)):
        file = tree.folder / f"{number // FOLDER:04}" / f"{number:07}"
        if number % FOLDER == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(content)
    with tree.tar.open("wb") as output:
        for number, content in enumerate(contents(count, size)):
            output.write(header(f"{number // FOLDER:04}/{number:07}", size))
            output.write(content + bytes(-size % tarfile.BLOCKSIZE))
        output.write(bytes(2 * tarfile.BLOCKSIZE))
    return tree


def contents(count: int, size: int) -> Iterator[bytes]:
    """Bytes that differ from file to file at their beginning, and from call to call all over."""
    noise = os.urandom(size - 8)
    return (number.to_bytes(8) + noise for number in range(count))


if __name__ == "__main__":
    main()
