"""New verdicts become messages, each once; old ones mail nothing; an outage ends with its alerts
(CAMERAS 6)."""

from __future__ import annotations

import asyncio
import email
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from tests.cameras import RULE, Cameras, cameras, picture, until, verdict
from tests.sendgrid import SendGridStub, sendgrid

from vedette.client import Client, HttpTransport
from vedette_cameras.alert.ledger import FencedError, Ledger
from vedette_cameras.alert.record import Record
from vedette_cameras.clock import SystemClock
from vedette_cameras.ingest.kinds import Kind, look

FAST = {"first": 0.05, "longest": 0.2, "tries": 4, "timeout": 0.5}


@contextmanager
def with_sendgrid(data: Path, **settings: Any) -> Iterator[tuple[Cameras, SendGridStub]]:
    with sendgrid() as stub:
        given = {"sendgrid": {"host": stub.address, "key": "k"}, "retries": FAST, **settings}
        with cameras(data, **given) as server:
            yield server, stub


def arrive(server: Cameras, image: str, rules: str, seed: int = 1, **more: Any) -> None:
    """A picture comes in and is judged."""
    assert server.send("-", picture(seed), filename=image[1:]).status_code == 201
    server.judged(image, rules, **more)


def test_a_first_verdict_is_told_once_and_a_later_one_sends_nothing(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path, address="http://cameras.example.org") as (server, stub):
        rules = server.judging()
        arrive(server, "/gate_1511891098.jpg", rules)
        server.idle()
        assert len(stub.accepted) == 1
        document = stub.accepted[0]
        assert stub.keys == ["Bearer k"]
        assert document["personalizations"] == [{"to": [{"email": "op@example.org"}]}]
        assert document["subject"] == "person at gate, 2017-11-28 17:44:58 UTC"
        texts = [part["value"] for part in document["content"]]
        for text in texts:
            assert "0.93" in text
            assert "http://cameras.example.org/alerts/gate_1511891098.jpg" in text
        attached = document["attachments"][0]
        assert f"cid:{attached['content_id']}" in texts[1]
        assert len(attached["content"]) < 200_000 * 4 / 3 + 4

        record = server.delivery("/gate_1511891098.jpg")
        assert (record["state"], record["tries"], record["provider_id"]) == ("accepted", 1, "sg-1")
        assert record["message_id"] == document["headers"]["Message-ID"]

        server.judged("/gate_1511891098.jpg", rules, label="car")
        server.idle()
        assert len(stub.asked) == 1
        replays = server.delivery("/gate_1511891098.jpg")["replays"]
        assert [replay["label"] for replay in replays] == ["car"]


def test_new_rules_mail_nothing_for_the_past(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path) as (server, stub):
        rules = server.judging()
        arrive(server, "/gate_1511891098.jpg", rules, alert=False)
        server.idle()
        server.judged("/gate_1511891098.jpg", rules, alert=True)
        server.idle()
        assert stub.asked == []
        record = server.delivery("/gate_1511891098.jpg")
        assert (record["state"], record["reason"]) == ("suppressed", "replayed")
        assert server.get("/v1/cameras/alerts") == []
        assert server.get("/v1/cameras/summary")["suppressed"] == 1


def test_alerts_are_listed_with_model_and_rules(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path) as (server, _):
        rules = server.judging()
        for number in range(4):
            arrive(server, f"/gate_151189109{number}.jpg", rules, seed=number)
        server.idle()
        newest = server.get("/v1/cameras/alerts", limit=2)
        assert [alert["image"][-5] for alert in newest] == ["3", "2"]
        assert newest[0] == {
            "number": newest[0]["number"], "device": "gate",
            "captured_at": "2017-11-28T17:44:53Z", "label": "person", "score": 0.93,
            "image": "/gate_1511891093.jpg", "model": "ab" * 32, "rules": rules,
            "state": "accepted", "reason": "",
            "threats": [{"label": "person", "score": 0.93, "box": [0.1, 0.1, 0.5, 0.9]}],
        }  # fmt: skip
        rest = server.get("/v1/cameras/alerts", after=newest[1]["number"])
        assert [alert["number"] for alert in rest] == [newest[0]["number"]]


@pytest.mark.parametrize("trick", ["429", "500", "slow", "close"])
def test_a_provider_in_trouble_gets_the_same_message_again(tmp_path: Path, trick: Any) -> None:
    with with_sendgrid(tmp_path) as (server, stub):
        rules = server.judging()
        stub.tricks.append(trick)
        arrive(server, "/gate_1511891098.jpg", rules)
        server.idle()
        record = server.delivery("/gate_1511891098.jpg")
        assert (record["state"], record["tries"]) == ("accepted", 2)
        assert {d["headers"]["Message-ID"] for d in stub.asked} == {record["message_id"]}
        if trick == "429":
            assert stub.times[1] - stub.times[0] >= 1.0, "Retry-After is honoured"


def test_what_cannot_be_delivered_is_a_dead_letter_that_is_shown(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path) as (server, stub):
        rules = server.judging()
        stub.tricks.extend(["400"])
        arrive(server, "/gate_1511891091.jpg", rules, seed=1)
        server.idle()
        stub.tricks.extend(["500"] * 4)
        arrive(server, "/gate_1511891092.jpg", rules, seed=2)
        server.idle()
        dead = server.get("/v1/cameras/deliveries")
        assert [(record["state"], record["tries"]) for record in dead] == [
            ("failed", 1), ("failed", 4)
        ]  # fmt: skip
        assert "bad address" in dead[0]["error"]
        assert "given up after 4 tries" in dead[1]["error"]
        assert server.get("/v1/cameras/summary")["alerted"] == 2


def test_the_key_of_a_pipelines_spec_is_used(tmp_path: Path) -> None:
    with sendgrid() as stub:
        settings = {"sendgrid": {"host": stub.address}, "retries": FAST}
        with cameras(tmp_path, **settings) as server:
            server.http.put("/v1/secrets/pipeline-x", json={"values": {"SGKEY": "from-spec"}})
            arrive(server, "/gate_1511891098.jpg", server.judging())
            server.idle()
        assert stub.keys == ["Bearer from-spec"]


class _Inbox:
    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.answers: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        parsed = email.message_from_bytes(content, policy=default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append((list(envelope.rcpt_tos), parsed))
        return "250 taken"


def test_a_mail_server_gets_the_picture_with_its_boxes(tmp_path: Path) -> None:
    inbox = _Inbox()
    inbox.answers = ["451 later"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        smtp = {"host": "127.0.0.1", "port": port}
        with cameras(tmp_path, smtp=smtp, retries={**FAST, "timeout": 10.0}) as server:
            rules = server.judging({**RULE, "to_email": ["a@example.org", "b@example.org"]})
            server.http.put("/v1/cameras/devices/gate", json={"time_zone": "Europe/Berlin"})
            arrive(server, "/gate_1511891098.jpg", rules)
            server.idle()
            assert server.delivery("/gate_1511891098.jpg")["tries"] == 2
    finally:
        controller.stop()
    ((recipients, mail),) = inbox.mails
    assert recipients == ["a@example.org", "b@example.org"]
    assert mail["subject"] == "person at gate, 2017-11-28 18:44:58 CET"
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == [
        "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/jpeg"
    ]  # fmt: skip


def test_without_a_channel_messages_are_files(tmp_path: Path) -> None:
    with cameras(tmp_path) as server:
        arrive(server, "/gate_1511891098.jpg", server.judging())
        server.idle()
        (file,) = (tmp_path / "outbox").iterdir()
        assert file.suffix == ".eml"
        mail = email.message_from_bytes(file.read_bytes(), policy=default)
        assert isinstance(mail, EmailMessage)
        text = mail.get_body(("plain",))
        assert text is not None
        assert f"{server.address}/alerts/gate_1511891098.jpg" in text.get_content()
        (shown,) = [part for part in mail.walk() if part.get_content_type() == "image/jpeg"]
        pixels = shown.get_content()
        assert look(pixels) == Kind("jpg", 64, 48)
        assert server.delivery("/gate_1511891098.jpg")["message_id"].encode() in file.read_bytes()


def test_without_a_recipient_an_alert_is_recorded(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path) as (server, stub):
        arrive(server, "/gate_1511891098.jpg", server.judging({**RULE, "to_email": ""}))
        server.idle()
        assert server.delivery("/gate_1511891098.jpg")["state"] == "recorded"
        assert server.get("/v1/cameras/summary")["alerted"] == 1
        assert stub.asked == []


def test_rules_of_a_device_say_whom_to_tell(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path) as (server, stub):
        server.judging()
        rules = server.put("rules", "/devices/gate.json", b'{"to_email": "guard@example.org"}')
        arrive(server, "/gate_1511891098.jpg", rules)
        server.idle()
        assert stub.accepted[0]["personalizations"][0]["to"] == [{"email": "guard@example.org"}]


def test_verdicts_long_after_receipt_are_told_in_one_summary(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path, max_age=0, late_gather=0.5) as (server, stub):
        rules = server.judging()
        for number in range(5):
            arrive(server, f"/gate_151189109{number}.jpg", rules, seed=number)
        server.idle()
        assert len(stub.accepted) == 1
        assert stub.accepted[0]["subject"] == (
            "5 alerts from 2017-11-28 17:44:50 UTC to 2017-11-28 17:44:54 UTC were decided late"
        )
        assert server.get("/v1/cameras/summary")["alerted"] == 5
        assert server.delivery("/gate_1511891090.jpg")["state"] == "late"


def test_a_picture_put_without_arrival_is_as_old_as_its_commit(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path) as (server, stub):
        rules = server.judging()
        server.put("images", "/gate_1511891098.jpg", picture())
        server.judged("/gate_1511891098.jpg", rules)
        server.idle()
        assert len(stub.accepted) == 1
        received = datetime.fromisoformat(server.delivery("/gate_1511891098.jpg")["received_at"])
        assert abs(datetime.now(UTC) - received) < timedelta(minutes=10)


def test_a_picture_that_could_not_be_looked_at_is_told(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path) as (server, stub):
        server.judging()
        server.send("-", picture(), filename="gate_1511891098.jpg")
        server.put("judge", "/gate/1511891098.json", b'{"image": "/gate_1511891098.jpg"}')
        server.idle()
        (document,) = stub.accepted
        assert document["subject"] == "could not look at a picture of gate"
        assert "has no decision" in document["content"][0]["value"]
        assert server.get("/v1/cameras/summary")["failed"] == 1
        server.idle()
        assert len(stub.asked) == 1, "a failure is told once"
        decided = server.get("/v1/cameras/decisions/gate_1511891098.jpg")
        assert decided["outcome"] == "failed"
        assert "has no decision" in decided["reason"]


def test_many_failures_at_once_are_one_message(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path, late_gather=0.5) as (server, stub):
        server.judging()
        opened = server.http.post("/v1/repos/judge/commits", json={"branch": "master"})
        assert opened.status_code == 200
        for number in range(30):
            server.put("judge", f"/gate/15118910{number:02d}.json", b"{}")
        server.http.post("/v1/repos/judge/commits/master/finish")
        server.idle()
        told = [document["subject"] for document in stub.accepted]
        assert sum("could not be looked at" in subject for subject in told) >= 1
        assert len(told) < 12


def test_a_restart_forgets_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    with sendgrid() as stub:
        settings = {"sendgrid": {"host": stub.address, "key": "k"}, "retries": FAST}
        with cameras(tmp_path, **settings) as server:
            rules = server.judging()
            arrive(server, "/gate_1511891091.jpg", rules)
            server.idle()
            fence = json.loads(server.file("deliveries", "/.writer.json"))["fence"]
        with cameras(tmp_path, **settings) as server:
            server.idle()
            arrive(server, "/gate_1511891092.jpg", rules, seed=2)
            server.idle()
            assert [a["image"] for a in server.get("/v1/cameras/alerts")] == [
                "/gate_1511891092.jpg", "/gate_1511891091.jpg"
            ]  # fmt: skip
            assert server.get("/v1/cameras/summary")["alerted"] == 2
            assert json.loads(server.file("deliveries", "/.writer.json"))["fence"] == fence + 1
        assert len(stub.asked) == 2


def test_an_outage_of_the_alerting_ends_with_its_alerts(tmp_path: Path) -> None:
    with sendgrid() as stub:
        settings = {"sendgrid": {"host": stub.address, "key": "k"}, "retries": FAST}
        with cameras(tmp_path, **settings, channel="none") as server:
            rules = server.judging()
            arrive(server, "/gate_1511891091.jpg", rules)
            server.idle()
        # Nobody was to be told then; what is judged from now on is told.
        stub.tricks.extend(["500"] * 3)
        with cameras(tmp_path, **settings) as server:
            arrive(server, "/gate_1511891092.jpg", rules, seed=2)
            until(lambda: len(stub.asked) >= 1)
        with cameras(tmp_path, **settings) as server:
            server.idle()
            assert server.delivery("/gate_1511891092.jpg")["state"] == "accepted"
        assert len(stub.ids()) == 1


def test_one_who_was_taken_over_can_write_nothing_more(tmp_path: Path) -> None:
    with cameras(tmp_path) as server:
        server.repo("deliveries")

        async def story() -> None:
            clock = SystemClock()
            async with Client(HttpTransport(server.address)) as client:
                first, second = Ledger(client, clock, "first"), Ledger(client, clock, "second")
                # The server's own service writes the ledger too: both take over from it.
                await first.take_over()
                await first.write([record("/a_1.jpg", 1)])
                await second.take_over()
                assert second.open.keys() == {"/a_1.jpg.json"}
                with pytest.raises(FencedError, match="second"):
                    await first.write([record("/a_2.jpg", 2)])
                await second.write([record("/a_3.jpg", 3)])
                assert second.fence > first.fence

        until(lambda: "/.writer.json" in server.names("deliveries"))
        asyncio.run(story())
        assert "/a_2.jpg.json" not in server.names("deliveries")


def record(image: str, number: int) -> Record:
    moment = datetime.now(UTC) + timedelta(days=1)
    return Record(
        key=image, number=number, state="queued", decided_at=moment, next_try=moment,
        recipients=("op@example.org",), message_id=f"<{number}@x>",
    )  # fmt: skip


def test_the_originals_results_are_understood_without_a_decision(
    tmp_path: Path,
) -> None:
    folder = Path(__file__).parent / "original_specs"
    with with_sendgrid(tmp_path) as (server, stub):
        server.repo("images", "object-detect", "rules")
        rules = server.put("rules", "/rule.json", json.dumps(RULE).encode())
        server.pipeline(json.loads((folder / "threat-detect.json").read_text()))
        server.put("images", "/dev1_1511891098.png", picture(1, "PNG"))
        bare = {"objects": [{"score": "0.51", "class": 17}, {"score": "0.93", "class": 1}]}
        server.put("object-detect", "/dev1/1511891098.json", json.dumps(bare).encode())
        server.idle()
        (alert,) = server.get("/v1/cameras/alerts")
        assert (alert["image"], alert["label"], alert["score"]) == (
            "/dev1_1511891098.png", "person", 0.93
        )  # fmt: skip
        assert alert["rules"] == rules
        assert len(stub.accepted) == 1


def test_two_pictures_of_one_second_each_have_their_verdict(tmp_path: Path) -> None:
    with with_sendgrid(tmp_path) as (server, stub):
        rules = server.judging()
        server.put("images", "/gate_1511891098.jpg", picture())
        server.put("judge", "/gate/1511891098.json", verdict("/gate_1511891098.jpg", rules))
        server.idle()
        server.put("images", "/gate_1511891098.png", picture(1, "PNG"))
        server.put("judge", "/gate/1511891098.json", verdict("/gate_1511891098.png", rules))
        server.idle()
        assert len(stub.accepted) == 2
        summary = server.get("/v1/cameras/summary")
        assert (summary["received"], summary["alerted"]) == (2, 2)
