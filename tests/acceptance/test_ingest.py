"""Pictures come in by HTTP and from folders, each once, none over another (CAMERAS 2)."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from tests.cameras import Cameras, cameras, picture, until

from vedette.model.errors import Conflict, Unavailable
from vedette_cameras.commands import cameras as command
from vedette_cameras.ingest.brands import NameReader
from vedette_cameras.ingest.folder import FolderWatch, Found
from vedette_cameras.ingest.multipart import split
from vedette_cameras.settings import Watch

AT = "2017-11-28T17:44:58Z"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cameras]:
    """One server for all tests of this file; each has devices of its own."""
    with cameras(tmp_path_factory.mktemp("ingest"), max_bytes=200_000) as found:
        found.repo("images", "arrivals", "devices")
        yield found


def test_a_picture_is_committed_under_its_name_with_a_record_of_its_arrival(
    server: Cameras,
) -> None:
    answer = server.send("gate", picture(1), filename="gate_1511891098.jpg")
    assert answer.status_code == 201
    receipt = answer.json()
    assert receipt["path"] == "/gate_1511891098.jpg"
    assert receipt["duplicate"] is False
    assert server.file("images", receipt["path"]) == picture(1)
    record = json.loads(server.file("arrivals", "/gate_1511891098.jpg.json"))
    assert record["device"] == "gate"
    assert record["captured_at"] == "2017-11-28T17:44:58Z"
    assert record["captured_at_source"] == "name"
    assert (record["width"], record["height"]) == (64, 48)
    assert record["bytes"] == len(picture(1))
    commits = server.get(f"/v1/commits/{receipt['commit']}")
    assert {"images", "arrivals", "devices"} <= {commit["repo"] for commit in commits}
    assert json.loads(server.file("devices", "/gate.json"))["name"] == "gate"


def test_the_same_picture_again_is_a_duplicate_and_commits_nothing(server: Cameras) -> None:
    first = server.send("again", picture(2), captured_at=AT).json()
    before = len(server.get("/v1/repos/images/commits"))
    second = server.send("again", picture(2), captured_at=AT).json()
    assert (second["duplicate"], second["path"]) == (True, first["path"])
    assert second["commit"] == first["commit"]
    assert len(server.get("/v1/repos/images/commits")) == before


def test_the_same_picture_twice_at_once_is_one(server: Cameras) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: server.send("twice", picture(3), captured_at=AT).json(), range(8))
        )
    assert [answer["duplicate"] for answer in answers].count(False) == 1
    assert {answer["path"] for answer in answers} == {"/twice_1511891098.jpg"}
    assert {answer["commit"] for answer in answers} == {answers[0]["commit"]}


def test_pictures_that_share_a_second_get_milliseconds_and_overwrite_nothing(
    server: Cameras,
) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda n: server.send("burst", picture(n), captured_at=AT).json(), range(6))
        )
    paths = {answer["path"] for answer in answers}
    assert len(paths) == 6
    assert "/burst_1511891098.jpg" in paths
    assert all(len(path) == len("/burst_1511891098000.jpg") for path in paths if path[17] != ".")
    for number, answer in enumerate(answers):
        assert server.file("images", answer["path"]) == picture(number)
    again = server.send("burst", picture(4), captured_at=AT).json()
    assert again["duplicate"] is True
    assert again["path"] == answers[4]["path"]


def test_kinds_that_share_a_second_do_not_meet_in_one_result(server: Cameras) -> None:
    jpeg = server.send("kinds", picture(1), captured_at=AT).json()["path"]
    png = server.send("kinds", picture(1, "PNG"), captured_at=AT).json()["path"]
    assert jpeg == "/kinds_1511891098.jpg"
    assert png == "/kinds_1511891098000.png"
    later = server.send("kinds", picture(2), captured_at="1511891098000").json()["path"]
    assert later == "/kinds_1511891098001.jpg"


def test_the_extension_is_that_of_the_actual_kind(server: Cameras) -> None:
    found = server.send("actual", picture(1, "PNG"), filename="actual_1511891098.jpg").json()
    assert found["path"] == "/actual_1511891098.png"


def test_names_that_tell_nothing_are_kept_for_validate_to_refuse(server: Cameras) -> None:
    paths = [
        server.send("-", data, filename="blah.jpg").json()["path"]
        for data in (picture(1), picture(2), picture(1))
    ]
    assert paths == ["/blah.jpg", "/blah-2.jpg", "/blah.jpg"]
    record = json.loads(server.file("arrivals", "/blah.jpg.json"))
    assert (record["device"], record["captured_at"]) == (None, None)
    underscore = server.send("-", picture(5), filename="front_door_1511891098.jpg").json()
    assert underscore["path"] == "/front_door_1511891098.jpg"


def test_without_any_name_the_time_of_arrival_counts(server: Cameras) -> None:
    found = server.send("nameless", picture(1)).json()["path"]
    assert len(found.removeprefix("/nameless_").removesuffix(".jpg")) == 13
    record = json.loads(server.file("arrivals", f"{found}.json"))
    assert record["captured_at_source"] == "arrival"
    assert server.send("nameless", picture(2), filename="snapshot.jpg").json()["path"] != found


def test_many_parts_are_one_commit(server: Cameras) -> None:
    files = [
        ("pictures", (f"many_151189109{n}.jpg", picture(n), "image/jpeg")) for n in range(5)
    ] + [("pictures", ("many_1511891090.jpg", picture(0), "image/jpeg"))]
    answer = server.http.post("/v1/devices/many/images", files=files)
    assert answer.status_code == 201
    receipts = answer.json()["pictures"]
    assert [receipt["duplicate"] for receipt in receipts] == [False] * 5 + [True]
    assert len({receipt["commit"] for receipt in receipts}) == 1


def test_a_device_with_an_underscore_is_refused_in_one_line(server: Cameras) -> None:
    answer = server.send("front_door", picture())
    assert answer.status_code == 400
    assert "'front-door'" in answer.json()["detail"]


def test_more_bytes_than_the_limit_are_refused_at_the_door(server: Cameras) -> None:
    answer = server.send("large", b"\xff\xd8" + bytes(200_000), captured_at=AT)
    assert answer.status_code == 413
    assert "200,000" in answer.json()["detail"]
    assert not [name for name in server.names("images") if name.startswith("/large")]


def test_what_is_no_picture_is_received_and_left_to_validate(server: Cameras) -> None:
    for number, data in enumerate((b"", b"text", picture()[:300])):
        path = f"/odd_151189109{number}.jpg"
        assert server.send("odd", data, filename=path[1:]).json()["path"] == path


@pytest.mark.parametrize(
    ("query", "say"),
    [({"captured_at": "yesterday"}, "2017-11-28T17:44:58Z"), ({"captured_at": "12"}, "10 digits")],
)
def test_a_time_that_is_none_is_refused(server: Cameras, query: dict[str, str], say: str) -> None:
    answer = server.send("times", picture(), **query)
    assert answer.status_code == 400
    assert say in answer.json()["detail"]


def test_names_without_offset_are_the_devices_local_time(server: Cameras) -> None:
    made = server.http.put("/v1/cameras/devices/tz", json={"time_zone": "Europe/Berlin"})
    assert made.json()["time_zone"] == "Europe/Berlin"
    name = "K3TA_00_20240715120000.jpg"
    assert server.send("tz", picture(), filename=name).json()["captured_at"] == (
        "2024-07-15T10:00:00Z"
    )
    refused = server.http.put("/v1/cameras/devices/tz", json={"time_zone": "Mars/Base"})
    assert refused.status_code == 400


def test_a_disabled_device_is_refused(server: Cameras) -> None:
    server.http.put("/v1/cameras/devices/off", json={"state": "disabled"})
    answer = server.send("off", picture())
    assert answer.status_code == 403
    assert "disabled" in answer.json()["detail"]
    server.http.put("/v1/cameras/devices/off", json={"state": "enabled"})
    assert server.send("off", picture()).status_code == 201


def test_off_loopback_an_unknown_device_is_refused_and_a_known_one_needs_its_token(
    server: Cameras,
) -> None:
    # A token of scope device is held to what it may do from anywhere.
    token = server.http.post("/v1/tokens", json={"scope": "device:remote"}).json()["token"]
    headers = {"authorization": f"Bearer {token}"}
    path = "/v1/devices/remote/images"
    assert server.http.post(path, content=picture(), headers=headers).status_code == 403
    server.http.put("/v1/cameras/devices/remote", json={})
    assert server.http.post(path, content=picture(), headers=headers).status_code == 201
    other = server.http.post("/v1/devices/gate/images", content=picture(), headers=headers)
    assert other.status_code == 403


def test_a_fresh_server_says_what_to_run(tmp_path: Path) -> None:
    with cameras(tmp_path) as fresh:
        answer = fresh.send("gate", picture())
        assert answer.status_code == 404
        assert "vedette cameras init" in answer.json()["detail"]
        fresh.repo("images")
        assert fresh.send("gate", picture()).status_code == 201, "the others are made when needed"


@pytest.mark.parametrize(
    "body", [b"", b"--x\r\n\r\nno end", b"--x\r\nno blank\r\n--x--", b"nothing at all"]
)
def test_a_body_of_parts_that_is_cut_off_is_refused(server: Cameras, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = server.http.post("/v1/devices/gate/images", content=body, headers=headers)
    assert answer.status_code == 400


def test_parts_keep_every_byte_of_theirs() -> None:
    data = bytes(range(256)) + b"\r\n--not\r\n"
    body = (
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\n'
        + data
        + b"\r\n--b--\r\n"
    )
    assert [part.data for part in split(body, b"b", 10)] == [data]


def watching(folder: Path, taken: list[Found], **more: Any) -> FolderWatch:
    async def take(found: Found) -> None:
        taken.append(found)

    return FolderWatch(Watch(folder=str(folder), **more), take, NameReader(), 100_000)


def test_a_folder_gives_closed_files_and_leaves_those_being_written(tmp_path: Path) -> None:
    taken: list[Found] = []

    async def story() -> None:
        watch = watching(tmp_path, taken)
        running = asyncio.create_task(watch.run())
        try:
            (tmp_path / "dev1_1511891098.jpg").write_bytes(picture())
            (tmp_path / "dev1_1511891099.jpg.part").write_bytes(picture())
            with (tmp_path / "dev1_1511891100.jpg").open("wb") as half:
                half.write(b"first")
                half.flush()
                await asyncio.sleep(1.2)
                assert [f.name for f in taken] == ["dev1_1511891098.jpg"]
                assert await watch.pending() == 1
                half.write(b"second")
            (tmp_path / "dev1_1511891099.jpg.part").rename(tmp_path / "dev1_1511891099.jpg")
            while len(taken) < 3:
                await asyncio.sleep(0.02)
            assert await watch.pending() == 0
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())
    assert {f.name for f in taken} == {f"dev1_15118910{n}.jpg" for n in ("98", "99")} | {
        "dev1_1511891100.jpg"
    }


def test_a_sub_folder_is_the_device_where_the_name_does_not_tell(tmp_path: Path) -> None:
    (tmp_path / "porch").mkdir()
    (tmp_path / "front_door").mkdir()
    for name in ("porch/a.jpg", "porch/dev1_1511891098.jpg", "front_door/b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(picture())
    taken: list[Found] = []
    asyncio.run(watching(tmp_path, taken).once())
    assert {f.name: f.device for f in taken} == {
        "porch/a.jpg": "porch",
        "porch/dev1_1511891098.jpg": "",
        "front_door/b.jpg": "",
        "c.jpg": "",
    }


def test_a_file_that_cannot_be_taken_blocks_no_other(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"dev1_151189109{number}.jpg").write_bytes(picture(number))
    (tmp_path / "large_1511891098.jpg").write_bytes(bytes(200_000))
    (tmp_path / "link.jpg").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe.jpg")
    tries: list[str] = []
    taken: list[str] = []

    async def take(found: Found) -> None:
        tries.append(found.name)
        if found.name.endswith("0.jpg"):
            raise Conflict("never this one")
        if found.name.endswith("1.jpg") and tries.count(found.name) == 1:
            raise Unavailable("not now")
        taken.append(found.name)

    watch = FolderWatch(Watch(folder=str(tmp_path)), take, NameReader(), 100_000)
    asyncio.run(watch.once())
    assert sorted(taken) == [f"dev1_151189109{n}.jpg" for n in (1, 2, 3)]
    assert tries.count("dev1_1511891091.jpg") == 2


def test_the_watch_command_sends_a_folder_and_a_server_watches_one(tmp_path: Path) -> None:
    folder, other = tmp_path / "in", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    watch = [{"folder": str(folder), "after": "delete"}]
    with cameras(tmp_path / "data", watch=watch) as server:
        server.repo("images", "arrivals", "devices")
        for number in range(3):
            (folder / f"dev1_151189109{number}.jpg").write_bytes(picture(number))
        until(lambda: len(server.names("images")) == 3)
        until(lambda: not list(folder.iterdir()))
        (other / "dev2_1511891098.jpg").write_bytes(picture(9))
        (other / "blah.jpg").write_bytes(picture(8))
        env = {"VEDETTE_ADDRESS": server.address, "VEDETTE_TOKEN": ""}
        done = CliRunner().invoke(command, ["watch", str(other), "--once"], env=env)
        assert done.exit_code == 0, done.output
        assert "2 pictures taken" in done.output
        assert {"/dev2_1511891098.jpg", "/blah.jpg"} <= set(server.names("images"))
        record = json.loads(server.file("arrivals", "/dev1_1511891090.jpg.json"))
        assert record["source"] == "folder"


def test_no_answer_means_that_nothing_was_lost(server: Cameras) -> None:
    """One request after another over one connection: every answer names a durable commit."""
    with httpx2.Client(base_url=server.address) as http:
        for number in range(20):
            path = f"/seq_15118911{number:02d}.jpg"
            answer = http.post(
                "/v1/devices/seq/images",
                params={"filename": path[1:]},
                content=picture(number),
            )
            assert server.file("images", answer.json()["path"]) == picture(number)
