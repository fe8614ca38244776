"""What keeping and deleting is told in: garbage, faults, and what things take up."""

from __future__ import annotations

from msgspec import Struct


class Collected(Struct, frozen=True, kw_only=True):
    """What one run of garbage collection let go: objects, their bytes, packs that were removed.

    `suspects` wait for their grace period to end. `busy`: jobs under way kept the run from it.
    """

    objects: int = 0
    size: int = 0
    packs: int = 0
    suspects: int = 0
    busy: bool = False


class Fault(Struct, frozen=True, kw_only=True):
    """Something amiss. `kind`: missing, damaged, rows, or left (deleted, and still there)."""

    kind: str
    text: str
    object: str = ""


class Checked(Struct, frozen=True, kw_only=True):
    """What a check has looked at; `files` are those of the heads of all branches."""

    objects: int = 0
    size: int = 0
    files: int = 0


class CheckLine(Struct, frozen=True, kw_only=True):
    """One line of a check: a fault, or in the end what was looked at."""

    fault: Fault | None = None
    checked: Checked | None = None
