"""What becomes of one path that several datums wrote (ENGINE M1 to M3)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from msgspec import Struct

from vedette.model.pipeline import OutputConflict

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"PK\x03\x04": "ZIP",
    b"PK\x05\x06": "ZIP",
}
_HINT = (
    "read everything in one datum (glob '/'), put $PACH_DATUM_ID into the path, "
    'or say what is meant with "output_conflict": concat, first, last or identical'
)


class Contribution(Struct, frozen=True, kw_only=True):
    """One file that a datum wrote. `order` is the datum's place in its job, `datum` its id."""

    order: int
    datum: str
    path: str
    object: bytes
    size: int


class One(Struct, frozen=True):
    """The path holds what this datum wrote."""

    winner: Contribution


class Concat(Struct, frozen=True):
    """The path holds these contents one after the other, in datum order."""

    parts: tuple[Contribution, ...]

    @property
    def size(self) -> int:
        """Bytes of the joined file."""
        return sum(part.size for part in self.parts)


class Conflict(Struct, frozen=True, kw_only=True):
    """The two cannot both be; `second` is of the later datum, the one to fail if only one may."""

    first: Contribution
    second: Contribution
    message: str


Resolution = One | Concat | Conflict


def resolve(policy: OutputConflict, contributions: Sequence[Contribution]) -> Resolution:
    """Decide one path. The answer does not depend on the order in which contributions come.

    `contributions` are all to the same path, at most one of each datum, and at least one.
    """
    ordered = sorted(contributions, key=lambda one: (one.order, one.datum))
    first = ordered[0]
    if len(ordered) == 1 or policy == "first":
        return One(first)
    if policy == "last":
        return One(ordered[-1])
    if policy == "concat":
        return Concat(tuple(ordered))
    if policy == "identical":
        other = next((one for one in ordered if one.object != first.object), None)
        if other is None:
            return One(first)
        return _conflict(first, other, "wrote different bytes to it")
    return _conflict(first, ordered[1], "both wrote it")


def clashes(contributions: Sequence[Contribution]) -> list[Conflict]:
    """Files that stand where another contribution needs a directory: never allowed (M3).

    One conflict for each such file, naming the first path below it; ordered by path. Both may be
    of one datum.
    """
    # By elements, so that what is below a file comes right after it
    ordered = sorted(contributions, key=lambda one: (_key(one.path), one.order, one.datum))
    keys = [_key(one.path) for one in ordered]
    found = []
    seen: set[str] = set()
    for one in ordered:
        if one.path in seen:
            continue
        seen.add(one.path)
        below = (*_key(one.path), b"")
        at = bisect_left(keys, below)
        if at < len(keys) and keys[at][: len(below) - 1] == _key(one.path):
            first, second = sorted((one, ordered[at]), key=lambda each: (each.order, each.datum))
            message = (
                f"{one.path} would be a file (datum {one.datum}) and a directory "
                f"(datum {ordered[at].datum} wrote {ordered[at].path}): write one of them elsewhere"
            )
            found.append(Conflict(first=first, second=second, message=message))
    return found


def looks_binary(head: bytes) -> str:
    """ "PNG", "JPEG" or "ZIP" if a file starts like one, so that joining it breaks it; else ""."""
    return next((name for start, name in _STARTS.items() if head.startswith(start)), "")


def concat_warning(path: str, head: bytes, parts: int) -> str:
    """The warning for a joined file that starts like a PNG, JPEG or ZIP; "" for any other (M2)."""
    name = looks_binary(head)
    if not name or parts < 2:
        return ""
    return (
        f"{path} holds {parts} {name} files one after the other, as under 1.x; most programs read "
        f"only one of them: {_HINT}"
    )


def _conflict(first: Contribution, second: Contribution, what: str) -> Conflict:
    message = f"{first.path}: datums {first.datum} and {second.datum} {what}: {_HINT}"
    return Conflict(first=first, second=second, message=message)


def _key(path: str) -> tuple[bytes, ...]:
    return tuple(path.strip("/").encode().split(b"/"))
