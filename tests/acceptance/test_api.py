"""The API as programs use it: requests in, answers and problems out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient
from tests.serving import asking, site, tar_of

from vedette.model.ids import object_id
from vedette.server.site import Limits, Site

JPEG = b"\xff\xd8" + bytes(100_000)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, Limits(file=1 << 20, json=2000, files=5, writes=10)) as made:
        yield made


@pytest.fixture
def api(parts: Site) -> TestClient:
    client = asking(parts)
    assert client.post("/v1/repos", json={"name": "images"}).status_code == 200
    return client


def put(api: TestClient, path: str, data: bytes, query: str = "") -> Any:
    return api.put(f"/v1/repos/images/branches/master/files/{path}{query}", content=data)


def get(api: TestClient, path: str, ref: str = "master") -> Any:
    return api.get(f"/v1/repos/images/commits/{ref}/files/{path}")


def problem(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["detail"] and "\n" not in body["detail"]
    return answer.status_code, body["kind"]


def test_a_file_comes_back_as_it_was_put(api: TestClient) -> None:
    answer = put(api, "dev1/a%20b.jpg", JPEG)
    assert answer.status_code == 200
    assert answer.json()["objects"] == [object_id(JPEG).hex()]
    found = get(api, "dev1/a b.jpg")
    assert found.content == JPEG
    assert found.headers["content-type"] == "image/jpeg"
    assert "sandbox" in found.headers["content-security-policy"]
    tag = found.headers["etag"]
    again = api.get(
        "/v1/repos/images/commits/master/files/dev1/a b.jpg", headers={"if-none-match": tag}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_a_large_file_is_streamed_both_ways(parts: Site, api: TestClient) -> None:
    parts.limits = Limits()
    data = bytes(range(256)) * 30_000
    assert put(api, "model.bin", data).status_code == 200
    assert get(api, "model.bin").content == data


def test_a_body_over_the_limit_is_refused_and_nothing_kept(api: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield bytes(100_000)

    answer = api.put("/v1/repos/images/branches/master/files/big", content=pieces())
    assert problem(answer) == (413, "too_large")
    assert problem(get(api, "big"))[0] == 404


def test_puts_append_when_asked(api: TestClient) -> None:
    put(api, "log", b"a")
    put(api, "log", b"b", "?append")
    assert get(api, "log").content == b"ab"
    put(api, "log", b"c")
    assert get(api, "log").content == b"c"


def test_known_content_is_put_by_its_name(api: TestClient) -> None:
    put(api, "a", JPEG)
    assert put(api, "b", b"", f"?object={object_id(JPEG).hex()}").status_code == 200
    assert get(api, "b").content == JPEG
    assert problem(put(api, "c", b"", f"?object={'0' * 64}")) == (404, "not_found")


def test_a_tar_stream_is_one_commit(api: TestClient) -> None:
    files = {f"d/{i}.jpg": bytes([i]) * 50_000 for i in range(5)}
    answer = api.post(
        "/v1/repos/images/branches/master/files",
        content=tar_of(files),
        headers={"content-type": "application/x-tar"},
    )
    (commit,) = answer.json()["commits"]
    assert (commit["files"], commit["size"]) == (5, 250_000)
    listed = api.get("/v1/repos/images/commits/master/list/d").json()
    assert [file["path"] for file in listed] == [f"/d/{i}.jpg" for i in range(5)]
    assert len(api.get("/v1/repos/images/commits").json()) == 1


@pytest.mark.parametrize(
    ("body", "media", "kind"),
    [
        (b"no tar at all" * 100, "application/x-tar", "invalid"),
        (tar_of({"a": b"x"})[:700], "application/x-tar", "invalid"),
        (tar_of({"../a": b"x"}), "application/x-tar", "invalid_path"),
        (tar_of({"a": b"x"}), "text/plain", "invalid"),
        (tar_of({str(i): b"x" for i in range(6)}), "application/x-tar", "too_large"),
    ],
)
def test_a_bad_tar_stream_puts_nothing(api: TestClient, body: bytes, media: str, kind: str) -> None:
    answer = api.post(
        "/v1/repos/images/branches/master/files", content=body, headers={"content-type": media}
    )
    assert problem(answer)[1] == kind
    assert api.get("/v1/repos/images/commits").json() == []


def test_an_open_commit_takes_files_until_it_is_finished(api: TestClient) -> None:
    opened = api.post("/v1/repos/images/commits", json={"branch": "master"}).json()
    assert opened["state"] == "started"
    put(api, "a", b"1")
    put(api, "b", b"2")
    assert problem(get(api, "a"))[0] == 404
    assert problem(api.post("/v1/repos/images/commits", json={})) == (409, "conflict")
    done = api.post("/v1/repos/images/commits/master/finish").json()
    assert (done["id"], done["state"], done["files"]) == (opened["id"], "finished", 2)
    assert get(api, "a").content == b"1"
    assert problem(api.post("/v1/repos/images/commits/master/finish")) == (409, "conflict")


def test_a_transaction_writes_to_several_repos_or_to_none(api: TestClient) -> None:
    api.post("/v1/repos", json={"name": "arrivals"})
    writes: list[dict[str, Any]] = [
        {"repo": "images", "path": "/a.jpg", "data": b"picture", "expect": ""},
        {"repo": "arrivals", "path": "/a.json", "data": b"{}"},
    ]
    headers = {"content-type": "application/msgpack"}
    body = msgspec.msgpack.encode({"writes": writes})
    made = api.post("/v1/transactions", content=body, headers=headers).json()
    assert {commit["repo"] for commit in made["commits"]} == {"images", "arrivals"}
    assert {commit["id"] for commit in made["commits"]} == {made["id"]}
    assert len(api.get(f"/v1/commits/{made['id']}").json()) == 2
    again = api.post("/v1/transactions", content=body, headers=headers)
    assert problem(again) == (409, "conflict")
    assert len(api.get("/v1/repos/arrivals/commits").json()) == 1


def test_deleting_takes_a_directory_with_all_below_it(api: TestClient) -> None:
    put(api, "d/a", b"1")
    put(api, "d/e/b", b"2")
    assert api.delete("/v1/repos/images/branches/master/files/d").status_code == 200
    assert problem(get(api, "d/a"))[0] == 404
    assert get(api, "d/a", "master%5E").content == b"1"
    assert problem(api.delete("/v1/repos/images/branches/master/files/d")) == (404, "not_found")


def test_a_path_is_a_file_or_a_directory(api: TestClient) -> None:
    put(api, "a", b"1")
    assert problem(put(api, "a/b", b"2")) == (409, "path_conflict")
    put(api, "d/e", b"2")
    assert problem(put(api, "d", b"1")) == (409, "path_conflict")


def test_changes_are_told_commit_by_commit(api: TestClient) -> None:
    put(api, "a", b"1")
    put(api, "b", b"2")
    put(api, "a", b"3")
    api.delete("/v1/repos/images/branches/master/files/b")
    url = "/v1/repos/images/branches/master/changes"
    page = api.get(url).json()
    assert [(c["change"]["path"], c["change"]["change"]) for c in page["changes"]] == [
        ("/a", "added"), ("/b", "added"), ("/a", "modified"), ("/b", "deleted"),
    ]  # fmt: skip
    first = api.get(f"{url}?limit=1").json()
    assert len(first["changes"]) == 1
    rest = api.get(f"{url}?after={first['number']}").json()
    assert len(rest["changes"]) == 3 and rest["number"] == page["number"]
    assert api.get(f"{url}?after={page['number']}").json()["changes"] == []


def test_an_archive_holds_all_files_below_a_path(api: TestClient) -> None:
    files = {f"d/{i}/ü": bytes([i]) for i in range(3)}
    for name, data in files.items():
        put(api, name, data)
    put(api, "other", b"x")
    content = api.get("/v1/repos/images/commits/master/archive/d").content
    assert content == tar_of(files)[: len(content)] or len(content) > 3 * 1024
    headers = {"content-type": "application/x-tar"}
    api.post("/v1/repos", json={"name": "copy"})
    answer = api.post("/v1/repos/copy/branches/b/files", content=content, headers=headers)
    assert answer.json()["commits"][0]["files"] == 3


def test_branches_point_to_commits(api: TestClient) -> None:
    put(api, "a", b"1")
    put(api, "a", b"2")
    moved = api.put("/v1/repos/images/branches/old", json={"head": "master^"})
    assert moved.status_code == 200
    assert get(api, "a", "old").content == b"1"
    names = [branch["name"] for branch in api.get("/v1/repos/images/branches").json()]
    assert sorted(names) == ["master", "old"]
    assert api.delete("/v1/repos/images/branches/old").status_code == 204
    assert problem(api.delete("/v1/repos/images/branches/old")) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/v1/repos/imags", None, (404, "not_found")),
        ("GET", "/v1/nothing", None, (404, "not_found")),
        ("PATCH", "/v1/repos", None, (405, "wrong_method")),
        ("POST", "/v1/repos", b"{", (400, "invalid")),
        ("POST", "/v1/repos", b"\xff\xfe", (400, "invalid")),
        ("POST", "/v1/repos", b'{"name": 3}', (400, "invalid")),
        ("POST", "/v1/repos", b'{"name": "a", "nme": "b"}', (400, "invalid")),
        ("POST", "/v1/repos", b'{"name": "a/b"}', (400, "invalid_name")),
        ("POST", "/v1/repos", b'{"name": "images"}', (409, "conflict")),
        ("POST", "/v1/repos", b'{"name": "' + b"a" * 3000 + b'"}', (413, "too_large")),
        ("POST", "/v1/pipelines", b"[" * 1500, (400, "invalid")),
        ("POST", "/v1/pipelines", b'{"pipeline": {"name": "p"}}', (400, "invalid_spec")),
        ("GET", "/v1/repos/images/commits?limit=0", None, (400, "invalid")),
        ("GET", "/v1/repos/images/commits?limt=1", None, (400, "invalid")),
        ("GET", "/v1/repos/images/commits/master/glob?pattern=%5B", None, (400, "invalid_glob")),
        ("GET", "/v1/repos/images/commits/master/files/%FF", None, (400, "invalid_path")),
        ("PUT", "/v1/repos/images/branches/master/files/a/%2E%2E%2Fb", b"", (400, "invalid_path")),
        ("PUT", "/v1/repos/images/branches/master/files/", b"", (400, "invalid_path")),
        ("PUT", "/v1/repos/none/branches/master/files/a", b"", (404, "not_found")),
        ("POST", "/v1/transactions", b'{"writes": []}', (400, "invalid")),
        ("GET", "/v1/jobs/none", None, (404, "not_found")),
        ("GET", "/v1/datums/7", None, (404, "not_found")),
        ("GET", "/v1/datums?state=good", None, (400, "invalid")),
        ("GET", f"/v1/datums?after={1 << 63}", None, (400, "invalid")),
        ("GET", f"/v1/jobs?before={1 << 63}", None, (400, "invalid")),
        ("GET", f"/v1/datums/{1 << 63}", None, (404, "not_found")),
        ("GET", "/v1/logs", None, (404, "not_found")),
        ("GET", "/v1/pipelines/none", None, (404, "not_found")),
        ("GET", "/v1/idle?timeout=-1", None, (400, "invalid")),
        ("GET", "/v1/idle?timeout=nan", None, (400, "invalid")),
        ("DELETE", "/v1/secrets/none", None, (404, "not_found")),
        ("PUT", "/v1/secrets/a%20b", b'{"values": {"k": "v"}}', (400, "invalid")),
        ("POST", "/v1/tokens", b'{"scope": "everything"}', (400, "invalid")),
    ],
)
def test_what_cannot_be_is_one_clear_problem(
    api: TestClient, method: str, path: str, body: bytes | None, expected: tuple[int, str]
) -> None:
    answer = api.request(method, path, content=body)
    status, kind = answer.status_code, answer.json()["kind"]
    assert (status, kind) == expected, answer.text


def test_answers_are_packed_when_asked(api: TestClient) -> None:
    answer = api.get("/v1/repos", headers={"accept": "application/msgpack"})
    assert msgspec.msgpack.decode(answer.content)[0]["name"] == "images"


def test_a_directory_is_not_read_as_a_file(api: TestClient) -> None:
    put(api, "d/a", b"1")
    answer = get(api, "d")
    assert problem(answer) == (404, "not_found") and "-r" in answer.json()["detail"]


def test_damaged_content_breaks_off(parts: Site, api: TestClient, tmp_path: Path) -> None:
    parts.limits = Limits()
    put(api, "large", bytes(6 << 20))
    put(api, "small", bytes(100_000))
    for file in [*tmp_path.rglob("*.pack"), *(tmp_path / "objects").rglob("*")]:
        if file.is_file():
            with file.open("r+b") as opened:
                opened.write(b"damage")
    assert problem(get(api, "small")) == (500, "corrupt")
    assert len(get(api, "large").content) < 6 << 20


def test_events_are_told_as_they_happen(parts: Site) -> None:
    """A listener hears of a commit; told by the hub, since a test client cannot hold a stream."""
    import asyncio

    from vedette.server.hub import sent_events
    from vedette.versioning import repos

    async def story() -> list[bytes]:
        parts.hub.start()
        stream = sent_events(parts.hub)
        first = await anext(stream)
        await parts.write(lambda tx: repos.create(tx, "other"))
        from vedette.model.files import Write
        from vedette.server.writes import committed

        await committed(parts, [Write(repo="other", path="/a", data=b"x")], [])
        heard = [first, await anext(stream)]
        parts.hub.stop()
        return heard

    first, second = asyncio.run(story())
    assert b"listening" in first
    assert b"event: commit" in second and b'"repo":"other"' in second
