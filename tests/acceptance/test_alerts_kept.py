"""Threats are told whatever was squashed or deleted for good meanwhile (CAMERAS 6, ENGINE K1)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cameras import RULE, Cameras, cameras, picture

from vedette.client.application import Application
from vedette.wiring import running_server
from vedette_cameras.runtimes import known_images

IMAGE = "/gate_1511891098.jpg"
VERDICT = "/gate/1511891098.json"


def squash(server: Cameras, commit: str) -> None:
    answer = server.http.delete(f"/v1/commits/{commit}")
    assert answer.status_code == 204, answer.text


def delete_for_good(server: Cameras, repo: str, path: str) -> None:
    answer = server.http.post(f"/v1/repos/{repo}/tombstones", json={"path": path, "reason": "law"})
    assert answer.status_code == 200, answer.text


def the_pictures_commit(server: Cameras, commits: dict[str, str]) -> None:
    """When a picture without a record of its arrival came, its commit says; here none does."""
    server.put("images", "/other_1511891099.jpg", picture(2))
    squash(server, commits["images"])


def the_rules_commit(server: Cameras, commits: dict[str, str]) -> None:
    """Whom to tell is in the rules that the verdict names; here they are in later ones."""
    server.put("rules", "/users/nobody.json", b"{}")
    server.idle()
    squash(server, commits["rules"])


def the_picture(server: Cameras, commits: dict[str, str]) -> None:
    """The message then has no picture."""
    delete_for_good(server, "images", IMAGE)


def the_arrival(server: Cameras, commits: dict[str, str]) -> None:
    """How a picture arrived is told only."""
    server.put("arrivals", f"{IMAGE}.json", b"{}")
    delete_for_good(server, "arrivals", f"{IMAGE}.json")


def the_verdict(server: Cameras, commits: dict[str, str]) -> None:
    """The message then has no labels; who is to be told is in the rules of its job."""
    delete_for_good(server, "threat-detect", VERDICT)


@pytest.mark.parametrize(
    "lose", [the_pictures_commit, the_rules_commit, the_picture, the_arrival, the_verdict]
)
def test_a_threat_is_told_though_some_of_what_it_was_found_by_has_gone(
    tmp_path: Path, lose: Callable[[Cameras, dict[str, str]], None]
) -> None:
    """The alert service begins when it has gone, as after a crash."""
    data = tmp_path / "data"
    without = Application(name="cameras", runtimes=known_images)
    with running_server(data, apps=[without]) as address:
        server = Cameras(address)
        rules = server.judging()
        commits = {"images": server.put("images", IMAGE, picture(1)), "rules": rules}
        server.judged(IMAGE, rules)
        server.idle()
        lose(server, commits)
        server.idle()
        server.http.close()
    with cameras(data) as server:
        server.idle()
        told = server.delivery(IMAGE)
        assert (told["state"], told["recipients"]) == ("accepted", [RULE["to_email"]])


def test_a_delivery_that_was_deleted_for_good_is_not_made_again(tmp_path: Path) -> None:
    with cameras(tmp_path / "data") as server:
        rules = server.judging()
        server.put("images", IMAGE, picture(1))
        server.judged(IMAGE, rules)
        server.idle()
        assert server.delivery(IMAGE)["state"] == "accepted"
        delete_for_good(server, "deliveries", f"{IMAGE}.json")
        server.judged(IMAGE, rules, label="car")
        other = "/gate_1511891155.jpg"
        server.judged(other, rules)
        server.idle()
        assert server.delivery(other)["state"] == "accepted"
        gone = server.http.get(f"/v1/repos/deliveries/commits/master/files{IMAGE}.json")
        assert gone.status_code == 410
