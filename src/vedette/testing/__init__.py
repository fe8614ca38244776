"""What tests and measurements of pipelines need, shipped so that you can use it for yours."""

from __future__ import annotations
