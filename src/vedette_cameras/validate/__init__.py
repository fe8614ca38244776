"""Which files are pictures that can be looked at: the name, then a full decode (CAMERAS 3)."""

from __future__ import annotations
