"""Pages for people, made from the API's own functions."""

from __future__ import annotations
