"""A product whose sides are searches: gone through side by side, never held as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vedette.decide.tree import Combination, Steps

Source = Callable[[], Steps]
"""Begins a search anew."""

_REMEMBERED = 4096


def product(sources: Sequence[Source]) -> Steps:
    """Every combination of one from each source; at least one source is needed."""
    first, *others = sources
    return _times(first, [_Again(source) for source in others])


def _times(first: Source, others: Sequence[Source]) -> Steps:
    for found in first():
        if found is None or not others:
            yield found
            continue
        for rest in _times(others[0], others[1:]):
            yield None if rest is None else found + rest


class _Again:
    """A side of a product that is gone through again and again: a short one is kept."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: list[Combination] | None = None

    def __call__(self) -> Steps:
        if self._kept is not None:
            return iter(self._kept)
        return self._first()

    def _first(self) -> Steps:
        kept: list[Combination] = []
        for found in self._source():
            if found is not None and len(kept) <= _REMEMBERED:
                kept.append(found)
            yield found
        if len(kept) <= _REMEMBERED:
            self._kept = kept
