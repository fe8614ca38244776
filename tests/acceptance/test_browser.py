"""The dashboard in a real browser: live, on a phone, in the dark, under its own policy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cameras import Cameras, cameras, picture

from vedette.config import Settings
from vedette.dashboard.routes import SCRIPTS, VENDOR
from vedette.wiring import running_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.skipif(
        not all((VENDOR / name).is_file() for name in SCRIPTS),
        reason="the pages' scripts are not here: make static",
    ),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cameras]:
    with cameras(tmp_path_factory.mktemp("browser")) as found:
        rules = found.judging()
        found.put("images", "/dev1_1511891255.jpg", picture(1, size=(640, 400)))
        found.judged("/dev1_1511891255.jpg", rules)
        found.idle()
        yield found


class Opened:
    """A page in the browser, and whatever it complained about."""

    def __init__(
        self, browser: Any, address: str, *, width: int = 1280, dark: bool = False
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)


@pytest.fixture
def opened(chromium: Any, server: Cameras) -> Iterator[Any]:
    pages: list[Opened] = []

    def open_page(path: str, **how: Any) -> Opened:
        pages.append(Opened(chromium, server.address + path, **how))
        return pages[-1]

    yield open_page
    for page in pages:
        page.context.close()


def test_the_page_follows_what_happens_without_being_loaded_anew(
    opened: Any, server: Cameras
) -> None:
    found = opened("/")
    page = found.page
    page.wait_for_selector('#pulse[data-state="live"]')
    page.evaluate("window.unchanged = true")
    before = page.inner_text(".truth .sum b")
    first = json.loads(server.file("judge", "/dev1/1511891255.json"))
    rules = first["decision"]["rules"]["commit"]
    server.put("images", "/dev2_1511891256.jpg", picture(2, size=(640, 400)))
    server.judged("/dev2_1511891256.jpg", rules)
    page.wait_for_selector('a.card[href="/alerts/dev2_1511891256.jpg"]')
    page.wait_for_function(
        "before => document.querySelector('.truth .sum b').textContent !== before", arg=before
    )
    assert page.evaluate("window.unchanged") is True
    assert found.faults == []


def test_boxes_lie_on_the_picture(opened: Any) -> None:
    page = opened("/alerts/dev1_1511891255.jpg").page
    page.wait_for_function("document.querySelector('.shot img').naturalWidth > 0")
    image = page.locator(".shot img").bounding_box()
    overlay = page.locator(".shot .boxes").bounding_box()
    for side in ("x", "y", "width", "height"):
        assert abs(image[side] - overlay[side]) < 1.0
    box = page.locator(".shot .threat rect").last.bounding_box()
    # The verdict's box is 0.1 0.1 0.5 0.9 of the picture; its line is 2 pixels wide.
    assert abs(box["x"] - (image["x"] + 0.1 * image["width"])) < 3
    assert abs(box["width"] - 0.4 * image["width"]) < 6
    assert abs(box["height"] - 0.8 * image["height"]) < 6


@pytest.mark.parametrize("path", ["/", "/alerts", "/alerts/dev1_1511891255.jpg", "/jobs",
                                  "/pipelines/threat-detect", "/repos/images"])  # fmt: skip
def test_a_phone_needs_no_scrolling_sideways(opened: Any, path: str) -> None:
    found = opened(path, width=380)
    width = found.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 380
    assert found.faults == []


def test_the_graph_runs_across_a_screen_and_down_a_phone(opened: Any) -> None:
    for width, shown, hidden in ((1280, "wide", "tall"), (380, "tall", "wide")):
        page = opened("/", width=width).page
        assert page.is_visible(f"svg.graph.{shown}")
        assert not page.is_visible(f"svg.graph.{hidden}")


def test_dark_is_dark_and_light_is_light(opened: Any) -> None:
    shades = []
    for dark in (True, False):
        page = opened("/", dark=dark).page
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades.append(sum(int(part) for part in colour[4:-1].split(",")))
    assert shades[0] < 150 < 600 < shades[1]


def test_times_are_shown_in_the_readers_own_zone(chromium: Any, server: Cameras) -> None:
    context = chromium.new_context(timezone_id="Asia/Shanghai", locale="en-GB")
    page = context.new_page()
    page.goto(server.address + "/alerts/dev1_1511891255.jpg")
    # 1511891255 is 17:47:35 UTC on 28 November 2017.
    page.wait_for_function("document.body.innerText.includes('29 Nov 2017, 01:47:35')")
    context.close()


def test_a_lost_server_is_said_and_found_again(chromium: Any, tmp_path: Path) -> None:
    with cameras(tmp_path) as first:
        port = first.address.rpartition(":")[2]
        found = Opened(chromium, first.address + "/jobs")
        found.page.wait_for_selector('#pulse[data-state="live"]')
    found.page.wait_for_selector('#pulse[data-state="lost"]')
    with running_server(
        tmp_path, apps=[], settings=Settings(data=tmp_path, listen=f"127.0.0.1:{port}")
    ):
        found.page.wait_for_selector('#pulse[data-state="live"]')
        found.context.close()
