"""The command line as click sees it: for help, completion, faults, and words that are not plain."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from vedette.cli.catalogue import ALIASES, COMMANDS, named
from vedette.cli.main import INTERRUPTED, loaded, tell
from vedette.cli.session import NAMED
from vedette.model.errors import Unavailable

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
            return loaded(name).click()
        return _joined(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """`put file` and `token create` are `put-file` and `create-token`."""
        known = named(args)
        if known is not None:
            return super().resolve_command(ctx, [known[0], *known[1]])
        first, second = args[0], args[1] if len(args) > 1 else ""
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
def program(address: str | None, token: str | None) -> None:
    """Versioned repos of files, and pipelines that follow them."""
    NAMED.set((address, token))


def by_click(argv: Sequence[str]) -> Any:
    """Let click read a command line, and what it says run; what that gives, or an exit code."""
    try:
        return program.main(list(argv), prog_name="vedette", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        return tell(error.format_message(), error.exit_code)
    except click.Abort:
        return INTERRUPTED
