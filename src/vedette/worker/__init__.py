"""One datum on one machine: claim, stage, run, gather, report."""

from __future__ import annotations
