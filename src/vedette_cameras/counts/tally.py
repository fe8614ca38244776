"""Every picture in exactly one state, and how many are in each: no input or output here.

What is known of a picture are marks that come from different repos in any order; its state follows
from them alone, so the sum of the states is the number of pictures at all times.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

PRESENT, INVALID, VALID, JUDGED, THREAT, ALERTED, SUPPRESSED, FAILED = (1 << n for n in range(8))
_KEPT = ALERTED | SUPPRESSED
"""Marks of the ledger, which outlive the picture."""

Outcome = Literal["invalid", "clean", "suppressed", "alerted", "failed", "in_flight"]
SAME_SECOND = "same_second"


class Summary(Struct, frozen=True, kw_only=True):
    """The line of truth: `received` is the sum of all others."""

    received: int
    invalid: int
    clean: int
    suppressed: int
    alerted: int
    failed: int
    in_flight: int


class Tally:
    """Marks by picture, and the counts that follow from them. Paths are those in `images`."""

    def __init__(self) -> None:
        self._marks: dict[str, int] = {}
        self._endings: set[str] = set()
        self._counts: dict[Outcome, int] = dict.fromkeys(
            ("invalid", "clean", "suppressed", "alerted", "failed", "in_flight"), 0
        )

    def summary(self) -> Summary:
        """The counts as they are."""
        return Summary(received=sum(self._counts.values()), **self._counts)

    def mark(self, image: str, mark: int, on: bool = True) -> None:
        """Set or clear a mark of one picture."""
        before = self._marks.get(image, 0)
        after = before | mark if on else before & ~mark
        if before == after:
            return
        if mark & (PRESENT | JUDGED):
            # Pictures that share device and second depend on each other.
            if mark & PRESENT:
                self._endings.add(image.rpartition(".")[2])
            related = self.of_stem(stem_of(image))
            if image not in related:
                related.append(image)
        else:
            related = [image]
        for one in related:
            self._count(one, -1)
        if not after & PRESENT:
            after &= _KEPT
        if after:
            self._marks[image] = after
        else:
            self._marks.pop(image, None)
        for one in related:
            self._count(one, 1)

    def marks(self, image: str) -> int:
        """The marks of a picture."""
        return self._marks.get(image, 0)

    def only(self, mark: int, images: Iterable[str]) -> None:
        """Set a mark on these pictures and clear it on all others; costs a look at each mark."""
        wanted = set(images)
        for image in [image for image, held in self._marks.items() if held & mark]:
            if image not in wanted:
                self.mark(image, mark, on=False)
        for image in wanted:
            self.mark(image, mark)

    def of_stem(self, stem: str) -> list[str]:
        """The pictures whose result is in the file of this stem (`<device>_<time>`)."""
        found = [f"/{stem}.{ending}" for ending in self._endings]
        return [image for image in found if self._marks.get(image, 0) & PRESENT]

    def outcome(self, image: str) -> Outcome | None:
        """The state of a picture; None when there is no such picture."""
        marks = self._marks.get(image, 0)
        if not marks & PRESENT:
            return None
        if marks & INVALID:
            return "invalid"
        if marks & ALERTED:
            return "alerted"
        if marks & FAILED:
            return "failed"
        if marks & SUPPRESSED:
            return "suppressed"
        if marks & THREAT:
            return "in_flight"
        if marks & JUDGED:
            return "clean"
        return "suppressed" if self.overwritten(image) else "in_flight"

    def overwritten(self, image: str) -> bool:
        """Whether another picture of this device and second holds the file of the result."""
        if self._marks.get(image, 0) & JUDGED or len(self._endings) < 2:
            return False
        siblings = self.of_stem(stem_of(image))
        return any(self._marks[other] & JUDGED for other in siblings if other != image)

    def in_flight(self) -> list[str]:
        """The pictures that have not come to an end; costs a look at every picture."""
        return [image for image in self._marks if self.outcome(image) == "in_flight"]

    def _count(self, image: str, by: int) -> None:
        outcome = self.outcome(image)
        if outcome is not None:
            self._counts[outcome] += by


def stem_of(image: str) -> str:
    """`dev1_1511891098` of `/dev1_1511891098.jpg`."""
    return image[1:].rpartition(".")[0]


def stem_of_result(path: str) -> str:
    """`dev1_1511891098` of `/dev1/1511891098.json`; empty for other paths."""
    device, slash, name = path[1:].partition("/")
    if not slash or "/" in name or not name.endswith(".json"):
        return ""
    return f"{device}_{name.removesuffix('.json')}"
