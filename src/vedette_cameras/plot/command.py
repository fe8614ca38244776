"""`plot.py THREAT_DIR OUT_DIR [--over-time]`: the original's command.

Draws OUT_DIR/threats.png from the folders THREAT_DIR/<device>/; with `--over-time` also
OUT_DIR/threats-over-time.png, which the original does not have.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from vedette_cameras.plot.stage import totals_of
from vedette_cameras.plot.tally import Tally, tally

_OVER_TIME = "--over-time"


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0 when the charts are drawn, 2 for wrong arguments."""
    folders = [argument for argument in arguments if argument != _OVER_TIME]
    if len(folders) != 2:
        print("usage: plot.py THREAT_DIR OUT_DIR [--over-time]", file=sys.stderr)  # noqa: T201
        return 2
    source, out = (Path(folder) for folder in folders)
    if not source.is_dir():
        print(f"plot.py: {source} is no folder: pass that of threat-detect", file=sys.stderr)  # noqa: T201
        return 2
    from vedette_cameras.plot.charts import threats_by_device, threats_over_time

    tallies = tallies_of(source)
    out.mkdir(parents=True, exist_ok=True)
    (out / "threats.png").write_bytes(threats_by_device(totals_of(tallies, [])))
    if _OVER_TIME in arguments:
        (out / "threats-over-time.png").write_bytes(threats_over_time(tallies))
    return 0


def tallies_of(source: Path) -> list[Tally]:
    """Counts of every device that has a folder in `source`, from the names of its files."""
    return [
        tally(folder.name, (path.name for path in sorted(folder.rglob("*")) if path.is_file()))
        for folder in sorted(source.iterdir())
        if folder.is_dir()
    ]
