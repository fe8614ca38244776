"""One picture through the real system, line by line: from the camera's request to the mail.

It reads like the manual: a server on a new folder, one command that sets the cameras up, one
picture. Then every place is looked at in which the picture, or something that it caused, is kept.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
import io
import os
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image
from tests.program import PATIENCE, Server, serving

from vedette.model.ids import object_id
from vedette_cameras.detect.load import bundled_model

BEFORE_THE_PICTURE = ["arrivals", "deliveries", "devices", "images", "model", "rules"]
PIPELINES = ["validate", "object-detect", "judge", "threat-detect", "counts", "plot"]


@pytest.fixture(params=["astronaut", "original"])
def picture(request: pytest.FixtureRequest) -> bytes:
    """A JPEG with exactly one person in it."""
    if request.param == "original":
        folder: Path = request.getfixturevalue("data_dir")
        return (folder / "original" / "dev1_1511891098.jpg").read_bytes()
    found = find_spec("skimage")
    if found is None or found.origin is None:
        pytest.skip("scikit-image is not installed: its wheel ships the picture")
    made = io.BytesIO()
    with Image.open(Path(found.origin).parent / "data" / "astronaut.png") as astronaut:
        astronaut.convert("RGB").save(made, "JPEG", quality=90)
    return made.getvalue()


def test_one_picture_becomes_one_alert_and_everything_says_why(
    tmp_path: Path, picture: bytes
) -> None:
    with serving(tmp_path / "data") as vedette:
        # A new server has no pipelines, and none of the repos that the cameras need.
        assert vedette("list-pipeline", "--raw").rows == []
        names = {repo["name"] for repo in vedette("list-repo", "--raw").rows}
        assert not names & {"images", "model", "rules"}

        # One command makes them, with the bundled model and a rule; once more changes nothing.
        made = vedette("cameras", "init").out.splitlines()
        assert "created model nanodet_g_416.onnx" in made
        assert vedette("cameras", "init").out == "everything is there already\n"
        repos = sorted(repo["name"] for repo in vedette("list-repo", "--raw").rows)
        assert repos == sorted(BEFORE_THE_PICTURE + PIPELINES)
        pipelines = vedette("list-pipeline", "--raw").rows
        assert [pipeline["name"] for pipeline in pipelines] == PIPELINES
        assert {pipeline["state"] for pipeline in pipelines} == {"STANDBY"}
        (model,) = vedette("list-commit", "model", "--raw").rows
        (rules,) = vedette("list-commit", "rules", "--raw").rows
        assert vedette.json("rules", "/rule.json")["threat_classes"] == [1, 3, 4, 8]

        # The camera at the front door sends its picture. When this answers it is durable.
        answer = vedette.http.post(
            f"{vedette.address}/v1/devices/frontdoor/images",
            params={"captured_at": "2017-11-28T17:44:58Z"},
            content=picture, headers={"content-type": "image/jpeg"},
        )  # fmt: skip
        assert answer.status_code == 201, answer.text
        receipt = answer.json()
        assert receipt["path"] == "/frontdoor_1511891098.jpg"
        assert (receipt["device"], receipt["duplicate"]) == ("frontdoor", False)
        one = receipt["commit"]

        # Wait for all that this commit causes: jobs, charts, mail.
        vedette("flush-commit", f"images/{one}")
        vedette.idle()

        check_what_came_in(vedette, one, picture)
        check_the_stages(vedette, one, picture, model["id"], rules["id"])
        check_who_was_told(vedette, one, picture, rules["id"])
        check_that_the_counts_add_up(vedette)

        # The same picture again is known: nothing is committed, nothing runs, nobody is told.
        (sent,) = (tmp_path / "data" / "outbox").iterdir()
        again = vedette.http.post(
            f"{vedette.address}/v1/devices/frontdoor/images?captured_at=1511891098",
            content=picture,
        )  # fmt: skip
        assert again.json() == {**receipt, "duplicate": True}
        vedette.idle()
        assert len(vedette("list-commit", "images", "--raw").rows) == 1
        assert list((tmp_path / "data" / "outbox").iterdir()) == [sent]

        assert vedette.stop() == 0
        assert "Traceback" not in vedette.said()


def check_what_came_in(vedette: Server, one: str, picture: bytes) -> None:
    """The picture, how it arrived, and the camera, which nobody knew before: one global id."""
    assert vedette.content("images", "/frontdoor_1511891098.jpg") == picture
    assert vedette.files("images") == {"/frontdoor_1511891098.jpg": object_id(picture).hex()}
    arrival = vedette.json("arrivals", "/frontdoor_1511891098.jpg.json")
    with Image.open(io.BytesIO(picture)) as opened:
        size = opened.size
    assert (arrival["device"], arrival["captured_at"]) == ("frontdoor", "2017-11-28T17:44:58Z")
    assert (arrival["source"], arrival["bytes"]) == ("http", len(picture))
    assert arrival["object"] == object_id(picture).hex()
    assert (arrival["width"], arrival["height"]) == size
    assert vedette.json("devices", "/frontdoor.json")["name"] == "frontdoor"

    # Every commit that the picture caused has its id; none of them is anybody else's.
    commits = vedette("list-commit", one, "--raw").rows
    assert {commit["state"] for commit in commits} == {"finished"}
    origins = {commit["repo"]: commit["origin"] for commit in commits}
    assert origins == {
        **dict.fromkeys(("images", "arrivals", "devices"), "user"),
        **dict.fromkeys(PIPELINES, "auto"),
    }
    for commit in commits:
        listed, *before = vedette.get(f"/v1/repos/{commit['repo']}/commits")
        # Set-up has said of `devices` that none is known yet; everywhere else this is the first.
        assert len(before) == (commit["repo"] == "devices")
        assert listed["id"] == one


def check_the_stages(vedette: Server, one: str, picture: bytes, model: str, rules: str) -> None:
    """Each job ran one datum, and reads what the job before it has written."""
    jobs = {job["pipeline"]: job for job in vedette("list-job", "--raw").rows}
    assert set(jobs) == set(PIPELINES)
    for job in jobs.values():
        assert (job["commit"], job["state"]) == (one, "SUCCESS")
        assert (job["processed"], job["skipped"], job["failed"], job["total"]) == (1, 0, 0, 1)
    read = {
        name: {given["repo"]: given["commit"] for given in job["inputs"]}
        for name, job in jobs.items()
    }
    assert read == {
        "validate": {"images": one},
        "object-detect": {"validate": one, "model": model},
        "judge": {"object-detect": one, "rules": rules},
        "threat-detect": {"judge": one},
        "counts": {"threat-detect": one},
        "plot": {"counts": one, "devices": one},
    }

    # validate: the name is good, all pixels decode. The picture is there by reference.
    kept = object_id(picture).hex()
    assert vedette.files("validate") == {"/valid/frontdoor_1511891098.jpg": kept}

    # object-detect: one file a picture, the original's fields first.
    assert list(vedette.files("object-detect")) == ["/frontdoor/1511891098.json"]
    seen = vedette.json("object-detect", "/frontdoor/1511891098.json")
    (person,) = seen["objects"]
    assert (person["class"], person["label"]) == (1, "person")
    assert isinstance(person["score"], str)
    assert 0.5 < float(person["score"]) <= 1
    left, top, right, bottom = person["box"]
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1
    assert (seen["image"], seen["image_object"]) == ("/frontdoor_1511891098.jpg", kept)
    assert seen["model"] == {
        "name": "nanodet_g_416",
        "sha256": hashlib.sha256(bundled_model()).hexdigest(),
    }

    # judge: the same, and why it is an alert.
    judged = vedette.json("judge", "/frontdoor/1511891098.json")
    decision = judged.pop("decision")
    assert judged == seen
    assert (decision["verdict"], decision["first_failing_step"]) == ("alert", None)
    assert (decision["device"], decision["images"]) == ("frontdoor", ["/frontdoor_1511891098.jpg"])
    assert decision["trace"] == [
        {
            "object": 0, "step": "label", "field": "class",
            "value": 1, "limit": [1, 3, 4, 8], "pass": True,
        }
    ]  # fmt: skip
    assert decision["rules"]["commit"] == rules
    assert decision["rules"]["layers"]["threat_classes"] == "/rule.json"
    assert decision["model"] == seen["model"]

    # threat-detect: the very same file, by reference.
    assert vedette.files("threat-detect") == vedette.files("judge")

    # The charts: what the datum of each file read is on record.
    assert vedette.json("counts", "/frontdoor.json")["days"] == {"2017-11-28": 1}
    assert set(vedette.files("plot")) == {"/threats.png", "/threats-over-time.png"}
    for path in vedette.files("plot"):
        with Image.open(io.BytesIO(vedette.content("plot", path))) as chart:
            chart.load()
            assert chart.format == "PNG"
    (datum,) = vedette("list-datum", jobs["judge"]["id"], "--raw").rows
    assert {given["repo"]: given["path"] for given in datum["inputs"]} == {
        "object-detect": "/frontdoor/1511891098.json",
        "rules": "/",
    }


def check_who_was_told(vedette: Server, one: str, picture: bytes, rules: str) -> None:
    """One message, in the ledger and in the outbox, with the picture and its box in it."""
    record = vedette.json("deliveries", "/frontdoor_1511891098.jpg.json")
    assert (record["state"], record["channel"], record["tries"]) == ("accepted", "file", 1)
    assert (record["commit"], record["rules"]) == (one, rules)
    assert record["key"] == "/frontdoor_1511891098.jpg"

    (path,) = (vedette.data / "outbox").iterdir()
    assert path.name == record["provider_id"]
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert mail["Message-ID"] == record["message_id"]
    assert mail["Subject"] == "person at frontdoor, 2017-11-28 17:44:58 UTC"
    assert mail["To"] == ", ".join(record["recipients"])
    parts = {part.get_content_type(): part for part in mail.walk()}
    text = parts["text/plain"].get_content()
    assert "Person at frontdoor" in text
    assert "/frontdoor_1511891098.jpg" in text
    assert "cid:" in parts["text/html"].get_content()
    shown = parts["image/jpeg"].get_content()
    assert shown != picture
    with Image.open(io.BytesIO(shown)) as drawn:
        drawn.load()
        assert min(drawn.size) > 100

    (alert,) = vedette.get("/v1/cameras/alerts")
    assert (alert["device"], alert["label"]) == ("frontdoor", "person")
    assert (alert["image"], alert["captured_at"]) == (record["key"], "2017-11-28T17:44:58Z")
    assert alert["rules"] == rules
    told = vedette.get("/v1/cameras/decisions/frontdoor_1511891098.jpg")
    assert told["outcome"] == "alerted"
    assert told["detection"]["decision"]["verdict"] == "alert"
    assert told["delivery"]["state"] == "accepted"


def check_that_the_counts_add_up(vedette: Server) -> None:
    """received = invalid + clean + suppressed + alerted + failed + in flight."""
    counts = vedette.get("/v1/cameras/summary")
    received = counts.pop("received")
    assert received == sum(counts.values()) == 1
    assert counts["alerted"] == 1
    page = vedette.http.get(f"{vedette.address}/")
    assert page.status_code == 200
    assert "threat-detect" in page.text


def test_the_server_answers_on_loopback_only_and_keeps_its_data_to_itself(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as vedette:
        host, _, port = vedette.address.removeprefix("http://").partition(":")
        assert host == "127.0.0.1"
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
        with socket.create_connection((host, int(port)), timeout=PATIENCE):
            pass
        assert vedette("version", "--raw").rows[0].keys() == {"vedette", "server"}
    assert not os.path.exists(f"/proc/{vedette.process.pid}")
    assert vedette.tell("version").code == 7


def test_a_server_ends_when_asked_though_somebody_still_listens(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as vedette:
        vedette("cameras", "init")
        following = f"{vedette.address}/v1/logs?pipeline=validate&follow=true"
        with (
            vedette.http.stream("GET", f"{vedette.address}/v1/events") as events,
            vedette.http.stream("GET", following) as lines,
        ):
            assert (events.status_code, lines.status_code) == (200, 200)
            assert vedette.stop() == 0
        assert "Traceback" not in vedette.said()
