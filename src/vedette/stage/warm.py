"""What a warm process keeps from one datum to the next: compiled models, decoded pictures."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

MAX_BYTES = 256 * 1024 * 1024
MAX_ENTRIES = 64

_entries: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
_lock = threading.Lock()


def get(name: str, key: str, make: Callable[[], T], size: int | Callable[[T], int] = 0) -> T:
    """The value kept under (name, key), or what `make` returns, kept from now on.

    `key` should be the id of the object that the value was made from. `size` is in bytes: a number,
    or a function of the value. The least lately used values go when all together hold more than
    256 MB or number more than 64. When `make` raises, nothing is kept.
    """
    with _lock:
        found = _entries.get((name, key))
        if found is not None:
            _entries.move_to_end((name, key))
            kept: T = found[0]
            return kept
    value = make()
    weight = size(value) if callable(size) else size
    if weight <= MAX_BYTES:
        with _lock:
            _entries[(name, key)] = (value, weight)
            _entries.move_to_end((name, key))
            _shrink()
    return value


def clear() -> None:
    """Forget everything."""
    with _lock:
        _entries.clear()


def _shrink() -> None:
    total = sum(weight for _, weight in _entries.values())
    while total > MAX_BYTES or len(_entries) > MAX_ENTRIES:
        _, (_, weight) = _entries.popitem(last=False)
        total -= weight
