"""What the cameras show on the dashboard, over a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cameras import Cameras, cameras, picture, until, verdict

from vedette_cameras.pages.marks import along, percent


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Cameras]:
    with cameras(tmp_path) as found:
        yield found


def page(server: Cameras, path: str) -> str:
    answer = server.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def alerted(server: Cameras, image: str, rules: str, **said: str) -> None:
    server.put("images", image, picture(hash(image) % 1000))
    server.judged(image, rules, **said)  # type: ignore[arg-type]
    server.idle()


def counts(text: str) -> dict[str, int]:
    """The line of truth as a page shows it."""
    found = re.findall(
        r"<b>([\d,]+)</b> (received|invalid|clean|suppressed|alerted|failed|in flight)", text
    )
    return {name: int(value.replace(",", "")) for value, name in found}


def test_a_fresh_server_says_how_to_begin(server: Cameras) -> None:
    text = page(server, "/")
    assert "vedette cameras init" in text and "make demo" in text
    assert "No alert yet" not in text


def test_the_line_of_truth_adds_up_and_links_to_its_lists(server: Cameras) -> None:
    rules = server.judging()
    alerted(server, "/dev1_1511891255.jpg", rules)
    server.put("images", "/dev1_1511891256.jpg", picture(2))
    server.judged("/dev1_1511891256.jpg", rules, alert=False)
    server.idle()
    text = page(server, "/")
    found = counts(text)
    assert found.pop("received") == sum(found.values()) == 2
    assert (found["alerted"], found["clean"]) == (1, 1)
    for address in ("/repos/images", "/pictures/invalid", "/alerts", "/datums", "/jobs"):
        assert f'href="{address}"' in text
        page(server, address)


def test_an_alert_is_shown_with_its_picture_and_boxes(server: Cameras) -> None:
    rules = server.judging()
    alerted(server, "/dev1_1511891255.jpg", rules)
    text = page(server, "/")
    source = "/v1/repos/images/commits/master/files/dev1_1511891255.jpg"
    assert f'<img src="{source}"' in text
    assert server.http.get(source).content == picture(hash("/dev1_1511891255.jpg") % 1000)
    assert '<rect x="10.00%" y="10.00%" width="40.00%" height="80.00%">' in text
    assert "person 93 %" in text
    assert 'href="/alerts/dev1_1511891255.jpg"' in text


def test_the_page_of_an_alert_shows_every_step_and_the_message(server: Cameras) -> None:
    rules = server.judging()
    alerted(server, "/dev1_1511891255.jpg", rules)
    until(lambda: server.delivery("/dev1_1511891255.jpg")["state"] not in ("queued", "sending"))
    text = page(server, "/alerts/dev1_1511891255.jpg")
    assert '<span class="chip bad">alerted</span>' in text
    assert "Every step" in text and ">yes</span>" in text
    assert rules[:8] in text and "op@example.org" in text
    assert 'href="/v1/repos/judge/commits/master/files/dev1/1511891255.json"' in text


def test_a_clean_picture_has_a_page_that_says_why_not(server: Cameras) -> None:
    rules = server.judging()
    server.put("images", "/dev1_1511891256.jpg", picture(2))
    server.judged("/dev1_1511891256.jpg", rules, alert=False, label="dog")
    server.idle()
    text = page(server, "/alerts/dev1_1511891256.jpg")
    assert "Nothing that the rules call a threat" in text
    assert "dog 93 %" in text and ">no</span>" in text


def test_what_cameras_and_files_call_themselves_is_text(server: Cameras) -> None:
    rules = server.judging()
    image = "/<b>前门_1511891255.jpg"
    server.put("images", "/%3Cb%3E前门_1511891255.jpg", picture(3))
    data = verdict(image, rules, label="<script>alert(1)</script>")
    server.put("judge", "/%3Cb%3E前门/1511891255.json", data)
    server.idle()
    for path in ("/", "/alerts", "/alerts/%3Cb%3E前门_1511891255.jpg"):
        text = page(server, path)
        assert "<script>alert" not in text and "<b>前门" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "&lt;b&gt;前门" in text


def test_invalid_pictures_are_listed_with_their_reasons(server: Cameras) -> None:
    server.repo("images", "validate")
    record = {"image": "/blah.jpg", "object": "aa", "reason": "bad_name", "detail": "no <device>"}
    server.put("images", "/blah.jpg", b"text")
    server.put("validate", "/invalid/blah.jpg", b"text")
    server.put("validate", "/reasons/blah.jpg.json", json.dumps(record).encode())
    server.put("validate", "/reasons/other.jpg.json", b"not a record")
    text = page(server, "/pictures/invalid")
    assert ">bad_name</span>" in text and "no &lt;device&gt;" in text
    assert 'href="/alerts/blah.jpg"' in text
    assert "no reason on record" in text
    assert "bad_name: no &lt;device&gt;" in page(server, "/alerts/blah.jpg")


def test_a_picture_that_nobody_knows_is_not_found(server: Cameras) -> None:
    server.repo("images")
    answer = server.http.get("/alerts/none.jpg")
    assert answer.status_code == 404 and "none.jpg" in answer.text


def test_a_result_of_another_shape_is_shown_as_far_as_it_goes(server: Cameras) -> None:
    rules = server.judging()
    server.put("images", "/dev1_1511891255.jpg", picture(4))
    odd = json.dumps({"objects": "none", "decision": {"rules": {"commit": rules}}})
    server.put("judge", "/dev1/1511891255.json", odd.encode())
    server.idle()
    assert "dev1" in page(server, "/alerts/dev1_1511891255.jpg")


def test_without_a_channel_the_page_warns(tmp_path: Path) -> None:
    with cameras(tmp_path, channel="none") as server:
        server.judging()
        assert "nobody is told" in page(server, "/")


@pytest.mark.parametrize(("value", "text"), [(0.5, "50.00%"), (-0.2, "0.00%"), (1.7, "100.00%")])
def test_boxes_stay_on_the_picture(value: float, text: str) -> None:
    assert along(value) == text


def test_scores_are_shares() -> None:
    assert (percent("0.93"), percent(0.5), percent("odd")) == ("93 %", "50 %", "odd")
