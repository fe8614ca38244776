"""Pictures with boxes, labels and scores drawn."""

from __future__ import annotations
