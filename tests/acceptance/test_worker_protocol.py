"""What passes between the server and a host that works for it, spoken by hand (design note 016)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from starlette.testclient import TestClient
from tests.serving import asking, site

from vedette.model import hosts
from vedette.model.ids import object_id
from vedette.model.work import Code, Output, Result, Task
from vedette.scheduling import leasing
from vedette.server import tokens
from vedette.server.site import Site

PACKED = "application/msgpack"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


class ByHand:
    """A host that says one thing at a time."""

    def __init__(self, parts: Site, name: str = "h-1-a", scope: str = "worker") -> None:
        made = parts.rounds.submit(lambda tx: tokens.add(tx, "t", scope)).result()
        self.http = asking(parts, peer="192.0.2.7", host="v.example", loopback=False)
        self.http.headers["authorization"] = f"Bearer {made.token}"
        self.number = 0
        self.session = self.join(name).session

    def say(self, method: str, path: str, body: Any = None, kind: Any = None) -> Any:
        """Send a message; the answer as a value, or its status where it is refused."""
        answer = self.http.request(
            method, path, content=b"" if body is None else msgspec.msgpack.encode(body),
            headers={"content-type": PACKED, "accept": PACKED},
        )  # fmt: skip
        if answer.status_code >= 400:
            return answer.status_code, answer.json()["kind"]
        return None if kind is None else msgspec.msgpack.decode(answer.content, type=kind)

    def join(self, name: str) -> Any:
        body = hosts.Join(name=name, host="h", slots=2)
        return self.say("POST", "/v1/workers", body, hosts.Joined)

    def register(self, worker: str, *pipelines: str) -> Any:
        body = hosts.NewWorker(name=worker, pool="pool", pipelines=pipelines)
        return self.say("POST", f"/v1/workers/{self.session}/workers", body)

    def work(self, worker: str, **words: Any) -> Any:
        if words.get("room"):
            self.number += 1
            words.setdefault("number", self.number)
        path = f"/v1/workers/{self.session}/workers/{worker}/work"
        return self.say("POST", path, hosts.Work(**words), hosts.Given)

    def wish(self, worker: str, **words: Any) -> tuple[Task, ...]:
        given = self.work(worker, **{"room": 1, "wait": 10.0, **words})
        assert isinstance(given, hosts.Given), given
        return given.tasks

    def read(self, object: bytes) -> httpx2.Response:
        return self.http.get(f"/v1/objects/{object.hex()}", params={"session": self.session})

    def upload(self, data: bytes) -> Any:
        path = f"/v1/workers/{self.session}/objects"
        answer = self.http.put(path, content=data, headers={"accept": PACKED})
        return msgspec.msgpack.decode(answer.content, type=hosts.Stored)


def api(parts: Site) -> TestClient:
    return asking(parts)


def pipeline(web: TestClient, name: str, **files: bytes) -> None:
    """A pipeline over a repo of its own with these files."""
    assert web.post("/v1/repos", json={"name": f"{name}-in"}).status_code == 200
    for path, data in files.items():
        where = f"/v1/repos/{name}-in/branches/master/files/{path}"
        assert web.put(where, content=data).status_code == 200
    spec = {
        "pipeline": {"name": name}, "transform": {"image": "x", "cmd": ["x"]},
        "input": {"pfs": {"repo": f"{name}-in", "glob": "/*"}},
    }  # fmt: skip
    assert web.post("/v1/pipelines", json=spec).status_code == 200


def done(task: Task, data: bytes = b"out", **words: Any) -> Result:
    output = Output("/out", object_id(data), len(data), data)
    fields = {"state": "success", "outputs": (output,), **words}
    return Result(datum=task.datum, lease=task.lease, **fields)


def job(web: TestClient, name: str) -> Any:
    return web.get("/v1/jobs", params={"pipeline": name}).json()[0]


def test_a_host_is_given_a_datum_and_hands_in_its_result(parts: Site) -> None:
    host = ByHand(parts)
    pipeline(api(parts), "p", a=b"input")
    assert host.register("w1", "p") is None
    (task,) = host.wish("w1")
    assert task.inputs[0].files[0].path == "/a"
    assert host.read(task.inputs[0].files[0].object).content == b"input"
    assert host.work("w1", results=(done(task),)).refused == ()
    assert job(api(parts), "p")["state"] == "SUCCESS"


def test_a_report_whose_answer_was_lost_is_said_again_without_harm(parts: Site) -> None:
    """C2: the same lease reported twice counts once."""
    host = ByHand(parts)
    pipeline(api(parts), "p", a=b"1", b=b"2")
    host.register("w1", "p")
    (task,) = host.wish("w1")
    assert host.work("w1", results=(done(task, b"one", state="failed", outputs=()),)).refused == ()
    again = host.work("w1", results=(done(task, b"two"),), room=1, wait=10.0)
    assert again.refused == (task.lease,)
    (other,) = host.wish("w1")
    host.work("w1", results=(done(other),))
    counts = job(api(parts), "p")
    assert (counts["processed"], counts["failed"], counts["total"]) == (1, 1, 2)


def test_tasks_whose_answer_was_lost_go_back_and_use_no_try(parts: Site) -> None:
    """C2: what the worker does not know of cannot be waited for."""
    host = ByHand(parts)
    pipeline(api(parts), "p", a=b"1")
    host.register("w1", "p")
    for _ in range(5):
        (lost,) = host.wish("w1", held=())
    (task,) = host.wish("w1", held=())
    assert (task.datum, task.attempt) == (lost.datum, 1)
    assert task.lease != lost.lease
    assert host.work("w1", results=(done(lost),)).refused == (lost.lease,)
    assert host.work("w1", results=(done(task),)).refused == ()
    assert job(api(parts), "p")["state"] == "SUCCESS"


def test_a_wish_that_comes_late_is_refused(parts: Site) -> None:
    host = ByHand(parts)
    pipeline(api(parts), "p", a=b"1")
    host.register("w1", "p")
    (task,) = host.wish("w1", number=7)
    assert host.work("w1", room=1, number=7) == (409, "conflict")
    assert host.work("w1", results=(done(task),)).refused == ()


def test_no_host_and_no_worker_takes_the_name_of_another(parts: Site) -> None:
    one, two = ByHand(parts, "h-1-a"), ByHand(parts, "h-2-b")
    assert two.join("h-1-a") == (409, "conflict")
    one.register("w", "p")
    assert two.register("w", "p") == (409, "conflict")
    assert one.register("w", "p") is None


def test_a_worker_gets_datums_of_its_pipelines_only(parts: Site) -> None:
    """Also when any number of datums of others wait before them."""
    web = api(parts)
    pipeline(web, "others", **{f"f{n}": b"x%d" % n for n in range(100)})
    pipeline(web, "mine", a=b"1")
    host = ByHand(parts)
    host.register("w1", "mine")
    (task,) = host.wish("w1", room=8)
    assert task.code.startswith("mine:")
    assert host.wish("w1", room=8, wait=0.0, held=(task.lease,)) == ()


def test_a_worker_token_opens_nothing_else(parts: Site) -> None:
    host = ByHand(parts)
    for path in ("/v1/repos", "/v1/secrets", "/v1/tokens", "/openapi.json", "/", "/v1/jobs"):
        assert host.http.get(path).status_code == 403, path
    assert host.http.get("/v1/health").status_code == 200


def test_no_other_scope_works(parts: Site) -> None:
    made = parts.rounds.submit(lambda tx: tokens.add(tx, "t", "service")).result()
    web = asking(parts, peer="192.0.2.7", host="v.example", loopback=False)
    web.headers["authorization"] = f"Bearer {made.token}"
    answer = web.post("/v1/workers", json={"name": "n", "host": "h", "slots": 1})
    assert (answer.status_code, answer.json()["kind"]) == (403, "forbidden")


def test_a_host_reads_only_what_its_datums_need(parts: Site) -> None:
    web, host = api(parts), ByHand(parts)
    pipeline(web, "p", a=b"mine")
    pipeline(web, "q", a=b"theirs")
    host.register("w1", "p")
    (task,) = host.wish("w1")
    mine = task.inputs[0].files[0].object
    assert host.read(mine).content == b"mine"
    assert host.read(object_id(b"theirs")).status_code == 403
    other = ByHand(parts, "h-2-b")
    assert other.read(mine).status_code == 403
    host.work("w1", results=(done(task),))
    assert host.read(mine).status_code == 403


def test_part_of_an_object_is_read_by_its_offset(parts: Site) -> None:
    web, host = api(parts), ByHand(parts)
    data = bytes(range(256)) * 20_000
    pipeline(web, "p", a=data)
    host.register("w1", "p")
    (task,) = host.wish("w1")
    where = f"/v1/objects/{task.inputs[0].files[0].object.hex()}"
    words = {"session": host.session, "offset": "1000000", "length": "3000000"}
    assert host.http.get(where, params=words).content == data[1_000_000:4_000_000]
    words = {"session": host.session, "offset": str(len(data) - 5)}
    assert host.http.get(where, params=words).content == data[-5:]


def test_code_with_its_secrets_goes_only_to_who_holds_a_datum_of_it(parts: Site) -> None:
    web, host = api(parts), ByHand(parts)
    pipeline(web, "p", a=b"1")
    host.register("w1", "p")
    (task,) = host.wish("w1")
    path = f"/v1/workers/{host.session}/code/{task.code}"
    assert host.say("GET", path, None, Code).pipeline == "p"
    host.work("w1", results=(done(task),))
    assert host.say("GET", path) == (403, "forbidden")


@pytest.mark.parametrize(
    "output",
    [
        Output("/out", object_id(b"never uploaded"), 14),
        Output("/out", object_id(b"other"), 3, b"out"),
        Output("out/../x", object_id(b"out"), 3, b"out"),
        Output("/", object_id(b"out"), 3, b"out"),
    ],
)
def test_what_a_worker_says_of_bytes_is_not_believed(parts: Site, output: Output) -> None:
    host = ByHand(parts)
    pipeline(api(parts), "p", a=b"1")
    host.register("w1", "p")
    for _ in range(3):
        (task,) = host.wish("w1")
        host.work("w1", results=(done(task, outputs=(output,)),))
    found = job(api(parts), "p")
    assert (found["state"], found["failed"]) == ("FAILURE", 1)


def test_an_upload_is_named_by_a_result(parts: Site) -> None:
    web, host = api(parts), ByHand(parts)
    pipeline(web, "p", a=b"1")
    host.register("w1", "p")
    data = b"large" * 100_000
    stored = host.upload(data)
    assert (stored.object, stored.size) == (object_id(data), len(data))
    (task,) = host.wish("w1")
    output = Output("/out", stored.object, stored.size)
    assert host.work("w1", results=(done(task, outputs=(output,)),)).refused == ()
    assert web.get("/v1/repos/p/commits/master/files/out").content == data


def test_a_beat_tells_what_is_held_in_vain_and_who_is_forgotten(parts: Site) -> None:
    """C2: a job that was stopped takes the lease away."""
    web, host = api(parts), ByHand(parts)
    pipeline(web, "p", a=b"1")
    host.register("w1", "p")
    (task,) = host.wish("w1")

    def beat() -> Any:
        body = hosts.Beat(workers={"w1": (task.lease,), "w2": ()})
        return host.say("POST", f"/v1/workers/{host.session}/beat", body, hosts.Beaten)

    assert beat() == hosts.Beaten(abandon={}, unknown=("w2",))
    web.post(f"/v1/jobs/{job(web, 'p')['id']}/stop")
    assert beat().abandon == {"w1": (task.lease,)}


def test_a_session_that_is_not_known_is_told_so(parts: Site) -> None:
    host = ByHand(parts)
    host.register("w1", "p")
    assert host.say("DELETE", f"/v1/workers/{host.session}") is None
    assert host.register("w1", "p") == (404, "not_joined")
    assert host.work("w1") == (404, "not_joined")


def test_a_host_that_leaves_gives_its_datums_back_without_a_loss(parts: Site) -> None:
    web = api(parts)
    pipeline(web, "p", a=b"1")
    for number in range(4):  # three lost leases would fail the datum
        host = ByHand(parts, f"h-{number}-a")
        host.register(f"w{number}", "p")
        (task,) = host.wish(f"w{number}")
        assert task.attempt == 1
        host.say("DELETE", f"/v1/workers/{host.session}")
    assert job(web, "p")["state"] == "RUNNING"


def test_another_version_of_the_protocol_is_refused_with_what_to_do(parts: Site) -> None:
    host = ByHand(parts)
    body = hosts.Join(name="n", host="h", slots=1, protocol=99)
    assert host.say("POST", "/v1/workers", body) == (409, "conflict")


def test_demand_is_told_when_it_changes_and_specs_once(parts: Site) -> None:
    web, host = api(parts), ByHand(parts)
    where = f"/v1/workers/{host.session}/demand"
    first = host.say("POST", where, hosts.AskDemand(), hosts.Demand)
    assert first.wanted == ()
    pipeline(web, "p", a=b"1", b=b"2", c=b"3")
    ask = hosts.AskDemand(seen=first.number)
    (wanted,) = host.say("POST", where, ask, hosts.Demand).wanted
    assert (wanted.pool.key, wanted.count) == ("pool", 2)  # the host has two slots
    (offer,) = wanted.offers
    assert offer.spec is not None and offer.spec.name == "p"
    ask = hosts.AskDemand(seen=0, known=(offer.code,))
    (wanted,) = host.say("POST", where, ask, hosts.Demand).wanted
    assert wanted.offers[0].spec is None


def test_a_wish_from_before_a_lapse_and_what_it_brings_are_not_lost(parts: Site) -> None:
    """C2: a host that slept has a wish open at the server when it is registered again."""
    web, host = api(parts), ByHand(parts)
    host.register("w1", "p")
    with ThreadPoolExecutor() as pool:
        old = pool.submit(host.wish, "w1")
        limit = time.monotonic() + 20.0
        while not parts.hosts.sessions[host.session].hands["w1"].wish:
            assert time.monotonic() < limit
            time.sleep(0.01)
        parts.rounds.enter(lambda round: leasing.release(round, "w1", "silent")).result()
        body = hosts.Beat(workers={"w1": ()})
        where = f"/v1/workers/{host.session}/beat"
        assert host.say("POST", where, body, hosts.Beaten).unknown == ("w1",)
        host.register("w1", "p")
        pipeline(web, "p", a=b"1")
        (task,) = old.result()
    assert host.work("w1", results=(done(task),)).refused == ()
    assert job(web, "p")["state"] == "SUCCESS"
