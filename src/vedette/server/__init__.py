"""The HTTP API: one file a noun."""

from __future__ import annotations
