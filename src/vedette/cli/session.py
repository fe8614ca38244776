"""What commands share: the way to the server, places in repos, and options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from vedette.cli import words
from vedette.model.errors import Invalid

if TYPE_CHECKING:
    from vedette.client import Client, Transport

P = ParamSpec("P")
T = TypeVar("T")

NAMED: ContextVar[tuple[str | None, str | None]] = ContextVar("named", default=(None, None))
"""Address and token of the server, where the command line has named them."""

raw_option = words.option("--raw", is_flag=True, help="One JSON object a line.")


def connected(
    command: Callable[Concatenate[Client, P], Coroutine[Any, Any, Any]],
) -> Callable[P, Any]:
    """Give an asynchronous command a client of the server that was named.

    It may wait for that client only, one call after the other: see `speak`.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        return speak(lambda client: command(client, *args, **kwargs))

    return run


def speak(command: Callable[[Client], Coroutine[Any, Any, T]], *, together: bool = False) -> T:
    """Run what asks the server that was named, to its end.

    Over plain HTTP that is done without an event loop and without an HTTP library: to load them
    takes longer than most commands do. `together`: it waits for other things besides, so it needs
    the loop.
    """
    address, token = NAMED.get()
    _load_msgspec()
    from vedette.client.plain import PlainTransport, is_plain

    if not together and is_plain(address):
        return _alone(_with(PlainTransport(address, token), command))
    import asyncio

    from vedette.client import HttpTransport

    return asyncio.run(_with(HttpTransport(address, token), command))


def _load_msgspec() -> None:
    """Have msgspec use the names of `typing`, as it can.

    It would first look for them in typing_extensions, which takes longer to load than all of it.
    """
    if "typing_extensions" in sys.modules:
        return
    sys.modules["typing_extensions"] = None  # type: ignore[assignment] # so it is not to be found
    try:
        import msgspec as _  # noqa: F401
    finally:
        del sys.modules["typing_extensions"]


async def _with(transport: Transport, command: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    from vedette.client import Client

    async with Client(transport) as client:
        return await command(client)


def _alone(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never gives way, because all that it awaits blocks."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        found: T = ended.value
        return found
    coroutine.close()
    raise RuntimeError("a command waits for something else than its server: let it `speak` so")


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
