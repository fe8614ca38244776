"""The program `vedette`: finds the command, runs it, turns errors into a line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from vedette.cli.catalogue import ALIASES, COMMANDS
from vedette.model.errors import Unavailable, VedetteError

INTERRUPTED = 130
BROKEN_PIPE = 1
_PARTS = sorted({part for name in COMMANDS for part in name.split("-")})


class Program(click.Group):
    """Loads a command when it is called, by either spelling: `put-file` and `put file`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own commands, in the order of the catalogue, then those of applications."""
        return [*COMMANDS, *(entry.name for entry in _entries())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, loaded now."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name in COMMANDS:
            module, _, attribute = COMMANDS[name][0].partition(":")
            loaded = importlib.import_module(f"vedette.cli.{module}")
            command: click.Command = getattr(loaded, attribute)
            return command
        return _joined(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """`put file` and `token create` are `put-file` and `create-token`."""
        first, second = args[0], args[1] if len(args) > 1 else ""
        known = COMMANDS.keys() | ALIASES.keys()
        if first not in known and second and not second.startswith("-"):
            for name in (f"{first}-{second}", f"{second}-{first}"):
                if name in known:
                    return super().resolve_command(ctx, [name, *args[2:]])
        command = self.get_command(ctx, first)
        if command is None:
            raise click.UsageError(_unknown(first, second), ctx)
        return first, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        rows = [(name, summary) for name, (_, summary) in COMMANDS.items()]
        with formatter.section("Commands (`put-file` may be written `put file`)"):
            formatter.write_dl(rows)
        # By convention an application's group has the name of the application. Loading it to ask
        # would cost more than all else here.
        joined = [
            (entry.name, f"Commands of {entry.value.partition('.')[0]}") for entry in _entries()
        ]
        if joined:
            with formatter.section("Applications"):
                formatter.write_dl(joined)


def _entries() -> Iterator[Any]:
    """The applications that are installed, not loaded."""
    from importlib.metadata import entry_points

    yield from sorted(entry_points(group="vedette.apps"), key=lambda entry: entry.name)


def _joined(name: str) -> click.Command | None:
    """An application's command. Those whose own name it is are asked first, and alone."""
    for entry in sorted(_entries(), key=lambda entry: bool(entry.name != name)):
        try:
            given: Any = entry.load().commands()
        except ImportError as error:
            if entry.name != name:
                continue
            raise Unavailable(
                f"application {name} cannot be loaded ({error}): pip install 'vedette[{name}]'"
            ) from None
        for command in [given] if isinstance(given, click.Command) else given:
            if command.name == name:
                found: click.Command = command
                return found
    return None


def _unknown(first: str, second: str) -> str:
    with_part = [name for name in COMMANDS if first in name.split("-")]
    if with_part and first in _PARTS:
        listed = ", ".join(with_part)
        return f"{f'{first} {second}'.strip()!r} is not a command: {first} goes with {listed}"
    import difflib

    near = difflib.get_close_matches(first, [*COMMANDS, *ALIASES], n=1)
    hint = f"did you mean {near[0]}?" if near else "see `vedette --help`"
    return f"no command {first!r}: {hint}"


@click.command(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--address", metavar="URL", help="Where the server is (VEDETTE_ADDRESS).")
@click.option("--token", metavar="TOKEN", help="The token to show it (VEDETTE_TOKEN).")
@click.pass_context
def program(ctx: click.Context, address: str | None, token: str | None) -> None:
    """Versioned repos of files, and pipelines that follow them."""
    ctx.obj = (address, token)


def run() -> NoReturn:
    """The entry point: run the command line and exit with a code that says how it went."""
    code = outcome(sys.argv[1:])
    if "asyncio" in sys.modules or threading.active_count() > 1:
        sys.exit(code)
    # Nothing is left to be done. To take the interpreter apart would cost a tenth of a command.
    sys.stderr.flush()
    os._exit(code)


def outcome(argv: list[str]) -> int:
    """Run a command line; its exit code. Codes of errors are those of `vedette.model.errors`."""
    try:
        result = program.main(argv, prog_name="vedette", standalone_mode=False)
        sys.stdout.flush()
    except VedetteError as error:
        return _tell(error.message, error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        return _tell(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Who read us has gone. Python would complain about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _tell(f"{where}{error.strerror or error}", 1)
    return result if isinstance(result, int) else 0


def _tell(message: str, code: int) -> int:
    for line in message.splitlines() or [""]:
        print(f"vedette: {line}", file=sys.stderr)
    return code
