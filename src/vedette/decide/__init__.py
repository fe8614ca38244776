"""What should happen: pure functions from facts to instructions."""

from __future__ import annotations
