"""`threatdetect.py OBJECT RULES_DIR OUT_DIR [SGKEY]`: the original's command.

Judges what object-detect found, and links the threats to OUT_DIR/<device>/<time>.json. It sends no
mail: the alert service does, and takes its key from a secret; SGKEY is accepted and not used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from vedette_cameras.judge.decide import BadDetectionError, decide, read_seen
from vedette_cameras.judge.rules import RulesError, effective


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0 when all was judged, 1 on failure, 2 for wrong arguments."""
    if len(arguments) not in (3, 4):
        return _fail("usage: threatdetect.py OBJECT RULES_DIR OUT_DIR [SGKEY]", 2)
    source, rules, out = (Path(argument) for argument in arguments[:3])
    if not source.exists():
        return _fail(f"threatdetect.py: {source} does not exist: pass a result or a folder", 2)
    found = sorted(source.rglob("*.json")) if source.is_dir() else [source]
    try:
        for path in found:
            if is_threat(path, rules):
                link(path, out)
    except (RulesError, BadDetectionError) as error:
        return _fail(f"threatdetect.py: {error}", 1)
    return 0


def is_threat(path: Path, rules: Path) -> bool:
    """Whether the rules in the folder `rules` make the result at `path` an alert."""
    files = {
        f"/{file.relative_to(rules).as_posix()}": file.read_bytes
        for file in sorted(rules.rglob("*"))
        if file.is_file()
    }
    device, stamp = path.parent.name, path.stem
    seen = read_seen(path.read_bytes(), str(path))
    decision = decide(seen, effective(files, device), "", device, stamp)
    return decision.verdict == "alert"


def link(path: Path, out: Path) -> None:
    """Link a result below `out`, which moves no bytes (ENGINE R4)."""
    target = out / path.parent.name / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(path.absolute())


def _fail(line: str, code: int) -> int:
    print(line, file=sys.stderr)  # noqa: T201
    return code
