"""The original's `infer.py`, with the same arguments."""

from __future__ import annotations

import sys

from vedette_cameras.detect.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
