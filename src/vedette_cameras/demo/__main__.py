"""`python -m vedette_cameras.demo`: what `make demo` runs."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType


def main() -> int:
    """Run the demo; whatever happens is told in one line."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return _demo()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who read the output has gone; nothing can be told any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _demo() -> int:
    options = _options()
    if options.export is not None:
        return _export(options.export)
    # Imported late, so that Ctrl-C is clean while the libraries load.
    import asyncio

    from rich.console import Console

    from vedette.model.errors import VedetteError
    from vedette_cameras.demo.main import Options, demo
    from vedette_cameras.demo.screen import Screen

    console = Console() if sys.stdout.isatty() else Console(width=120)
    chosen = Options(
        data=options.data.absolute(),
        pictures=_path(options.pictures),
        figures=_path(options.json),
        stay=sys.stdout.isatty(),
    )
    screen = Screen(console)
    try:
        return asyncio.run(demo(chosen, screen))
    except KeyboardInterrupt:
        if screen.serving:
            return 0
        screen.say("Stopped; what came in is kept, and `make demo` goes on from there")
        return 130
    except VedetteError as error:
        sys.stderr.write(f"vedette: {error.message}\n")
        return error.exit_code


def _options() -> argparse.Namespace:
    environment = os.environ
    parser = argparse.ArgumentParser(prog="vedette demo", description="Pictures in, alerts out.")
    parser.add_argument("--data", type=Path, default=Path(".demo"), help="where the data is kept")
    parser.add_argument(
        "--pictures", default=environment.get("PICTURES", ""), help="a folder to play instead"
    )
    parser.add_argument(
        "--json", default=environment.get("JSON", ""), help="a file for the closing figures"
    )
    parser.add_argument(
        "--export", type=Path, help="write the demo's own pictures into this folder, and end"
    )
    return parser.parse_args()


def _export(folder: Path) -> int:
    from datetime import UTC, datetime

    from vedette_cameras.demo.shots import shots

    folder.mkdir(parents=True, exist_ok=True)
    # A time that is always the same, so that names in a text stay true.
    for shot in shots(datetime(2026, 1, 1, 12, 0, tzinfo=UTC), seed=1):
        (folder / shot.name).write_bytes(shot.data)
        print(f"{folder / shot.name}: {shot.what}")
    return 0


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
