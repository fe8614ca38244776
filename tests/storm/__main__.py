"""python -m tests.storm: a storm of any length; prints its seed, ends with 1 on any fault."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.storm.pipelines import LOADS
from tests.storm.run import BACKENDS, storm


def main() -> int:
    """Run as told."""
    parser = argparse.ArgumentParser(description="Kill everything for a while; then check.")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--backend", choices=list(BACKENDS), default="local")
    parser.add_argument("--pipelines", choices=list(LOADS), default="shipped")
    parser.add_argument("--only", action="append", default=[], metavar="WORD",
                        help="strike only with faults whose names have this word")  # fmt: skip
    words = parser.parse_args()
    print(
        f"seed {words.seed}, {words.minutes:g} minutes, {words.backend}, {words.pipelines}",
        flush=True,
    )
    folder = Path(tempfile.mkdtemp(prefix="storm-"))
    found = storm(
        words.backend, folder, words.seed, words.minutes * 60, words.pipelines, words.only
    )
    if found:
        print(f"what is left is in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
