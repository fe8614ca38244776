"""The demonstration: a real server, pictures of several devices, and the alerts as they happen."""

from __future__ import annotations
