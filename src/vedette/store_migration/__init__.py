"""Moving an installation from one pair of stores to another, while no server runs."""

from __future__ import annotations
