"""Rows: the metadata store and its queries."""

from __future__ import annotations
