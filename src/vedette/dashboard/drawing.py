"""Templates and what they can say. Every value is escaped unless it says that it is markup."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from vedette.dashboard import wording
from vedette.dashboard.pages import directory_address, file_address

LIVE = "live_"


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates of the dashboard, compiled once a process."""
    made = Environment(
        loader=PackageLoader("vedette.dashboard", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        count=wording.count,
        size=wording.size,
        moment=wording.moment,
        duration=wording.duration,
        lasted=wording.lasted,
        shorten=wording.shorten,
        tone=wording.tone,
        segment=lambda text: quote(str(text), safe=""),
    )
    made.globals.update(
        plural=wording.plural,
        pipeline_tone=wording.pipeline_tone,
        file_address=file_address,
        directory_address=directory_address,
        live=True,
    )
    # A block that is drawn by itself does not see what its file imports.
    made.globals["parts"] = made.get_template("parts.html").module
    return made


def whole(template: str, values: Mapping[str, Any]) -> str:
    """A page."""
    return environment().get_template(template).render(values)


def blocks(template: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The live blocks of a page, by their names, which are the ids of the elements around them."""
    found = environment().get_template(template)
    return {
        name: "".join(block(found.new_context(dict(values)))).strip()
        for name, block in found.blocks.items()
        if name.startswith(LIVE)
    }


def partials(changed: Mapping[str, str]) -> str:
    """Blocks as one message of a stream: htmx puts each into the element that has its name."""
    text = "\n".join(
        f'<hx-partial hx-target="#{name}" hx-swap="innerMorph">{html}</hx-partial>'
        for name, html in changed.items()
    )
    return "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
