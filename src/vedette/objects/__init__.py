"""Bytes: the content-addressed store."""

from __future__ import annotations
