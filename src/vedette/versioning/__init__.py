"""Repos in use: transactions that join bytes and rows."""

from __future__ import annotations
