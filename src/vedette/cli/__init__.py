"""The command line: one file a noun, over HTTP only."""

from __future__ import annotations
