"""Taking pictures in: by HTTP and from folders, each as one commit with a record of its arrival."""

from __future__ import annotations
