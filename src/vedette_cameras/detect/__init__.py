"""What is in a picture: models, their preparation and decoding, and the runtimes (CAMERAS 4)."""

from __future__ import annotations
