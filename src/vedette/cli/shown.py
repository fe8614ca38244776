"""How values look in a terminal: tables, sizes, ages, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import msgspec

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEERING = frozenset(("Cc", "Zl", "Zp"))
_AGES = ((60, 1, "second"), (3600, 60, "minute"), (48 * 3600, 3600, "hour"))
_LONG_AGES = ((14 * 86400, 86400, "day"), (60 * 86400, 7 * 86400, "week"))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table: by rich on a terminal, else plain columns, whole and easy to cut."""
    texts = [[_printable(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            drawn.add_column(column, overflow="fold")
        for text in texts:
            drawn.add_row(*(Text(cell) for cell in text))
        Console().print(drawn)
        return
    lines = [list(columns), *texts]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(cells).rstrip())


def _printable(text: str) -> str:
    """On one line, and without what would steer the terminal: names may hold any character."""
    if text.isprintable():
        return text
    from unicodedata import category

    return "".join(
        c.encode("unicode_escape").decode() if category(c) in _STEERING else c for c in text
    )


def raw(values: Iterable[Any]) -> None:
    """Print one JSON object a line."""
    import msgspec

    for value in values:
        print(msgspec.json.encode(value).decode())


def details(value: msgspec.Struct, *, as_raw: bool) -> None:
    """Print one value: its fields by name, or JSON."""
    if as_raw:
        raw([value])
        return
    import msgspec

    for name, field in msgspec.structs.asdict(value).items():
        if field in ("", (), None, {}):
            continue
        title = name.replace("_", " ").capitalize()
        if name in ("size", "download", "upload"):
            field = size(field)
        elif isinstance(field, datetime):
            field = f"{field:%Y-%m-%d %H:%M:%S} UTC ({age(field)})"
        elif isinstance(field, msgspec.Struct | dict):
            field = msgspec.json.format(msgspec.json.encode(field)).decode()
        elif isinstance(field, tuple | list):
            field = "".join(f"\n  {_line(item)}" for item in field)
        else:
            field = "\n".join(map(_printable, str(field).split("\n")))
        print(f"{title}: {field}")


def _line(item: Any) -> str:
    import msgspec

    return msgspec.json.encode(item).decode() if isinstance(item, msgspec.Struct) else str(item)


def size(count: int) -> str:
    """Bytes for people: 97.7KiB."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}{_UNITS[unit]}" if unit else f"{count}B"


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago something was: 3 minutes ago."""
    if moment is None:
        return "-"
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 1:
        return "Less than a second ago"
    for below, unit, name in (*_AGES, *_LONG_AGES):
        if seconds < below:
            count = int(seconds // unit)
            return f"{count} {name}{'s' * (count != 1)} ago"
    if seconds < 2 * 365 * 86400:
        return f"{int(seconds // (30 * 86400))} months ago"
    return f"{int(seconds // (365 * 86400))} years ago"


def duration(start: datetime | None, end: datetime | None) -> str:
    """How long something took: 1m30s; - while it has not ended."""
    if start is None or end is None:
        return "-"
    seconds = (end - start).total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{rest:02}s" if hours else f"{minutes}m{rest:02}s"
