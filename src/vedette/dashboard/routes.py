"""The dashboard's routes: pages, the streams that keep them live, static files."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from vedette.client import Client
from vedette.client import application as app
from vedette.dashboard.drawing import blocks, partials, whole
from vedette.dashboard.live import Live
from vedette.dashboard.pages import PAGES, Page, Query
from vedette.dashboard.sessions import Sessions, safe_target, signed_in, signed_out
from vedette.dashboard.streams import Stream
from vedette.model.errors import NotFound, VedetteError

STATIC = Path(__file__).parent / "static"
VENDOR = STATIC / "vendor"
SCRIPTS = ("htmx.min.js", "hx-sse.min.js")
_MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
_log = structlog.get_logger("vedette.dashboard")


class Dashboard:
    """The pages of one server and of the applications that joined it."""

    def __init__(
        self,
        client: Client,
        applications: Sequence[app.Application] = (),
        sessions: Sessions | None = None,
    ) -> None:
        self._client = client
        self._sessions = sessions
        self._applications = applications
        self._live = Live(client)
        self._scripts = all((VENDOR / name).is_file() for name in SCRIPTS)
        self._styles = {
            f"{application.name}-{style.name}": style
            for application in applications
            for style in application.styles
        }
        if not self._scripts:
            _log.warning(
                "pages are not live: scripts are missing, `make static` brings them",
                folder=str(VENDOR),
            )

    def routes(self) -> list[BaseRoute]:
        """All routes; where they are mounted the addresses begin with `/`."""
        pages = [*PAGES, *(page for each in self._applications for page in map(_page, each.pages))]
        found: list[BaseRoute] = [
            Route("/static/{name:path}", self._static),
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/logout", self._logout, methods=["POST"]),
        ]
        for page in pages:
            if self._scripts:
                found.append(Route("/live" + page.path, partial(self._stream, page)))
            found.append(Route(page.path, partial(self._page, page)))
        return found

    async def _page(self, page: Page, request: Request) -> Response:
        try:
            values = await self._values(page, _query(request))
        except VedetteError as error:
            return self.failure(error, request)
        values["live"] = self._scripts and values.get("live", True)
        return html(whole(page.template, self._frame(request) | values))

    async def _stream(self, page: Page, request: Request) -> Response:
        query = _query(request)

        async def draw() -> dict[str, str]:
            return blocks(page.template, await self._values(page, query))

        address = f"{request.url.path}?{request.url.query}"
        return Stream(_messages(self._live.watch(address, draw)), _HEADERS)

    async def _values(self, page: Page, query: Query) -> dict[str, Any]:
        values = await page.gather(self._client, query)
        if page.path == "/":
            panels = [each for app_ in self._applications for each in await self._panels(app_)]
            panels.sort(key=lambda panel: panel["order"])
            values["above"] = [panel for panel in panels if panel["order"] < 0]
            values["beneath"] = [panel for panel in panels if panel["order"] >= 0]
        return values

    async def _panels(self, application: app.Application) -> list[dict[str, Any]]:
        try:
            panels = await application.panels(self._client)
        except Exception as error:  # noqa: BLE001  another's code: the rest of the page is shown
            _log.warning("a panel failed", application=application.name, exc_info=True)
            reason = error.message if isinstance(error, VedetteError) else type(error).__name__
            return [{"name": application.name, "title": application.name, "order": 0,
                     "html": "", "failed": reason}]  # fmt: skip
        return [
            {"name": panel.name, "title": panel.title, "order": panel.order,
             "html": Markup(panel.html), "failed": ""}  # noqa: S704  panels are trusted markup
            for panel in panels
        ]  # fmt: skip

    def _frame(self, request: Request) -> dict[str, Any]:
        """What the frame around every page needs."""
        menu = [
            (page.path, page.menu)
            for each in self._applications
            for page in each.pages
            if page.menu
        ]
        path = request.url.path
        query = f"?{request.url.query}" if request.url.query else ""
        return {
            "menu": [("/", "Overview"), *menu, ("/jobs", "Jobs")],
            "here": path,
            "stream": f"/live{path}{query}",
            "scripts": self._scripts,
            "styles": list(self._styles),
            "signed_in": bool(request.scope.get("vedette.session")),
        }

    def failure(self, error: VedetteError, request: Request) -> Response:
        """A page that tells of an error."""
        values = self._frame(request) | {"error": error, "live": False}
        return html(whole("error.html", values), error.status)

    async def _login(self, request: Request) -> Response:
        error: VedetteError | None = None
        if self._sessions is None:
            return RedirectResponse("/", 303)
        if request.method == "POST":
            try:
                return await signed_in(request, self._sessions)
            except VedetteError as failed:
                error = failed
        values: dict[str, Any] = {"menu": [], "live": False, "error": error}
        values["next"] = safe_target(request.query_params.get("next", ""))
        return html(whole("login.html", self._frame(request) | values), 401 if error else 200)

    async def _logout(self, request: Request) -> Response:
        return signed_out()

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = self._styles.get(name.removeprefix("apps/")) if name.startswith("apps/") else None
        if found is None:
            path = (STATIC / name).resolve()
            found = path if path.is_relative_to(STATIC) and path.is_file() else None
        if found is None or found.suffix not in _MEDIA:
            return self.failure(NotFound(f"there is no file {request.url.path}"), request)
        headers = {"x-content-type-options": "nosniff", "cache-control": "no-cache"}
        return FileResponse(found, media_type=_MEDIA[found.suffix], headers=headers)


def html(text: str, status: int = 200) -> HTMLResponse:
    """A page as an answer, with the headers that keep foreign scripts out."""
    return HTMLResponse(text, status, headers=_HEADERS)


async def _messages(changes: AsyncGenerator[Mapping[str, str], None]) -> AsyncGenerator[str, None]:
    try:
        async with aclosing(changes):
            async for changed in changes:
                yield partials(changed) if changed else ": still here\n\n"
    except VedetteError as error:
        # What the page shows has gone, such as a deleted pipeline: the reader's reload says it.
        _log.info("a live page ends", reason=error.message)


def _query(request: Request) -> Query:
    return {**request.query_params, **request.path_params}


def _page(page: app.Page) -> Page:
    """An application's page as one of ours."""

    async def gather(client: Client, query: Query) -> dict[str, Any]:
        sheet = await page.draw(client, query)
        markup = Markup(sheet.html)  # noqa: S704  an application's pages are trusted markup
        return {"title": sheet.title, "html": markup, "live": sheet.live}

    return Page(path=page.path, template="sheet.html", gather=gather)
