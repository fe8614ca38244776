"""The camera application: pictures from security cameras in, the few alerts that matter out."""

from __future__ import annotations
