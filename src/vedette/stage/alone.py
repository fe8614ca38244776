"""One datum from a real `/pfs`: how a Python stage runs where there is no agent.

The inputs are the directories of `/pfs` (or of `$VEDETTE_PFS`) other than `out`; the variable
named like an input holds the path of its match.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from vedette.model.errors import VedetteError
from vedette.stage.datum import Datum, File, Input, NotReady
from vedette.stage.host import Cannot, describe, find


def run(target: str, args: list[str]) -> int:
    """Run the stage `target` once; returns the exit code: 0, or 1 with the reason on stderr."""
    root = Path(os.environ.get("VEDETTE_PFS", "/pfs"))
    if not root.is_dir():
        sys.stderr.write(
            f"there is no {root}: a stage runs in a datum; "
            "set VEDETTE_PFS to a folder with one folder an input\n"
        )
        return 1
    try:
        function = find(target)
        datum = read_datum(root, dict(os.environ))
        function(datum, *args)
        write_outputs(datum, root)
    except (NotReady, Cannot, VedetteError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def read_datum(root: Path, env: dict[str, str]) -> Datum:
    """The datum that is laid out below `root`."""
    inputs = {
        folder.name: _input(folder, env)
        for folder in sorted(root.iterdir())
        if folder.is_dir() and folder.name != "out"
    }
    return Datum(
        id=env.get("PACH_DATUM_ID", ""),
        pipeline=env.get("PPS_PIPELINE_NAME", ""),
        job=env.get("PACH_JOB_ID", ""),
        commit=env.get("PACH_OUTPUT_COMMIT_ID", ""),
        attempt=1,
        env=env,
        inputs=inputs,
        log=_print_line,
    )


def write_outputs(datum: Datum, root: Path) -> None:
    """Write what the stage made into `out`: files as files, references as symbolic links."""
    for path, made in datum.written.items():
        target = root / "out" / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(made, LocalFile):
            target.symlink_to(made.local)
        else:
            target.write_bytes(made.read() if isinstance(made, File) else made)


class LocalFile(File):
    """A file of an input that is a file on disk."""

    __slots__ = ("local",)

    def __init__(self, path: str, local: Path) -> None:
        super().__init__(path, local.stat().st_size, _reader(local))
        self.local = local


def _reader(local: Path) -> Callable[[], bytes]:
    return local.read_bytes


def _input(folder: Path, env: dict[str, str]) -> Input:
    name = folder.name
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [LocalFile("/" + path.relative_to(folder).as_posix(), path) for path in found]
    files.sort(key=lambda file: file.path.encode("utf-8", "surrogateescape"))
    match = env.get(name, "")
    base = str(folder)
    if match == base or match.startswith(base + "/"):
        match = match[len(base) :]
    match = "/" + match.strip("/") if match.startswith("/") else "/"
    group_by = env.get(f"PACH_DATUM_{name}_GROUP_BY", "")
    return Input(
        name, name, env.get(f"{name}_COMMIT", ""), match, tuple(files),
        join_on=env.get(f"PACH_DATUM_{name}_JOIN_ON", ""),
        group_by=group_by, paths=_as_deep(match, files) if group_by else (match,),
    )  # fmt: skip


def _as_deep(match: str, files: Sequence[File]) -> tuple[str, ...]:
    """The matches of a group, of which the environment has only the last: what lies as deep."""
    parts = match.count("/") + 1
    return tuple(dict.fromkeys("/".join(file.path.split("/")[:parts]) for file in files))


def _print_line(text: str) -> None:
    sys.stdout.write(text + "\n")


__all__ = ["describe", "read_datum", "run", "write_outputs"]
