"""Checks of the checkout that no linter makes: file lengths, the changelog's version, the locks."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 400
LARGEST = 2_000_000
LARGE_ON_PURPOSE = ("src/vedette_cameras/models/nanodet_g_416.onnx",)
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-images.lock")
ADDRESS = re.compile(r"https?:|git\+|--(extra-)?index-url|--find-links", re.IGNORECASE)


def tracked() -> list[Path]:
    """The files that git would carry: those in the index and new ones that are not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
    paths = {ROOT / name.decode() for name in names if name}
    return sorted(path for path in paths if path.is_file())


def long_files(files: list[Path]) -> Iterator[str]:
    """Python files that one can no longer read in a sitting."""
    for path in files:
        if path.suffix == ".py":
            lines = len(path.read_text().splitlines())
            if lines > LONGEST:
                yield f"{path.relative_to(ROOT)}: {lines} lines, and {LONGEST} are allowed: cut it"


def large_files(files: list[Path]) -> Iterator[str]:
    """Files that would weigh on every clone for ever."""
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        size = path.stat().st_size
        if size > LARGEST and name not in LARGE_ON_PURPOSE:
            yield f"{name}: {size} bytes: name it in LARGE_ON_PURPOSE if it is meant, or drop it"


def versions() -> Iterator[str]:
    """The package, its metadata and the newest entry of the changelog name one version."""
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    module = re.search(r'__version__ = "([^"]+)"', (ROOT / "src/vedette/__init__.py").read_text())
    change = re.search(r"^## \[?([0-9][^\]\s]*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    for where, found in (("src/vedette/__init__.py", module), ("CHANGELOG.md", change)):
        named = found.group(1) if found else "none"
        if named != package:
            yield f"{where}: names version {named}, and pyproject.toml {package}: make them one"


def locks() -> Iterator[str]:
    """The lock files are hashed, name no address and hold what pyproject.toml asks for."""
    for name in LOCKS:
        text = (ROOT / name).read_text()
        for number, line in enumerate(text.splitlines(), 1):
            if ADDRESS.search(line):
                yield f"{name}:{number}: names an address: write the lock with 'make lock'"
        for block in re.split(r"\n(?=\S)", text):
            if re.match(r"[A-Za-z0-9]", block) and "--hash=sha256:" not in block:
                yield f"{name}: {block.splitlines()[0]} has no hash: write it with 'make lock'"
    yield from missing_from_locks()


def missing_from_locks() -> Iterator[str]:
    """Requirements that were added to pyproject.toml without writing the locks anew."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = document["dependency-groups"]
    extras = document["project"]["optional-dependencies"]
    runtime = document["project"]["dependencies"] + extras["cameras"]
    wanted = {
        "requirements.lock": runtime + groups["build"] + groups["demo"],
        "requirements-dev.lock": sum(groups.values(), runtime),
        "requirements-images.lock": sum(extras.values(), runtime),
    }
    for name, requirements in wanted.items():
        locked = set(re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / name).read_text(), re.MULTILINE))
        for requirement in requirements:
            project = re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")
            if project not in locked:
                yield f"{name}: {project} is missing: write the lock with 'make lock'"


def main() -> int:
    """Prints one line for each fault; returns 1 when there is one."""
    files = tracked()
    faults = [*long_files(files), *large_files(files), *versions(), *locks()]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
