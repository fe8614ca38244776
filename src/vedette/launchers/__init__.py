"""Where workers live."""

from __future__ import annotations
