"""What the camera application shows on the dashboard."""

from __future__ import annotations
