"""Turning new verdicts into messages: queued exactly once, sent under one Message-ID."""

from __future__ import annotations
