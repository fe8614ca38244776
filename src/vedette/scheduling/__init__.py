"""Pipelines in use: carries out what `vedette.decide` says."""

from __future__ import annotations
