"""The line of truth: received = invalid + clean + suppressed + alerted + failed + in flight."""

from __future__ import annotations
