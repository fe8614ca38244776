"""What exists: values and rules, without input or output."""

from __future__ import annotations
