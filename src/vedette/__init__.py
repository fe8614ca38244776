"""Vedette: versioned repos, data-driven pipelines, and workers that run them."""

from __future__ import annotations

__version__ = "0.3.0"
