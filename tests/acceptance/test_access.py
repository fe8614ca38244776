"""Who may ask: tokens off loopback, no foreign pages on it, secrets for services only."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.serving import asking, site

from vedette.client import Client
from vedette.model.errors import NotFound
from vedette.server import tokens
from vedette.server.local import LocalTransport
from vedette.server.site import Site


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def token(parts: Site, scope: str = "admin") -> str:
    return parts.rounds.submit(lambda tx: tokens.add(tx, "test", scope)).result().token


def bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


def far(parts: Site) -> TestClient:
    return asking(parts, peer="192.0.2.7", host="cameras.example:7650", loopback=False)


def test_on_loopback_no_token_is_needed(parts: Site) -> None:
    for host in ("127.0.0.1:7650", "localhost:7650", "[::1]:7650"):
        assert asking(parts, host=host).get("/v1/repos").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7650", "127.0.0.1.evil.example"])
def test_a_name_that_was_made_to_point_here_is_refused(parts: Site, host: str) -> None:
    answer = asking(parts, host=host).get("/v1/repos")
    assert (answer.status_code, answer.json()["kind"]) == (403, "forbidden")


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:3000", "null"])
def test_a_foreign_page_may_not_ask(parts: Site, origin: str) -> None:
    answer = asking(parts).post("/v1/repos", json={"name": "x"}, headers={"origin": origin})
    assert answer.status_code == 403
    own = {"origin": "http://127.0.0.1:7650"}
    assert asking(parts).post("/v1/repos", json={"name": "x"}, headers=own).status_code == 200


@pytest.mark.parametrize(
    ("peer", "loopback"), [("192.0.2.7", True), ("127.0.0.1", False), ("192.0.2.7", False)]
)
def test_off_loopback_every_request_needs_a_token(parts: Site, peer: str, loopback: bool) -> None:
    api = asking(parts, peer=peer, host="cameras.example", loopback=loopback)
    answer = api.get("/v1/repos")
    assert (answer.status_code, answer.json()["kind"]) == (401, "unauthorized")
    assert "--token" in answer.json()["detail"]
    for path in ("/openapi.json", "/v1/tokens", "/v1/events", "/v1/nothing"):
        assert api.get(path).status_code == 401
    assert api.get("/v1/repos", headers=bearer("wrong")).status_code == 401
    assert api.get("/v1/repos", headers=bearer(token(parts))).status_code == 200
    assert api.get("/v1/version").status_code == 200


def test_a_token_may_be_the_password_of_basic_authentication(parts: Site) -> None:
    pair = base64.b64encode(f"camera:{token(parts)}".encode()).decode()
    assert far(parts).get("/v1/repos", headers={"authorization": f"Basic {pair}"}).is_success


def test_a_revoked_token_opens_nothing(parts: Site) -> None:
    api, value = far(parts), token(parts)
    made = api.post("/v1/tokens", json={"label": "b"}, headers=bearer(value)).json()
    assert api.get("/v1/repos", headers=bearer(made["token"])).status_code == 200
    gone = api.delete(f"/v1/tokens/{made['id']}", headers=bearer(value))
    assert gone.status_code == 204
    assert api.get("/v1/repos", headers=bearer(made["token"])).status_code == 401
    listed = {t["id"]: t for t in api.get("/v1/tokens", headers=bearer(value)).json()}
    assert listed[made["id"]]["revoked"] is not None
    assert "token" not in listed[made["id"]]


def test_tokens_are_kept_as_hashes(parts: Site, tmp_path: Path) -> None:
    value = token(parts)
    assert far(parts).get("/v1/repos", headers=bearer(value)).status_code == 200
    for file in tmp_path.glob("metadata.sqlite*"):
        assert value.encode() not in file.read_bytes()


def test_a_device_token_opens_its_device_only(parts: Site) -> None:
    api, value = far(parts), bearer(token(parts, "device:dev1"))
    assert api.post("/v1/devices/dev1/images", headers=value).status_code == 404
    for path in ("/v1/devices/dev2/images", "/v1/devices/dev10/images", "/v1/repos", "/"):
        assert api.get(path, headers=value).status_code == 403
    near = asking(parts)
    assert near.get("/v1/repos", headers=value).status_code == 403


def test_only_admins_make_tokens_and_secrets(parts: Site) -> None:
    api, value = far(parts), bearer(token(parts, "service"))
    assert api.post("/v1/tokens", json={}, headers=value).status_code == 403
    body = {"values": {"k": "v"}}
    assert api.put("/v1/secrets/s", json=body, headers=value).status_code == 403


def test_values_of_secrets_are_for_services(parts: Site) -> None:
    near = asking(parts)
    made = near.put("/v1/secrets/mail", json={"values": {"SGKEY": "SG.hidden", "b": "c"}})
    assert made.json()["keys"] == ["SGKEY", "b"]
    assert near.get("/v1/secrets/mail/SGKEY").status_code == 403
    admin = bearer(token(parts))
    assert near.get("/v1/secrets/mail/SGKEY", headers=admin).status_code == 403
    service = bearer(token(parts, "service"))
    assert near.get("/v1/secrets/mail/SGKEY", headers=service).json() == {"value": "SG.hidden"}
    assert "SG.hidden" not in near.get("/v1/secrets").text

    async def inside() -> None:
        client = Client(LocalTransport(parts))
        assert await client.secret("mail", "SGKEY") == "SG.hidden"
        assert await client.secret("mail", "none") is None

    asyncio.run(inside())
    assert near.delete("/v1/secrets/mail").status_code == 204
    assert near.get("/v1/secrets").json() == []


def pipeline(key: str) -> dict[str, Any]:
    return {
        "pipeline": {"name": "threat"},
        "transform": {"cmd": ["true"], "env": {"SGKEY": key}},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
    }


def test_the_key_of_a_spec_is_never_shown_again(parts: Site, tmp_path: Path) -> None:
    near = asking(parts)
    near.post("/v1/repos", json={"name": "images"})
    made = near.post("/v1/pipelines", json=pipeline("SG.hidden"))
    assert made.status_code == 200, made.text
    shown = [made.text, near.get("/v1/pipelines").text, near.get("/v1/pipelines/threat").text]
    assert "SG.hidden" not in "".join(shown)
    service = bearer(token(parts, "service"))
    path = "/v1/secrets/pipeline-threat/SGKEY"
    assert near.get(path, headers=service).json()["value"] == "SG.hidden"
    spec = near.get("/v1/pipelines/threat").json()["spec"]
    assert near.post("/v1/pipelines?update", json=spec).status_code == 200
    assert near.get(path, headers=service).json()["value"] == "SG.hidden"
    assert near.post("/v1/pipelines?update", json=pipeline("")).status_code == 200
    assert near.get(path, headers=service).status_code == 404


def test_secrets_go_with_their_pipeline(parts: Site) -> None:
    near = asking(parts)
    near.post("/v1/repos", json={"name": "images"})
    assert near.post("/v1/pipelines", json=pipeline("SG.hidden")).status_code == 200
    assert near.delete("/v1/pipelines/threat").status_code == 204
    assert near.get("/v1/secrets").json() == []


def test_a_refused_pipeline_leaves_no_secret(parts: Site) -> None:
    near = asking(parts)
    assert near.post("/v1/pipelines", json=pipeline("SG.hidden")).status_code >= 400
    assert near.get("/v1/secrets").json() == []


def test_inside_the_server_errors_are_the_same(parts: Site) -> None:
    async def story() -> None:
        client = Client(LocalTransport(parts))
        await client.create_repo("images")
        made = await client.put_file("images", "master", "/a", b"x")
        assert made.commits[0].files == 1
        assert await client.get_file("images", "master", "/a") == b"x"
        with pytest.raises(NotFound, match="imags"):
            await client.inspect_repo("imags")

    asyncio.run(story())
