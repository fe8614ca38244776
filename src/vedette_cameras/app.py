"""How the cameras join the server: the entry point `vedette.apps`.

Everything is imported when it is needed: this module is loaded by every call of the program.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vedette.client import Client
from vedette.client.application import Application, Page, Panel, Service, Sheet


def _runtimes() -> Mapping[str, Mapping[str, Any]]:
    from vedette_cameras.runtimes import known_images

    return known_images()


def _routes(client: Client) -> Sequence[Any]:
    from vedette_cameras.routes import routes

    return routes(client)


def _services(client: Client, data_dir: Path, given: Mapping[str, Any]) -> Sequence[Service]:
    from vedette_cameras.site import services

    return services(client, data_dir, given)


async def _panels(client: Client) -> Sequence[Panel]:
    from vedette_cameras.pages.front import panels

    return await panels(client)


def _drawn(name: str) -> Callable[[Client, Mapping[str, str]], Awaitable[Sheet]]:
    async def draw(client: Client, query: Mapping[str, str]) -> Sheet:
        from vedette_cameras.pages import front

        sheet: Sheet = await getattr(front, name)(client, query)
        return sheet

    return draw


def _commands() -> Any:
    from vedette_cameras.commands import cameras

    return cameras


application = Application(
    name="cameras",
    runtimes=_runtimes,
    routes=_routes,
    services=_services,
    commands=lambda: (_commands(),),
    panels=_panels,
    pages=(
        Page(path="/alerts", draw=_drawn("list_page"), menu="Alerts"),
        Page(path="/alerts/{image:path}", draw=_drawn("picture_page")),
        Page(path="/pictures/invalid", draw=_drawn("invalid_page")),
    ),
    styles=(Path(__file__).parent / "pages" / "style.css",),
)
