"""Pictures to measure with: those of the demo, each made different by a comment in its header."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from vedette_cameras.demo.shots import Shot, shots

_SOMEBODY = ("visitor", "somebody", "photographer")


def write(folder: Path, count: int, alerting: int, start: int = 1_700_000_000) -> list[Path]:
    """`count` pictures of ten devices, every `alerting`-th one of somebody, in time order.

    Their names are as cameras give them, so that the order of names is not that of time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    played = [shot for shot in shots(datetime.now(UTC), seed=1) if _whole(shot)]
    people = [shot.data for shot in played if _shows_somebody(shot)]
    others = [shot.data for shot in played if not _shows_somebody(shot)]
    paths = []
    for number in range(count):
        source = people if number % alerting == 0 else others
        data = marked(source[number % len(source)], f"{folder.name} {number}")
        path = folder / f"cam{number % 10}_{start + number}.jpg"
        path.write_bytes(data)
        paths.append(path)
    return paths


def _whole(shot: Shot) -> bool:
    return "_" in shot.name and "cut off" not in shot.what


def _shows_somebody(shot: Shot) -> bool:
    return any(word in shot.what for word in _SOMEBODY)


def marked(data: bytes, comment: str) -> bytes:
    """The same picture as other bytes: nothing that is kept by content can be used again."""
    text = comment.encode()
    return data[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + data[2:]
