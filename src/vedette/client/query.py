"""What the parameters of operations are made of."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

# What fits a column of numbers.
Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters after the question mark."""


class Wait(Query, frozen=True, kw_only=True):
    """`timeout` is in seconds."""

    timeout: float = 60.0
