"""What commands share: the way to the server, places in repos, and options."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click

from vedette.client import Client, HttpTransport
from vedette.model.errors import Invalid

P = ParamSpec("P")

raw_option = click.option("--raw", is_flag=True, help="One JSON object a line.")


def connected(
    command: Callable[Concatenate[Client, P], Awaitable[Any]],
) -> Callable[P, Any]:
    """Give an asynchronous command a client of the server that was named."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        address, token = click.get_current_context().obj or (None, None)

        async def speak() -> Any:
            async with Client(HttpTransport(address, token)) as client:
                return await command(client, *args, **kwargs)

        return asyncio.run(speak())

    return run


def place(words: tuple[str, ...], *, path: str | None = None) -> tuple[str, str, str | None]:
    """Repo, branch or commit, and path of `REPO BRANCH [PATH]` or `REPO@BRANCH[:PATH]`.

    `path` stands in for a path that is not given. Raises Invalid for too few or too many words.
    """
    if words and "@" in words[0]:
        repo, _, rest = words[0].partition("@")
        ref, colon, inside = rest.partition(":")
        words = (repo, ref, *([inside] if colon else []), *words[1:])
    elif words and ":" in words[0] and len(words) == 1:
        repo, _, inside = words[0].partition(":")
        words = (repo, "master", inside)
    if not 2 <= len(words) <= 3 or not all(words[:2]):
        given = " ".join(words) or "nothing"
        raise Invalid(f"{given!r}: write REPO BRANCH [PATH], or REPO@BRANCH:/PATH")
    return words[0], words[1], words[2] if len(words) == 3 else path


def commit_of(words: tuple[str, ...]) -> tuple[str, str]:
    """Repo and commit of `REPO COMMIT`, `REPO/COMMIT` or `REPO@COMMIT`."""
    if len(words) == 1 and "@" not in words[0] and "/" in words[0]:
        repo, _, ref = words[0].partition("/")
        return repo, ref
    repo, ref, path = place(words)
    if path is not None:
        raise Invalid(f"{' '.join(words)!r}: write REPO COMMIT, or REPO@COMMIT")
    return repo, ref
