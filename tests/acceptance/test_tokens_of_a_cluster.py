"""Who may do what off loopback is judged the same whichever server of several is asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from tests.hosts import until
from tests.postgres import Postgres
from tests.program import Server, serving


def picture() -> bytes:
    """A small JPEG."""
    with BytesIO() as made:
        Image.new("RGB", (32, 32), "green").save(made, "JPEG")
        return made.getvalue()


SCOPES = ("admin", "service", "worker", "device:dev1")

PICTURE = picture()

ASKED: list[tuple[str, str, object, dict[str, int]]] = [
    ("GET", "/v1/health", None, {"": 200, "admin": 200, "device:dev1": 403}),
    ("GET", "/v1/repos", None, {"": 401, "admin": 200, "service": 200, "worker": 403,
                                "device:dev1": 403}),
    ("PUT", "/v1/repos/r/branches/master/files/{}", b"x",
     {"": 401, "admin": 200, "service": 200, "worker": 403, "device:dev1": 403}),
    ("POST", "/v1/tokens", {"scope": "service"},
     {"": 401, "admin": 200, "service": 403, "worker": 403, "device:dev1": 403}),
    ("GET", "/v1/secrets/mail/KEY", None,
     {"": 401, "admin": 403, "service": 200, "worker": 403, "device:dev1": 403}),
    ("POST", "/v1/devices/dev1/images?filename=dev1_{}.jpg", PICTURE,
     {"": 401, "worker": 403, "admin": 201, "device:dev1": 201}),
    ("POST", "/v1/devices/dev2/images", PICTURE, {"": 401, "device:dev1": 403}),
    ("GET", "/v1/workers", None, {"": 401, "admin": 200, "worker": 200, "device:dev1": 403}),
    ("POST", "/v1/workers", {"name": "n{}", "host": "h", "slots": 1},
     {"": 401, "worker": 200, "service": 403, "device:dev1": 403}),
]  # fmt: skip
"""Method, path, body, and the status for each scope; the one without a name has no token.

Each {} becomes another number with every question.
"""


@pytest.fixture
def pair(tmp_path: Path, postgres: Postgres) -> Iterator[tuple[Server, Server]]:
    """A leader and a follower that any machine can reach."""
    url = postgres.empty()
    words = ["--database", url, "--objects", str(tmp_path / "objects"), "--workers", "0",
             "--listen", "0.0.0.0:0"]  # fmt: skip
    with serving(tmp_path / "s0", *words) as leader, serving(tmp_path / "s1", *words) as follower:
        admin = (tmp_path / "s0" / "admin.token").read_text().strip()
        leader.http.headers["authorization"] = f"Bearer {admin}"
        follower.http.headers["authorization"] = f"Bearer {admin}"
        assert leader.get("/v1/health")["role"] == "leader"
        assert follower.get("/v1/health")["role"] == "follower"
        yield leader, follower


def made(server: Server, scope: str) -> dict[str, str]:
    answer = server.http.post(f"{server.address}/v1/tokens", json={"scope": scope})
    assert answer.is_success, answer.text
    found: dict[str, str] = answer.json()
    return found


def ask(
    server: Server, method: str, path: str, body: object, token: str, number: int = 0
) -> httpx2.Response:
    """Ask a server on a connection of its own, with this token or none."""
    headers = {"authorization": token} if token else {}
    content = body if isinstance(body, bytes) else json.dumps(body).replace("{}", str(number))
    with httpx2.Client(trust_env=False, timeout=60) as http:
        return http.request(
            method, server.address + path.replace("{}", str(number)),
            content=None if body is None else content, headers=headers,
        )  # fmt: skip


def test_every_scope_is_judged_alike_by_the_leader_and_through_a_follower(
    pair: tuple[Server, Server],
) -> None:
    leader, follower = pair
    put = leader.http.put(f"{follower.address}/v1/secrets/mail", json={"values": {"KEY": "v"}})
    assert put.is_success
    for name in ("r", "devices", "images"):
        answer = leader.http.post(f"{follower.address}/v1/repos", json={"name": name})
        assert answer.is_success, answer.text
    tokens = {"": ""} | {scope: f"Bearer {made(follower, scope)['token']}" for scope in SCOPES}
    number = 0
    for method, path, body, wanted in ASKED:
        for scope, status in wanted.items():
            for server in pair:
                number += 1
                answer = ask(server, method, path, body, tokens[scope], number)
                assert answer.status_code == status, (method, path, scope, answer.text)
                if status in (401, 403):
                    assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_token_is_refused_and_the_password_of_basic_authentication_is_one(
    pair: tuple[Server, Server],
) -> None:
    token = made(pair[0], "service")["token"]
    basic = base64.b64encode(f"anybody:{token}".encode()).decode()
    for server in pair:
        assert ask(server, "GET", "/v1/repos", None, f"Basic {basic}").status_code == 200
        for wrong in (f"Bearer {token}x", "Bearer", "Basic !", f"Bearer {token[:-1]}"):
            assert ask(server, "GET", "/v1/repos", None, wrong).status_code == 401, wrong


def test_what_is_revoked_through_one_server_opens_none(pair: tuple[Server, Server]) -> None:
    """Also after another leads: nobody remembers it."""
    leader, follower = pair
    kept, gone = made(follower, "service"), made(leader, "service")
    for server in pair:
        assert ask(server, "GET", "/v1/repos", None, f"Bearer {gone['token']}").status_code == 200
    assert follower.http.delete(f"{follower.address}/v1/tokens/{gone['id']}").status_code == 204
    for server in pair:
        answer = ask(server, "GET", "/v1/repos", None, f"Bearer {gone['token']}")
        assert answer.status_code == 401 and "revoked" in answer.text
    leader.kill()
    until(lambda: follower.get("/v1/health")["role"] == "leader")
    for token, status in ((gone, 401), (kept, 200)):
        answer = ask(follower, "GET", "/v1/repos", None, f"Bearer {token['token']}")
        assert answer.status_code == status


def test_a_browser_that_signed_in_through_one_server_is_known_to_the_other(
    pair: tuple[Server, Server],
) -> None:
    """And the cookie alone does not let another page change anything."""
    leader, follower = pair
    token = made(leader, "admin")["token"]
    with httpx2.Client(trust_env=False, timeout=60) as browser:
        page = browser.get(f"{follower.address}/", headers={"accept": "text/html"})
        assert page.status_code == 303 and page.headers["location"].startswith("/login")
        signed = browser.post(
            f"{follower.address}/login", data={"token": token},
            headers={"origin": follower.address},
        )  # fmt: skip
        assert signed.status_code in (302, 303), signed.text
        (cookie,) = [f"{each.name}={each.value}" for each in browser.cookies.jar]
    for server in pair:
        with httpx2.Client(trust_env=False, timeout=60, headers={"cookie": cookie}) as other:
            assert other.get(f"{server.address}/v1/repos").status_code == 200
            where = f"{server.address}/v1/repos"
            assert other.post(where, json={"name": "x"}).status_code in (401, 403)
            foreign = {"origin": "http://elsewhere.example"}
            assert other.post(where, json={"name": "x"}, headers=foreign).status_code == 403
