"""The alerts alone, by reference."""

from __future__ import annotations
