"""A call whose answer was lost is sent again, and carried out once (docs/design/014)."""

from __future__ import annotations

import asyncio
import http.client
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from tests.object_proxy import Proxy, before
from tests.postgres import Postgres
from tests.program import PATIENCE, Server, run, serving
from tests.serving import asking, site, tar_of

from vedette.client import Client
from vedette.client.http import HttpTransport
from vedette.client.operations import ENDPOINTS
from vedette.metadata.store import MetadataStore
from vedette.model.errors import Unavailable
from vedette.model.files import WriteResult
from vedette.server import tokens
from vedette.server.site import Limits, Site
from vedette.versioning import idempotency
from vedette.versioning.transaction import Transaction

FILES = "/v1/repos/in/branches/master/files/"
KEY = {"idempotency-key": "k1"}
BIG = os.urandom(5 << 20)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, Limits(json=1 << 20)) as made:
        asking(made).post("/v1/repos", json={"name": "in"})
        yield made


def commits(parts: Site, repo: str = "in") -> int:
    return len(asking(parts).get(f"/v1/repos/{repo}/commits").json())


def test_a_put_with_the_same_key_is_one_commit_and_has_one_answer(parts: Site) -> None:
    api = asking(parts)
    first = api.put(f"{FILES}a", content=b"1", headers=KEY)
    again = api.put(f"{FILES}a", content=b"1", headers=KEY)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert commits(parts) == 1
    packed = api.put(f"{FILES}a", content=b"1", headers={**KEY, "accept": "application/msgpack"})
    assert msgspec.msgpack.decode(packed.content, type=WriteResult).id == first.json()["id"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [("a", {"idempotency-key": "k2"}), ("b", KEY), ("a?append=true", KEY), ("a", {})],
)
def test_another_key_or_another_operation_is_another_call(
    parts: Site, path: str, headers: dict[str, str]
) -> None:
    api = asking(parts)
    first = api.put(f"{FILES}a", content=b"1", headers=KEY).json()
    other = api.put(f"{FILES}{path}", content=b"1", headers=headers).json()
    assert first["id"] != other["id"] and commits(parts) == 2


def test_the_key_of_another_caller_is_another_key(parts: Site) -> None:
    made = [parts.rounds.submit(lambda tx: tokens.add(tx, "t", "admin")).result() for _ in "ab"]
    api = asking(parts)
    answers = [
        api.put(f"{FILES}a", content=b"1", headers={**KEY, "authorization": f"Bearer {t.token}"})
        for t in made
    ]
    assert len({answer.json()["id"] for answer in answers}) == 2


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_that_cannot_be_is_refused(parts: Site, key: str) -> None:
    answer = asking(parts).put(f"{FILES}a", content=b"1", headers={"idempotency-key": key})
    assert (answer.status_code, commits(parts)) == (400, 0)
    assert "use 1 to 200" in answer.json()["detail"]


def test_what_failed_is_not_kept(parts: Site) -> None:
    api = asking(parts)
    where = "/v1/repos/later/branches/master/files/a"
    assert api.put(where, content=b"1", headers=KEY).status_code == 404
    api.post("/v1/repos", json={"name": "later"})
    assert api.put(where, content=b"1", headers=KEY).status_code == 200
    assert commits(parts, "later") == 1


def test_every_kind_of_change_is_answered_as_before(parts: Site) -> None:
    """Also those that are refused, or find nothing, the second time."""
    api = asking(parts)
    spec = {
        "pipeline": {"name": "copy"},
        "transform": {"image": "any", "cmd": ["x"]},
        "input": {"pfs": {"repo": "in", "glob": "/*"}},
    }
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/repos", {"json": {"name": "new"}}),
        ("PUT", "/v1/repos/new/branches/other", {"json": {"head": None}}),
        ("DELETE", "/v1/repos/new/branches/other", {}),
        ("POST", "/v1/repos/in/commits", {"json": {"branch": "master"}}),
        ("POST", "/v1/repos/in/commits/master/finish", {}),
        ("POST", "/v1/pipelines", {"json": spec}),
        ("POST", "/v1/pipelines/copy/stop", {}),
        ("PUT", "/v1/secrets/s", {"json": {"values": {"A": "b"}}}),
        ("DELETE", "/v1/secrets/s", {}),
        ("DELETE", "/v1/pipelines/copy", {}),
        ("DELETE", "/v1/repos/new", {}),
    ]
    for method, path, more in calls:
        first = api.request(method, path, headers=KEY, **more)
        assert first.status_code in (200, 204), (path, first.text)
        again = api.request(method, path, headers=KEY, **more)
        assert (again.status_code, again.content) == (first.status_code, first.content), path
    assert api.delete("/v1/repos/new").status_code == 404


def test_a_token_is_never_kept(parts: Site) -> None:
    """Only hashes of tokens are in the database: what shows one is made anew."""
    api = asking(parts)
    body = {"label": "x", "scope": "admin"}
    first, again = (api.post("/v1/tokens", json=body, headers=KEY).json() for _ in "ab")
    assert first["token"] != again["token"]
    with parts.read() as rows:
        assert rows.one("once_oldest") is None


def test_a_large_answer_is_kept_without_what_makes_it_large(parts: Site) -> None:
    tar = tar_of({f"{n}": b"%d" % n for n in range(1200)})
    headers = {**KEY, "content-type": "application/x-tar"}
    api = asking(parts)
    first, again = (api.post(FILES[:-1], content=tar, headers=headers).json() for _ in "ab")
    assert len(first["objects"]) == 1200 and again["objects"] == []
    assert first["commits"] == again["commits"] and commits(parts) == 1


def test_what_shows_a_secret_or_has_keys_of_its_own_takes_none() -> None:
    without = {each.name for each in ENDPOINTS if each.method != "GET" and not each.once}
    assert without == {
        "create_token", "preview_datum", "garbage_collect", "delete_for_good", "join", "leave",
        "demand", "register", "work", "beat", "release", "put_object", "links", "upload",
    }  # fmt: skip


def test_old_calls_are_forgotten_and_no_more_are_kept_than_must(
    rows: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MOST", 3)
    monkeypatch.setattr(idempotency, "STEP", 2)

    def at(now: int, work: Callable[[Transaction], object]) -> None:
        with rows.write() as held:
            work(Transaction(held, None, now, str))  # type: ignore[arg-type]

    def known() -> list[int]:
        with rows.read() as held:
            return [n for n in range(8) if idempotency.known(held, b"%d" % n) == (b"a",)]

    for n in range(8):
        at(n, lambda tx, n=n: idempotency.note(tx, b"%d" % n, b"a"))  # type: ignore[misc]
    for now, left in (
        (idempotency.LEAST, [*range(8)]),
        (idempotency.LEAST + 3, [3, 4, 5, 6, 7]),
        (idempotency.LEAST + 9, [5, 6, 7]),
        (idempotency.KEPT + 7, [7]),
        (idempotency.KEPT + 8, []),
    ):
        for _ in range(9):
            with rows.read() as held:
                if not idempotency.due(held, now):
                    break
            at(now, idempotency.forget)
        assert known() == left, now


def late_end() -> Iterator[bytes]:
    """A body whose last byte comes when the server waits for it."""
    yield BIG
    time.sleep(0.3)
    yield b"."


def test_a_call_without_a_key_has_none_whatever_went_over_its_connection(tmp_path: Path) -> None:
    """A body that the server had to pause for leaves its call's context with the connection.

    What the application adds to the server, and old clients, send no key that is looked at.
    """
    with serving(tmp_path / "data") as server:
        server("create-repo", "in")
        url = httpx2.URL(server.address)
        line = http.client.HTTPConnection(str(url.host), url.port, timeout=PATIENCE)
        ends = set()
        for number in range(3):
            headers = {"content-length": str(len(BIG) + 1), **(KEY if number == 0 else {})}
            line.request("PUT", f"{FILES}{number}", late_end(), headers)
            ends.add(line.sock.getsockname())
            answer = line.getresponse()
            assert (answer.status, answer.read()[:1]) == (200, b"{"), number
        line.close()
        assert len(ends) == 1 and len(server.files("in")) == 3


@contextmanager
def lossy(server: Server, method: bytes = b"PUT") -> Iterator[Proxy]:
    """A way to a server that loses the first answer to a method."""
    with before(server.address) as proxy:
        proxy.method, proxy.lose = method, 1
        yield proxy


def put(address: str, data: Any, name: str = "a") -> WriteResult:
    async def work() -> WriteResult:
        async with Client(HttpTransport(address)) as client:
            return await client.put_file("in", "master", name, data)

    return asyncio.run(work())


async def stream() -> AsyncIterator[bytes]:
    for at in range(0, len(BIG), 1 << 20):
        yield BIG[at : at + (1 << 20)]


def ids(server: Server) -> list[str]:
    return [row["id"] for row in server("list-commit", "in", "--raw").rows]


def test_an_answer_that_was_lost_is_asked_for_again(tmp_path: Path) -> None:
    """By the client and by the commands; a stream that was read is not there to be sent again."""
    file, folder = tmp_path / "big", tmp_path / "folder"
    file.write_bytes(BIG)
    folder.mkdir()
    for n in range(3):
        (folder / str(n)).write_bytes(b"%d" % n)
    with serving(tmp_path / "data") as server:
        server("create-repo", "in")
        for data in (b"1", stream):
            with lossy(server) as proxy:
                made = put(proxy.endpoint, data)
                assert proxy.lost == 1
            assert ids(server)[0] == made.id
        assert server.content("in", "a") == BIG
        assert len(ids(server)) == 2
        calls: list[tuple[list[str | Path], bytes]] = [
            (["put-file", "in", "master", "-f", file], b"PUT"),
            (["put-file", "in", "master", "-r", "-f", folder], b"POST"),
        ]
        for words, method in calls:
            with lossy(server, method) as proxy:
                done = run(words, env={"VEDETTE_ADDRESS": proxy.endpoint})
                assert (done.code, proxy.lost) == (0, 1), done
        assert len(ids(server)) == 4
        with lossy(server) as proxy, pytest.raises(Unavailable, match="see whether it has arrived"):
            put(proxy.endpoint, stream())
        assert len(ids(server)) == 5


def test_a_server_that_is_killed_before_its_answer_has_done_it_once(tmp_path: Path) -> None:
    """C1: killed after the commit, before the answer, and begun again."""
    with serving(tmp_path / "data") as server, lossy(server) as proxy:
        server("create-repo", "in")

        def again() -> None:
            server.again()
            proxy.turn_to(server.address)

        begun = threading.Thread(target=again)

        def killed() -> None:
            server.kill()
            begun.start()

        proxy.at_loss = killed
        made = put(proxy.endpoint, b"1")
        begun.join()
        assert ids(server) == [made.id]


def test_a_leader_that_is_killed_before_its_answer_has_done_it_once(
    tmp_path: Path, postgres: Postgres
) -> None:
    """C1 across servers: the next leader knows what the one before has done."""
    words = ["--database", postgres.empty(), "--objects", str(tmp_path / "shared"),
             "--workers", "0"]  # fmt: skip
    with ExitStack() as stack:
        proxy = stack.enter_context(before("http://127.0.0.1:1"))
        first = stack.enter_context(serving(tmp_path / "s1", *words, "--advertise", proxy.endpoint))
        proxy.turn_to(first.address)
        second = stack.enter_context(serving(tmp_path / "s2", *words))
        second("create-repo", "in")
        assert second.get("/v1/health")["role"] == "follower"
        proxy.at_loss, proxy.lose = first.kill, 1
        made = put(second.address, b"1")
        assert proxy.lost == 1
        assert second.get("/v1/health")["role"] == "leader"
        assert ids(second) == [made.id]
        assert second.content("in", "a") == b"1"
