"""Counts and charts of threats."""

from __future__ import annotations
