"""How an application joins the server: one value under the entry-point group `vedette.apps`.

An application sees the platform through a `Client` only. It may add image names, routes, background
services, commands and parts of the front page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vedette.client.calls import Client

ENTRY_POINT_GROUP = "vedette.apps"


class Service(Protocol):
    """A background task. When `run` raises it is started again, later and later."""

    @property
    def name(self) -> str:
        """What the status shows."""

    async def run(self) -> None:
        """Work until cancelled. To return means that there is nothing to do here."""

    async def pending(self) -> int:
        """How many things wait to be done: `vedette wait --idle` waits for zero."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A part of the front page. `html` is trusted: escape what came from outside.

    `order` below 0 stands above the graph of pipelines, from 0 on beneath it.
    """

    name: str
    title: str
    html: str
    order: int = 0


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What a page shows. `html` is trusted; `live` follows what happens."""

    title: str
    html: str
    live: bool = False


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the application, within the dashboard's frame.

    `path` is written as Starlette does (`/alerts/{image:path}`). `draw` is given its parameters and
    the query in one mapping; what it raises of `VedetteError` is shown. With `menu` the page is in
    the menu under this name.
    """

    path: str
    draw: Callable[[Client, Mapping[str, str]], Awaitable[Sheet]]
    menu: str = ""


async def _no_panels(_: Client) -> Sequence[Panel]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Application:
    """What an application adds to the server. Every part is optional, and made on first use.

    `runtimes` gives the entries of `--runtimes` that are known out of the box, by image name.
    `routes` gives Starlette routes; they are under the server's own authentication.
    `services` is given a client, the data folder of the server, and the table `[apps.NAME]` of its
    settings. `commands` gives click commands, or one group whose commands join the program's.
    `panels` is asked each time the front page is drawn. `pages` are further pages in its frame, and
    `styles` the style sheets (files) that panels and pages need: pages run no inline style.
    """

    name: str
    runtimes: Callable[[], Mapping[str, Mapping[str, Any]]] = dict
    routes: Callable[[Client], Sequence[Any]] = lambda client: ()
    services: Callable[[Client, Path, Mapping[str, Any]], Sequence[Service]] = (
        lambda client, data_dir, settings: ()
    )
    commands: Callable[[], Any] = tuple
    panels: Callable[[Client], Awaitable[Sequence[Panel]]] = _no_panels
    pages: Sequence[Page] = ()
    styles: Sequence[Path] = ()
