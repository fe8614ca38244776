"""`validate.py IMAGE VALID_DIR INVALID_DIR`: the original's command.

IMAGE is a picture or a directory of pictures. Links to the valid ones are made in VALID_DIR, to the
others in INVALID_DIR; the reasons are printed, since the original's output has no place for them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from vedette_cameras.validate.check import check


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when all files were sorted, 2 for wrong arguments."""
    if len(arguments) != 3:
        print("usage: validate.py IMAGE VALID_DIR INVALID_DIR", file=sys.stderr)  # noqa: T201
        return 2
    source, valid, invalid = (Path(argument) for argument in arguments)
    if not source.exists():
        print(f"validate.py: {source} does not exist: pass a picture or a folder", file=sys.stderr)  # noqa: T201
        return 2
    for picture in pictures_in(source):
        fault = check(picture.name, picture.read_bytes())
        if fault is not None:
            print(f"{picture.name} is invalid: {fault.reason}: {fault.detail}")  # noqa: T201
        link(picture, (valid if fault is None else invalid) / picture.name)
    return 0


def pictures_in(source: Path) -> Iterator[Path]:
    """The file itself, or all files below the directory, in order of their paths."""
    if source.is_dir():
        yield from sorted(path for path in source.rglob("*") if path.is_file())
    else:
        yield source


def link(source: Path, target: Path) -> None:
    """Make `target` a symbolic link to `source`, which moves no bytes (ENGINE R4)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source.absolute())
