"""Values as the application's templates write them. Everything else is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_TONES = {
    "accepted": "ok", "sending": "busy", "queued": "busy", "gathering": "busy", "late": "warn",
    "failed": "bad", "recorded": "idle", "suppressed": "idle",
    "alerted": "bad", "clean": "ok", "invalid": "warn", "in flight": "busy",
}  # fmt: skip
_WORDS = {
    "accepted": "sent", "failed": "not delivered", "recorded": "nobody to tell",
    "late": "told late", "gathering": "gathering",
}  # fmt: skip


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates of the application's pages."""
    made = Environment(
        loader=PackageLoader("vedette_cameras.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        moment=moment,
        count="{:,}".format,
        percent=percent,
        along=along,
        tone=lambda state: _TONES.get(state, "idle"),
        state=lambda state: _WORDS.get(state, state),
    )
    made.globals.update(picture_address=picture_address, alert_address=alert_address)
    made.globals["parts"] = made.get_template("parts.html").module
    return made


def render(template: str, values: Mapping[str, Any]) -> str:
    """A piece of a page."""
    return environment().get_template(template).render(values)


def moment(at: datetime | str | None) -> Markup:
    """A `<time>` in UTC, which the dashboard's script turns into the reader's own time."""
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    if at is None:
        return Markup("")
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        at.isoformat(timespec="milliseconds"), at.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


def percent(score: float | str) -> str:
    """A score as people say it: 93 %."""
    try:
        return f"{float(score) * 100:.0f} %"
    except ValueError:
        return str(score)


def along(value: float) -> str:
    """A relative coordinate as a share of the picture, kept within it."""
    return f"{min(max(value, 0.0), 1.0) * 100:.2f}%"


def picture_address(image: str) -> str:
    """Where the bytes of a picture are to be had."""
    return f"/v1/repos/images/commits/master/files/{quote(image.lstrip('/'))}"


def alert_address(image: str) -> str:
    """The page that says why a picture is an alert, or none."""
    return f"/alerts/{quote(image.lstrip('/'))}"
