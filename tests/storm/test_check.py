"""The checks of a storm find what they are there to find."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import structs
from tests.program import Server, serving
from tests.storm.api import Api
from tests.storm.check import doubled, faults, unsound, untold, wrong_counts, wrong_jobs
from tests.storm.memory import Accepted, Noted, Sent, Squashed, Upset

from vedette.model.ids import object_id

LINK = {
    "pipeline": {"name": "kept"},
    "transform": {"cmd": ["python", "-m", "vedette.stage", "vedette.testing.stages:link"]},
    "input": {"pfs": {"repo": "in", "glob": "/*"}},
}


def hexed(content: bytes) -> str:
    return object_id(content).hex()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "data") as running:
        running("create-repo", "in")
        running("create-pipeline", "-f", "-", stdin=json.dumps(LINK).encode())
        yield running


def test_nothing_is_wrong_until_what_was_noted_differs(server: Server) -> None:
    """P7 and C1: lost files, other bytes and changed commits are seen; a sound server is sound."""
    first = server.put("in", "/a", b"one")
    second = server.put("in", "/a", b"two")
    server.idle()
    api = Api(server.address)
    both = [f"{repo}@{commit}" for repo in ("in", "kept") for commit in (first, second)]
    noted = Noted(
        accepted=[
            Accepted(repo="in", path="/a", object=hexed(b"one"), commit=first),
            Accepted(repo="in", path="/a", object=hexed(b"two"), commit=second),
        ],
        commits={name: api.digest(*name.split("@")) for name in both},
    )
    assert list(faults(api, noted)) == []

    noted.accepted.append(Accepted(repo="in", path="/b", object=hexed(b"three"), commit=second))
    noted.accepted.append(Accepted(repo="in", path="/a", object=hexed(b"old"), commit=first))
    noted.commits[f"kept@{first}"] = noted.commits[f"kept@{second}"]
    found = list(faults(api, noted))
    api.close()
    assert sorted(found) == sorted([
        f"in@{second}:/b was accepted and is not there",
        f"in@{first}:/a has other bytes than were accepted",
        f"in:/b is nothing at the head, and {hexed(b'three')} was accepted last",
        f"in:/a is {hexed(b'two')} at the head, and {hexed(b'old')} was accepted last",
        f"kept@{first} was finished, and holds other files now",
    ])  # fmt: skip


def test_what_was_squashed_or_deleted_for_good_may_be_gone_and_nothing_else(
    server: Server,
) -> None:
    """K1 and K2: what is gone without a reason is seen, and what is there against one."""
    first = server.put("in", "/a", b"one" * 10_000)
    second = server.put("in", "/a", b"two")
    third = server.put("in", "/b", b"three")
    server.idle()
    api = Api(server.address)
    accepted = [
        Accepted(repo="in", path="/a", object=hexed(b"one" * 10_000), commit=first),
        Accepted(repo="in", path="/a", object=hexed(b"two"), commit=second),
        Accepted(repo="in", path="/b", object=hexed(b"three"), commit=third),
    ]
    commits = {f"in@{commit}": api.digest("in", commit) for commit in (first, second)}
    noted = Noted(accepted=accepted, commits=commits, once=["in"])
    assert list(faults(api, noted)) == []
    squashed, entombed = Squashed(commit=second), Accepted(repo="in", path="/a", kind="entombed")
    both = structs.replace(noted, accepted=[*accepted, entombed], squashed=[squashed])
    found = list(faults(api, both))
    assert found == [
        f"in@{first}:/a was deleted for good and has its bytes",
        f"in@{second} was squashed and is there",
        f"kept@{second} was squashed and is there",
    ]

    server("squash-commit", second)
    server("delete-file", "in@master:/a", "--for-good", "--reason", "asked to")
    assert list(faults(api, both)) == []
    found = list(faults(api, noted))
    assert [line.partition(": {")[0] for line in found] == [
        f"in@{first}:/a was accepted and its bytes are gone",
        f"in@{second}:/a was accepted and is not there",
        f"in@{second} was answered, and is not there",
        f"in@{second} was finished, and holds other files now",
    ]

    short = structs.replace(both, accepted=both.accepted[:2], limits={"in": 4}, retained={"in": 1})
    found = list(faults(api, short))
    assert f"in@{third} is a commit that no call was answered with" in found
    assert "in holds 5 bytes, and may hold 4" in found
    api.close()


class Ledger(Api):
    """An installation with one threat and deliveries as a test wants them."""

    def __init__(self, records: dict[str, dict[str, Any]], threats: dict[str, str]) -> None:
        self._records, self._threats = records, threats

    def listing(self, repo: str, ref: str = "master") -> dict[str, str]:
        return dict.fromkeys(self._records, "") if repo == "deliveries" else self._threats

    def json(self, repo: str, path: str) -> Any:
        return self._records[path] if repo == "deliveries" else {"image": path}


def delivery(**more: Any) -> dict[str, Any]:
    return {"key": "/i", "state": "accepted", "message_id": "m", **more}


@pytest.mark.parametrize(
    ("records", "sent", "said"),
    [
        ({"/i": delivery()}, ["m"], []),
        ({}, [], ["/i is a threat that the ledger does not know"]),
        ({"/i": delivery(state="queued")}, [], ["delivery /i is queued: "]),
        ({"/i": delivery()}, ["x"],
         ["delivery /i is accepted, and the provider never took it",
          "the provider took x, which no delivery is about"]),
        ({"/i": delivery(), "/j": delivery()}, ["m"], ["2 deliveries share the Message-ID m"]),
    ],
)  # fmt: skip
def test_threats_that_were_not_told_or_told_otherwise_are_seen(
    records: dict[str, dict[str, Any]], sent: list[str], said: list[str]
) -> None:
    """CAMERAS 6: what is accepted was taken, under a Message-ID of its own."""
    noted = Noted(sent=[Sent(id=name, asked=1.0, taken=2.0) for name in sent])
    assert list(untold(Ledger(records, {"/i": ""}), noted)) == said


class Counted(Api):
    """An installation that counts as a test wants it to."""

    def __init__(self, **counts: int) -> None:
        self._counts = counts

    def ask(self, path: str, **query: str) -> httpx2.Response:
        parts = ("invalid", "clean", "suppressed", "alerted", "failed", "in_flight")
        return httpx2.Response(200, json={**dict.fromkeys(parts, 0), **self._counts})

    def listing(self, repo: str, ref: str = "master") -> dict[str, str]:
        return {"/a": "", "/b": ""}


def test_counts_that_do_not_add_up_are_seen() -> None:
    assert list(wrong_counts(Counted(received=2, clean=1, alerted=1))) == []
    assert len(list(wrong_counts(Counted(received=2, clean=1)))) == 1
    assert len(list(wrong_counts(Counted(received=2, clean=1, in_flight=1)))) == 1
    assert len(list(wrong_counts(Counted(received=3, clean=3)))) == 1


def test_what_fsck_finds_is_a_fault_unless_it_can_be_swept(server: Server) -> None:
    """P11: bytes that are damaged are seen though nothing else is wrong."""
    server.put("in", "/a", b"a" * 1_500_000)
    server.idle()
    api = Api(server.address)
    assert list(unsound(api)) == []
    (file,) = server.data.glob("objects/??/*")
    file.write_bytes(b"x" * 1_500_000)
    assert [line.partition(",")[0] for line in unsound(api)] == ["fsck: {'kind': 'damaged'"]
    api.close()


class Told(Api):
    """An installation that says what a test wants it to."""

    def __init__(self, jobs: list[dict[str, Any]], commits: dict[str, list[str]]) -> None:
        self._jobs, self._commits = jobs, commits

    def jobs(self) -> list[dict[str, Any]]:
        return self._jobs

    def commits(self, repo: str, enough: int = 0) -> Iterator[dict[str, Any]]:
        for number, id in enumerate(self._commits[repo]):
            yield {"id": id, "state": "finished", "finished": f"2026-01-0{number + 2}"}

    def get(self, path: str, **query: str) -> Any:
        leaf = {"repo": "in", "glob": "/*"}
        return [{"name": "kept", "created": "2026-01-01", "spec": {"input": {"pfs": leaf}}}]


def job(commit: str, **more: Any) -> dict[str, Any]:
    counts = {"processed": 1, "skipped": 0, "failed": 0, "recovered": 0, "total": 1}
    named = {"id": f"j-{commit}", "pipeline": "kept", "commit": commit, "state": "SUCCESS"}
    return {**counts, **named, "inputs": [], **more}


@pytest.mark.parametrize(
    ("jobs", "outputs", "said"),
    [
        ([job("a"), job("b")], ["a", "b"], []),
        ([job("a")], ["a"], ["kept has no job for in@b"]),
        ([job("a"), job("b"), job("b")], ["a", "b"], ["kept has 2 jobs for commit b"]),
        ([job("a"), job("b")], ["a"], ["kept has a job for b, and its output commit is missing"]),
        ([job("a"), job("b")], ["a", "b", "c"], ["kept@c is an output without a job"]),
        ([job("a"), job("b", total=2)], ["a", "b"],
         ["job j-b of kept has 2 datums, and 1 are accounted for"]),
        ([job("a"), job("b", state="RUNNING")], ["a", "b"], ["job j-b of kept is RUNNING: "]),
    ],
)  # fmt: skip
def test_lost_doubled_and_unfinished_jobs_are_seen(
    jobs: list[dict[str, Any]], outputs: list[str], said: list[str]
) -> None:
    """T2 and R9: in reverse, what a lost, doubled or half-done job would look like."""
    assert list(wrong_jobs(Told(jobs, {"in": ["a", "b"], "kept": outputs}), Noted())) == said


def test_a_message_that_came_twice_needs_a_death_between_and_one_death_has_few() -> None:
    """CAMERAS 6: the one window in which a double may come to be."""
    yes, again = Sent(id="m", asked=1.0, taken=2.0), Sent(id="m", asked=8.0, taken=9.0)
    assert [line[:17] for line in doubled(Noted(sent=[yes, again]))] == ["m was sent again,"]
    outside = [Upset(at=0.5, what="killed"), Upset(at=9.5, what="killed")]
    assert len(list(doubled(Noted(sent=[yes, again], upsets=outside)))) == 1
    within = [Upset(at=5.0, what="killed")]
    assert list(doubled(Noted(sent=[yes, again], upsets=within))) == []
    unheard = Sent(id="m", asked=1.0, taken=2.0, unheard=True)
    assert list(doubled(Noted(sent=[unheard, again]))) == []
    many = [Sent(id=str(n), asked=a, taken=a + 1) for n in range(3) for a in (1.0, 8.0)]
    assert len(list(doubled(Noted(sent=many, upsets=within, senders=3)))) == 0
    assert len(list(doubled(Noted(sent=many, upsets=within, senders=2)))) == 1
