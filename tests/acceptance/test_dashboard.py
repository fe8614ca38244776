"""The dashboard's pages as a browser without scripts gets them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient
from tests.serving import site

from vedette.client import Client
from vedette.client.application import Application, Page, Panel, Sheet
from vedette.dashboard import routes
from vedette.dashboard.graph import draw
from vedette.dashboard.routes import Dashboard
from vedette.dashboard.sessions import COOKIE, Sessions, safe_target, session_key
from vedette.model.errors import NotFound
from vedette.server import tokens
from vedette.server.local import LocalTransport
from vedette.server.serving import application
from vedette.server.site import Site

NASTY = "<img src=x onerror=alert(1)>&'\".jpg"
CHINESE = "前门_1511891255.jpg"
SPEC = {
    "pipeline": {"name": "copy"},
    "transform": {"image": "python", "cmd": ["python", "-c", "<script>alert(1)</script>"]},
    "input": {"cross": [
        {"pfs": {"repo": "images", "glob": "/*"}},
        {"pfs": {"repo": "model", "glob": "/", "reference": True}},
    ]},
}  # fmt: skip


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A vendor folder with the scripts that pages load, whether or not they were brought here."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    for name in routes.SCRIPTS:
        (folder / name).write_text("")
    monkeypatch.setattr(routes, "VENDOR", folder)
    return folder


def browser(parts: Site, *apps: Application, near: bool = True, data: Path | None = None) -> Any:
    sessions = Sessions(session_key(data), parts.tokens) if data else None
    pages = Dashboard(Client(LocalTransport(parts)), apps, sessions).routes()
    app = application(parts, pages, loopback=near, sessions=sessions)
    host, peer = ("127.0.0.1:7650", "127.0.0.1") if near else ("cams.example:7650", "192.0.2.7")
    return TestClient(
        app, base_url=f"http://{host}", client=(peer, 40000), headers={"accept": "text/html"}
    )


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def with_data(page: Any) -> None:
    for repo in ("images", "model"):
        assert page.post("/v1/repos", json={"name": repo}).status_code == 200
    assert page.post("/v1/pipelines", json=SPEC).status_code == 200


def put(page: Any, repo: str, path: str, data: bytes) -> None:
    answer = page.put(f"/v1/repos/{repo}/branches/master/files/{path}", content=data)
    assert answer.status_code == 200, answer.text


def test_a_fresh_server_says_what_to_do(parts: Site) -> None:
    text = browser(parts).get("/").text
    assert "There is no pipeline yet" in text
    assert "vedette create-pipeline -f" in text


def test_the_graph_shows_states_in_words_and_counts_that_are_links(parts: Site) -> None:
    page = browser(parts)
    with_data(page)
    put(page, "images", "a.jpg", b"1")
    text = page.get("/").text
    assert re.search(r'class="node pipeline \w+"', text)
    assert re.search(r'class="state"[^>]*>(1 in work|running|starting|standby)<', text)
    assert 'href="/repos/images"' in text and "1 file<" in text
    assert 'href="/pipelines/copy"' in text
    assert "copy reads model by reference" in text


def test_repos_that_nothing_reads_stand_apart(parts: Site) -> None:
    page = browser(parts)
    with_data(page)
    page.post("/v1/repos", json={"name": "arrivals"})
    text = page.get("/").text
    assert "Read by no pipeline" in text
    assert text.index("Read by no pipeline") < text.index('href="/repos/arrivals"')


@pytest.mark.parametrize("name", [NASTY, CHINESE])
def test_names_of_files_are_text_and_never_markup(parts: Site, name: str) -> None:
    page = browser(parts)
    with_data(page)
    put(page, "images", quote(name), b"1")
    text = page.get("/repos/images").text
    tags = Tags(text).found
    assert not any(tag == "img" for tag, _ in tags)
    assert not any(key.startswith("on") for _, attributes in tags for key in attributes)
    link = next(
        str(found["href"]) for tag, found in tags
        if tag == "a" and "/files/" in str(found.get("href"))
    )  # fmt: skip
    assert page.get(link).content == b"1"
    if name == CHINESE:
        assert CHINESE in text


def test_a_spec_is_shown_as_text(parts: Site) -> None:
    page = browser(parts)
    with_data(page)
    text = page.get("/pipelines/copy").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


@pytest.mark.parametrize("path", ["/", "/jobs", "/datums", "/pipelines/copy", "/repos/images"])
def test_pages_allow_no_script_but_the_servers_own(parts: Site, scripts: Path, path: str) -> None:
    page = browser(parts)
    with_data(page)
    answer = page.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy
    for tag, attributes in Tags(answer.text).found:
        assert "style" not in attributes
        if tag == "script":
            assert str(attributes["src"]).startswith("/static/")


def test_a_page_with_its_scripts_follows_what_happens(parts: Site, scripts: Path) -> None:
    text = browser(parts).get("/jobs?pipeline=").text
    assert 'hx-sse:connect="/live/jobs?pipeline="' in text
    assert 'http-equiv="refresh" content="15"></noscript>' in text


def test_without_the_scripts_pages_are_loaded_anew(
    parts: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(routes, "VENDOR", tmp_path / "nothing")
    page = browser(parts)
    assert "make static" in capsys.readouterr().out
    text = page.get("/").text
    assert "htmx" not in text and "hx-sse" not in text
    assert '<meta http-equiv="refresh" content="15">' in text
    assert page.get("/live/").status_code == 404


@pytest.mark.parametrize("path", ["/pipelines/none", "/jobs/none", "/repos/none", "/datums/7"])
def test_what_is_not_there_is_said_in_a_sentence(parts: Site, path: str) -> None:
    answer = browser(parts).get(path)
    assert answer.status_code == 404
    assert '<p class="banner bad">' in answer.text


def test_static_files_are_ours_alone(parts: Site) -> None:
    page = browser(parts)
    assert page.get("/static/style.css").headers["content-type"].startswith("text/css")
    for path in ("/static/../routes.py", "/static/%2e%2e/routes.py", "/static/vendor/.stamp"):
        assert page.get(path).status_code == 404


def app_with(**parts: Any) -> Application:
    async def panels(client: Client) -> list[Panel]:
        return [
            Panel(name="late", title="Late", html="<b>late</b>", order=5),
            Panel(name="early", title="Early", html="<b>early</b>", order=-5),
        ]

    return Application(name="test", **{"panels": panels, **parts})


def test_an_application_adds_panels_in_their_order(parts: Site) -> None:
    text = browser(parts, app_with()).get("/").text
    assert text.index("<b>early</b>") < text.index('id="pipelines"') < text.index("<b>late</b>")


def test_a_panel_that_fails_leaves_the_rest_standing(parts: Site) -> None:
    async def panels(client: Client) -> list[Panel]:
        raise RuntimeError("<b>secret</b>")

    text = browser(parts, app_with(panels=panels)).get("/").text
    assert "cannot be shown: RuntimeError" in text and "secret" not in text
    assert 'id="jobs"' in text


def test_an_application_adds_pages_in_the_same_frame(parts: Site, tmp_path: Path) -> None:
    async def draw(client: Client, query: Any) -> Sheet:
        if query["what"] != "door":
            raise NotFound(f"no {query['what']}")
        return Sheet(title="<Door>", html=f"<i>open {query.get('since', '')}</i>")

    style = tmp_path / "doors.css"
    style.write_text("i { color: red }")
    page = browser(parts, app_with(pages=(Page(path="/doors/{what}", draw=draw),), styles=(style,)))
    text = page.get("/doors/door?since=3").text
    assert "<h1>&lt;Door&gt;</h1>" in text and "<i>open 3</i>" in text
    assert 'href="/static/apps/test-doors.css"' in text
    assert page.get("/static/apps/test-doors.css").text == "i { color: red }"
    assert "no window" in page.get("/doors/window").text


def test_off_loopback_a_page_sends_to_the_form_and_the_form_back(
    parts: Site, tmp_path: Path
) -> None:
    token = parts.rounds.submit(lambda tx: tokens.add(tx, "me", "admin")).result()
    page = browser(parts, near=False, data=tmp_path)
    sent = page.get("/jobs?pipeline=judge", follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (
        303, "/login?next=/jobs%3Fpipeline%3Djudge"
    )  # fmt: skip
    form = page.get(sent.headers["location"])
    assert 'value="/jobs?pipeline=judge"' in form.text
    assert page.get("/static/style.css").status_code == 200
    back = page.post("/login", data={"token": token.token, "next": "/jobs"}, follow_redirects=False)
    assert (back.status_code, back.headers["location"]) == (303, "/jobs")
    cookie = back.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and token.token not in cookie
    assert "Sign out" in page.get("/").text
    assert page.get("/v1/repos").status_code == 200


def test_a_wrong_token_opens_nothing(parts: Site, tmp_path: Path) -> None:
    page = browser(parts, near=False, data=tmp_path)
    device = parts.rounds.submit(lambda tx: tokens.add(tx, "cam", "device:dev1")).result()
    for wrong in ("", "vdt_guess", device.token):
        answer = page.post("/login", data={"token": wrong})
        assert answer.status_code == 401 and COOKIE not in answer.cookies
        assert "does not open the dashboard" in answer.text
    assert page.post("/login", data={"token": "x" * 20_000}).status_code == 401


def test_a_session_ends_with_its_token_and_cannot_be_made_up(parts: Site, tmp_path: Path) -> None:
    token = parts.rounds.submit(lambda tx: tokens.add(tx, "me", "admin")).result()
    page = browser(parts, near=False, data=tmp_path)
    page.post("/login", data={"token": token.token})
    value = page.cookies[COOKIE]
    program = {"accept": "application/json"}
    for other in (("B" if value[0] == "A" else "A") + value[1:], "", "nonsense", "a" * 5000):
        asked = browser(parts, near=False, data=tmp_path)
        asked.cookies.set(COOKIE, other)
        assert asked.get("/v1/repos", headers=program).status_code == 401
    assert page.get("/v1/repos", headers=program).status_code == 200
    assert (
        page.delete(
            f"/v1/tokens/{token.id}", headers={"origin": "http://cams.example:7650"}
        ).status_code
        == 204
    )
    assert page.get("/v1/repos", headers=program).status_code == 401


def test_a_cookie_alone_changes_nothing(parts: Site, tmp_path: Path) -> None:
    token = parts.rounds.submit(lambda tx: tokens.add(tx, "me", "admin")).result()
    page = browser(parts, near=False, data=tmp_path)
    page.post("/login", data={"token": token.token})
    assert page.post("/v1/repos", json={"name": "x"}).status_code == 401
    foreign = {"origin": "https://evil.example"}
    assert page.post("/v1/repos", json={"name": "x"}, headers=foreign).status_code == 403


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "", "/a\nb"]
)
def test_the_form_sends_nobody_elsewhere(target: str) -> None:
    assert safe_target(target) == "/"


def test_the_key_of_sessions_is_kept_and_private(tmp_path: Path) -> None:
    key = session_key(tmp_path)
    assert (len(key), session_key(tmp_path)) == (32, key)
    assert (tmp_path / "session.key").stat().st_mode & 0o077 == 0
    (tmp_path / "session.key").write_bytes(b"half")
    assert len(session_key(tmp_path)) == 32


def test_nothing_to_draw_is_no_graph() -> None:
    assert draw([], []).nodes == ()
