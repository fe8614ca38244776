"""received = invalid + clean + suppressed + alerted + failed + in flight, at all times."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.cameras import Cameras, cameras, picture

STATES = ("invalid", "clean", "suppressed", "alerted", "failed", "in_flight")
QUIET = {"channel": "none"}


def line(server: Cameras) -> dict[str, int]:
    """The line of truth; it adds up whenever it is asked for."""
    found: dict[str, int] = server.get("/v1/cameras/summary")
    assert found["received"] == sum(found[state] for state in STATES), found
    return found


def put_all(server: Cameras, rules: str, count: int) -> None:
    """Of four pictures one is a threat, two are clean, one is refused by its name."""
    server.http.post("/v1/repos", json={"name": "validate"})

    def one(number: int) -> None:
        image = f"/gate_15118910{number:02d}.jpg"
        if number % 4 == 0:
            image = f"/bad-{number}.jpg"
        assert server.send("-", picture(number), filename=image[1:]).status_code == 201
        if number % 4 == 0:
            server.put("validate", f"/invalid{image}", b"x")
        else:
            server.put("validate", f"/valid{image}", b"x")
            server.judged(image, rules, alert=number % 4 == 1)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, range(count)))


def test_it_adds_up_while_pictures_come_in_and_nothing_is_in_flight_at_rest(
    tmp_path: Path,
) -> None:
    with cameras(tmp_path, **QUIET) as server, ThreadPoolExecutor(1) as pool:
        rules = server.judging()
        working = pool.submit(put_all, server, rules, 60)
        seen = []
        while not working.done():
            seen.append(line(server))
        working.result()
        server.idle()
        final = line(server)
        assert final == {
            "received": 60, "invalid": 15, "clean": 30, "suppressed": 0, "alerted": 15,
            "failed": 0, "in_flight": 0,
        }  # fmt: skip
        for one in seen:
            over = {state for state in STATES[:-1] if one[state] > final[state]}
            assert not over, f"a picture was counted for what it did not become: {one}"
        server.delete("images", "/gate_1511891002.jpg")
        server.delete("images", "/gate_1511891001.jpg")
        after = line(server)
        assert (after["received"], after["clean"], after["alerted"]) == (58, 29, 14)
    with cameras(tmp_path, **QUIET) as server:
        server.idle()
        assert line(server) == after, "built anew after a restart"


def test_pictures_that_nobody_looks_at_are_in_flight(tmp_path: Path) -> None:
    with cameras(tmp_path, **QUIET) as server:
        assert line(server)["received"] == 0
        server.repo("images", "arrivals", "devices")
        server.send("gate", picture(), filename="gate_1511891098.jpg")
        assert line(server)["in_flight"] == 1


def test_why_is_told_for_every_end(tmp_path: Path) -> None:
    with cameras(tmp_path, **QUIET) as server:
        rules = server.judging()
        put_all(server, rules, 4)
        server.idle()

        def told(name: str) -> dict[str, Any]:
            found: dict[str, Any] = server.get(f"/v1/cameras/decisions/{name}")
            return found

        alerted = told("gate_1511891001.jpg")
        assert alerted["outcome"] == "alerted"
        assert alerted["detection"]["decision"]["verdict"] == "alert"
        assert alerted["delivery"]["state"] == "recorded"
        assert told("gate_1511891002.jpg")["outcome"] == "clean"
        assert told("bad-0.jpg")["outcome"] == "invalid"
        missing = server.http.get("/v1/cameras/decisions/none.jpg")
        assert missing.status_code == 404
        assert "list-file images master" in missing.json()["detail"]
