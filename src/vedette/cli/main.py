"""The program `vedette`: finds the command, runs it, turns errors into a line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from vedette.cli.catalogue import COMMANDS, named
from vedette.cli.session import NAMED
from vedette.cli.words import Command, NotPlain, Word, option_of
from vedette.model.errors import VedetteError

INTERRUPTED = 130
BROKEN_PIPE = 1
_COMPLETING = "_VEDETTE_COMPLETE"
_SERVER = {"--address": Word(["--address"]), "--token": Word(["--token"])}


def run() -> NoReturn:
    """The entry point: run the command line and exit with a code that says how it went."""
    code = outcome(sys.argv[1:])
    if "threading" in sys.modules:
        sys.exit(code)
    # Nobody else is at work, and nothing is left to be done. To take the interpreter apart would
    # cost a tenth of a command.
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # told already, or nobody reads it any more
            stream.flush()
    os._exit(code)


def outcome(argv: Sequence[str]) -> int:
    """Run a command line; its exit code. Codes of errors are those of `vedette.model.errors`."""
    try:
        result = _carried_out(argv)
        sys.stdout.flush()
    except VedetteError as error:
        return tell(error.message, error.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who read us has gone. Python would complain about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        from vedette.cli.system_errors import meaning

        told = meaning(error)
        return tell(told.message, told.exit_code)
    return result if isinstance(result, int) else 0


def _carried_out(argv: Sequence[str]) -> Any:
    """What a command gives; click is asked to read it only where it is not plain."""
    try:
        command, given = _plain(argv)
    except NotPlain:
        from vedette.cli.program import by_click

        return by_click(argv)
    return command(**given)


def _plain(argv: Sequence[str]) -> tuple[Command, dict[str, Any]]:
    """The command that is named, and what it is given. Raises NotPlain."""
    if _COMPLETING in os.environ:
        raise NotPlain
    words = list(argv)
    server: dict[str, str] = {}
    while words and words[0].startswith("-"):
        left = iter(words[1:])
        word, server[word.name] = option_of(_SERVER, words[0], left)
        words = list(left)
    known = named(words)
    if known is None:
        raise NotPlain
    command = loaded(known[0])
    given = command.plain(known[1])
    NAMED.set((server.get("address"), server.get("token")))
    return command, given


def loaded(name: str) -> Command:
    """One of our own commands."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command: Command = getattr(importlib.import_module(f"vedette.cli.{module}"), attribute)
    return command


def tell(message: str, code: int) -> int:
    """Say what is wrong; the code."""
    for line in message.splitlines() or [""]:
        print(f"vedette: {line}", file=sys.stderr)
    return code
