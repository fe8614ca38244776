"""The small words of a pipeline spec: names in either spelling, durations, sizes, numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3,
    "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15}"
_DURATION_PART = re.compile(rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"(?:(?:{_NUMBER})(?:ns|us|µs|μs|ms|s|m|h))+")
_SIZE = re.compile(rf"({_NUMBER})\s*([kKMGTPE]?)(i?)[bB]?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_CPU = re.compile(rf"({_NUMBER})(m?)")


def snake(name: str) -> str:
    """A field's name in snake_case, whichever of protobuf's two spellings it has.

    >>> snake("parallelismSpec"), snake("s3Out"), snake("URL")
    ('parallelism_spec', 's3_out', 'URL')
    """
    if name.isupper():
        return name
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is most probably a slip of, or None."""
    plain = {re.sub(r"[_-]", "", word).lower(): word for word in known}
    found = get_close_matches(re.sub(r"[_-]", "", name).lower(), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def duration(text: str) -> float | None:
    """Seconds of "30s", "1m30s", "1.5h" (Go's and protobuf's form); None for anything else."""
    if not _DURATION.fullmatch(text):
        return None
    parts = _DURATION_PART.findall(text)
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def duration_text(seconds: float) -> str:
    """Seconds for people: 40 ms, 12 s, 5 min, 3.5 h."""
    for below, unit, name in ((1.0, 0.001, "ms"), (120.0, 1.0, "s"), (7200.0, 60.0, "min")):
        if seconds < below:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.1f} h"


def size(text: str) -> int | None:
    """Bytes of "512", "1M", "1MB", "512Mi", "1.5GiB"; None for anything else.

    A bare letter is a power of 1,000, one with `i` a power of 1,024, as in Kubernetes.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found[3] and not found[2]):
        return None
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** _POWERS[found[2].upper()])


def cpus(text: str) -> float | None:
    """Processors of "2", "0.5" or "500m"; None for anything else."""
    found = _CPU.fullmatch(text.strip())
    return None if found is None else float(found[1]) / (1000 if found[2] else 1)
