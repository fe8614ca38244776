"""How values are worded on the pages: sizes, counts, times, and what a state means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from markupsafe import Markup

from vedette.model.job import JobInfo

Tone = Literal["ok", "busy", "idle", "warn", "bad"]

_TONES: dict[str, Tone] = {
    # pipelines
    "PAUSED": "idle",
    "STANDBY": "idle",
    "CRASHING": "bad",
    "FAILURE": "bad",
    # jobs; RUNNING and STARTING are a pipeline's too
    "CREATED": "idle",
    "STARTING": "busy",
    "RUNNING": "busy",
    "EGRESSING": "busy",
    "FINISHING": "busy",
    "SUCCESS": "ok",
    "KILLED": "warn",
    "UNRUNNABLE": "warn",
    # datums
    "QUEUED": "idle",
    "FAILED": "bad",
    "RECOVERED": "warn",
    "SKIPPED": "idle",
}


def tone(state: str) -> Tone:
    """Which of the five colours and signs a job's or datum's state has."""
    return _TONES.get(state, "idle")


def pipeline_tone(state: str, working: int) -> Tone:
    """The same for a pipeline, which is busy while it has work and well while it waits for some."""
    if state == "RUNNING":
        return "busy" if working else "ok"
    return tone(state)


def count(value: int) -> str:
    """A whole number with its thousands apart: 1,204."""
    return f"{value:,}"


def plural(value: int, one: str, many: str = "") -> str:
    """A count with its noun: 1 file, 2 files."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def size(value: float) -> str:
    """Bytes in binary units: 97.7 KiB."""
    if value < 1024:
        return f"{int(value)} B"
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def duration(seconds: float) -> str:
    """A stretch of time with about two digits: 41 ms, 2.3 s, 4 min 10 s, 3 h 5 min."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def moment(at: datetime | None) -> Markup:
    """A `<time>` in UTC, which static/page.js turns into the reader's own time."""
    if at is None:
        return Markup("")
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        at.isoformat(timespec="milliseconds"), at.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


def lasted(job: JobInfo) -> str:
    """How long a job ran, empty while it has not ended."""
    if job.started is None or job.finished is None:
        return ""
    return duration((job.finished - job.started).total_seconds())


def shorten(text: str, limit: int) -> str:
    """The text, with an ellipsis in its middle where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"
