"""A spec's JSON checked against the table of fields: one spelling, one type a field.

protobuf's JSON rules: snake_case or camelCase, numbers as numbers or as strings, null for "not
given". What is wrong is collected, each with its path in the document, so that all of it can be
said at once (ENGINE U6).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from vedette.model.spec_fields import SHAPES, Field
from vedette.model.spec_words import cpus, duration, nearest, size, snake

MAX_DEPTH = 24
MAX_COUNT = 2**31 - 1


class Reading:
    """What reading a document found: `faults`, `warnings` and what comes `later`."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.later: list[str] = []
        self._faulty: set[str] = set()

    def fault(self, path: str, what: str) -> None:
        """Note that the document is wrong at `path`."""
        self._faulty.add(path)
        self.faults.append(f"{path}: {what}" if path else what)

    def missing(self, path: str, what: str) -> None:
        """Note that something is missing at `path`, unless a fault there explains it."""
        near = (fault for fault in self._faulty if _around(fault, path) or _around(path, fault))
        if not any(near):
            self.fault(path, f"missing: {what}")

    def read(
        self, given: object, shape: str = "", path: str = "", depth: int = 0
    ) -> dict[str, Any]:
        """An object with its fields in snake_case and their values converted.

        Durations become seconds, sizes bytes. What is wrong is left out.
        """
        if not isinstance(given, dict):
            self.fault(path, f"an object is needed, not {_shown(given)}")
            return {}
        if depth > MAX_DEPTH:
            self.fault(path, f"nested more than {MAX_DEPTH} deep")
            return {}
        found: dict[str, Any] = {}
        for key, value in given.items():
            shown = key if key.isprintable() else ascii(key)
            here = f"{path}.{shown}" if path else shown
            name = key if key in SHAPES[shape] else snake(key)
            field = SHAPES[shape].get(name)
            if field is None:
                self.fault(here, self._unknown(key, shape, path))
            elif value is None:
                continue
            elif name in found:
                self.fault(here, f"{name!r} is given twice, in both spellings")
            else:
                converted = self._value(field, value, here, depth)
                self._note(field, value, here)
                if converted is not None:
                    found[name] = converted
        return found

    def _note(self, field: Field, value: object, path: str) -> None:
        """Say what the field will not do, unless its value asks for nothing."""
        if not value and field.kind not in ("object", "any"):
            return
        if field.later:
            self.later.append(f"{path}: {field.later} with a later release")
        elif field.ignored:
            self.warnings.append(f"{path}: {field.ignored}")

    def _unknown(self, key: str, shape: str, path: str) -> str:
        """What an unknown field was probably meant to be; that one is then not missing."""
        known = SHAPES[shape]
        close = nearest(key, known)
        if close is not None:
            self._faulty.add(f"{path}.{close}" if path else close)
            return f"unknown field; did you mean {close!r}?"
        name = snake(key)
        for other, fields in SHAPES.items():
            if name in fields:
                return f"unknown field here; {name!r} belongs {_place(other)}"
        return f"unknown field; known here: {', '.join(sorted(known))}"

    def _value(self, field: Field, value: object, path: str, depth: int) -> Any:
        if field.kind == "any":
            return value
        if field.kind == "object":
            return self.read(value, field.shape, path, depth + 1)
        if field.kind in ("texts", "counts", "objects"):
            return self._list(field, value, path, depth)
        if field.kind == "map":
            return self._map(value, path)
        converted, wanted = _SCALARS[field.kind](value)
        if converted is None:
            self.fault(path, f"{wanted} is needed, not {_shown(value)}")
        elif field.choices and converted not in field.choices:
            return self._choice(field, str(converted), path)
        return converted

    def _choice(self, field: Field, value: str, path: str) -> str | None:
        if value.lower() in field.choices:
            return value.lower()
        if value:
            self.fault(path, f"{_shown(value)} is not one of {', '.join(field.choices)}")
        return None

    def _list(self, field: Field, value: object, path: str, depth: int) -> Any:
        if not isinstance(value, list):
            self.fault(path, f"a list is needed, not {_shown(value)}")
            return None
        if field.kind == "objects":
            return [
                self.read(item, field.shape, f"{path}[{index}]", depth + 1)
                for index, item in enumerate(value)
            ]
        found = []
        for index, item in enumerate(value):
            converted, wanted = _SCALARS[field.kind[:-1]](item)
            if converted is None:
                self.fault(f"{path}[{index}]", f"{wanted} is needed, not {_shown(item)}")
            else:
                found.append(converted)
        return found

    def _map(self, value: object, path: str) -> dict[str, str] | None:
        if not isinstance(value, dict):
            self.fault(path, f"an object is needed, not {_shown(value)}")
            return None
        found: dict[str, str] = {}
        for key, item in value.items():
            text, wanted = _text(item)
            if text is None:
                self.fault(f"{path}.{key}", f"{wanted} is needed, not {_shown(item)}")
            else:
                found[key] = text
        return found


def _around(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith((outer + ".", outer + "["))


def _place(shape: str) -> str:
    return f"in {shape!r}" if shape else "at the top"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _text(value: object) -> tuple[str | None, str]:
    plain = value if isinstance(value, str) and "\0" not in value else None
    return plain, "a text in quotes (without NUL characters)"


def _flag(value: object) -> tuple[bool | None, str]:
    return (value if isinstance(value, bool) else None), "true or false"


def _number(value: object) -> tuple[float | None, str]:
    wanted = "a number of 0 or more"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None, wanted
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None, wanted
    return (number if math.isfinite(number) and number >= 0 else None), wanted


def _count(value: object) -> tuple[int | None, str]:
    number, _ = _number(value)
    wanted = f"a whole number from 0 to {MAX_COUNT}"
    if number is None or number != int(number) or number > MAX_COUNT:
        return None, wanted
    return int(number), wanted


def _duration(value: object) -> tuple[float | None, str]:
    seconds = duration(value) if isinstance(value, str) else None
    return seconds, 'a time such as "30s", "1m30s" or "2h"'


def _size(value: object) -> tuple[int | None, str]:
    wanted = 'a size such as "512Mi", "1M" or 1048576'
    if isinstance(value, str):
        return size(value), wanted
    number, _ = _number(value)
    return (None if number is None else int(number)), wanted


def _cpus(value: object) -> tuple[float | None, str]:
    wanted = 'a number of processors such as 0.5 or "500m"'
    return (cpus(value) if isinstance(value, str) else _number(value)[0]), wanted


_SCALARS: dict[str, Callable[[object], tuple[Any, str]]] = {
    "text": _text,
    "flag": _flag,
    "number": _number,
    "count": _count,
    "duration": _duration,
    "size": _size,
    "cpus": _cpus,
}
