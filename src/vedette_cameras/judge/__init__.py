"""Which detections are an alert under the rules, and why (CAMERAS 5)."""

from __future__ import annotations
