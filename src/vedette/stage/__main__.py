"""`python -m vedette.stage MODULE:FUNCTION [ARGS...]`: run a Python stage."""

from __future__ import annotations

import sys


def main(words: list[str]) -> int:
    """Serve an agent (`--serve FD`), or run one datum from `/pfs`."""
    if len(words) == 2 and words[0] == "--serve":
        from vedette.stage.host import serve

        serve(int(words[1]))
        return 0
    if not words or words[0].startswith("-"):
        sys.stderr.write("usage: python -m vedette.stage MODULE:FUNCTION [ARGS...]\n")
        return 2
    from vedette.stage.alone import run

    return run(words[0], words[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
