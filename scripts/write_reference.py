"""Writes docs/reference/cli.md and http.md from the program itself; `--check` only compares."""

from __future__ import annotations

import re
import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from vedette.cli.catalogue import ALIASES, COMMANDS
from vedette.cli.program import Program, program
from vedette.client.operations import ENDPOINTS
from vedette.model.errors import VedetteError, subclasses

FOLDER = Path(__file__).parent.parent / "docs" / "reference"

CLI = """# The command line

`vedette` speaks to a server over HTTP: `--address` or `VEDETTE_ADDRESS` says where it is (default
`http://127.0.0.1:7650`), `--token` or `VEDETTE_TOKEN` what to show it. Every command has two
spellings: `put-file` and `put file`. With `alias pachctl=vedette`, instructions written for
Pachyderm run as they are.

A place is written `REPO BRANCH [PATH]` or `REPO@BRANCH:/PATH`; instead of a branch a commit id may
stand, and `^`, `^2` or `~2` after either goes back to an ancestor. `--raw` prints one JSON object a
line. Errors are one line on standard error, and an exit code:

| code | meaning |
|---|---|
| 0 | done |
"""

HTTP = """# The HTTP API

The same in a form for programs: `/openapi.json` of a running server. Bodies and answers are JSON,
or MessagePack when `Content-Type` or `Accept` say `application/msgpack`; files are raw bytes.

On loopback no token is needed, but a request that a web page of another origin makes a browser send
is refused. Off loopback every request but `/v1/version` and `/v1/health` needs a token:
`Authorization: Bearer TOKEN`, or HTTP Basic with the token as password. A token's scope is `admin`
(everything), `service` (everything but tokens and setting secrets; it alone may read secrets) or
`device:NAME` (only `/v1/devices/NAME/...`).

An answer to a put leaves when the commit is durable. Times are RFC 3339 in UTC; sizes are bytes.
"""

EVENTS = """
## Events

`GET /v1/events` streams server-sent events. An event's name is its kind (`commit`, `job`,
`pipeline`, `datum`, `round`); its data is a JSON list of what happened of that kind, the newest of
each sort. Under load there are at most ten batches a second; when nothing happens, a comment every
15 seconds.
"""


def cli_page() -> str:
    """The reference of the command line."""
    codes: dict[int, list[str]] = {}
    for kind in subclasses().values():
        line = (kind.__doc__ or "").splitlines()[0].rstrip(".")
        codes.setdefault(kind.exit_code, []).append(line)
    page = CLI + "".join(f"| {code} | {'; '.join(codes[code])} |\n" for code in sorted(codes))
    page += "| 130 | interrupted |\n"
    assert isinstance(program, Program)
    context = click.Context(program, info_name="vedette")
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        page += f"\n## {name}\n\n{_command(command, name)}"
        others = [alias for alias, meant in ALIASES.items() if meant == name]
        if others:
            page += f"\nAlso: {', '.join(f'`{other}`' for other in others)}.\n"
    return page


def _command(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=f"vedette {name}")
    usage = " ".join(command.collect_usage_pieces(context))
    text = f"`vedette {name} {usage}`\n\n{cleandoc(command.help or '')}\n"
    rows = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) and "--help" not in record[0]
    ]
    if rows:
        text += "\n| option | |\n|---|---|\n"
        text += "".join(f"| `{_cell(option)}` | {_cell(what)} |\n" for option, what in rows)
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def http_page() -> str:
    """The reference of the HTTP API."""
    page = HTTP + "\n## Operations\n\n| | | | query | body | answer |\n|---|---|---|---|---|---|\n"
    for end in ENDPOINTS:
        query = ", ".join(f"`{n}`" for n in getattr(end.query, "__struct_fields__", ()))
        body = f"`{end.media}`" if end.body is bytes else _type(end.body)
        answer = f"`{end.media}`" if end.answer is bytes else _type(end.answer)
        page += f"| `{end.method}` | `{end.path}` | {end.summary} | {query} | {body} | {answer} |\n"
    page += EVENTS + "\n## Errors\n\nRFC 9457 problem details with a stable `kind`:\n\n"
    page += "| kind | status | meaning |\n|---|---|---|\n"
    for name, kind in subclasses(VedetteError).items():
        page += f"| `{name}` | {kind.status} | {(kind.__doc__ or '').splitlines()[0]} |\n"
    return page


def _type(kind: Any) -> str:
    if kind is None or kind is type(None):
        return ""
    text = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
    return f"`{re.sub(r'[a-z_]+[.]', '', text)}`"


def main() -> int:
    """Write the pages, or say which of them is out of date."""
    pages = {"cli.md": cli_page(), "http.md": http_page()}
    stale = [name for name, text in pages.items() if _text(FOLDER / name) != text]
    if "--check" in sys.argv:
        for name in stale:
            print(f"docs/reference/{name} is out of date: run scripts/write_reference.py")
        return bool(stale)
    for name in stale:
        (FOLDER / name).write_text(pages[name], encoding="utf-8")
    return 0


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
