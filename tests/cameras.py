"""Servers with the camera application, and files as its pipelines write them."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image

from vedette.config import Settings
from vedette.wiring import running_server
from vedette_cameras.app import application
from vedette_cameras.setup import spec

RULE = {"from_email": "vedette@example.org", "to_email": "op@example.org", "threat_classes": [1]}


class Cameras:
    """A server as its users reach it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx2.Client(base_url=address, timeout=60.0, trust_env=False)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON at a path."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, device: str, data: bytes, **query: Any) -> httpx2.Response:
        """Hand one picture in."""
        return self.http.post(f"/v1/devices/{device}/images", params=query, content=data)

    def repo(self, *names: str) -> None:
        """Create repos."""
        for name in names:
            assert self.http.post("/v1/repos", json={"name": name}).status_code == 200

    def put(self, repo: str, path: str, data: bytes) -> str:
        """Put a file; the commit's id."""
        answer = self.http.put(f"/v1/repos/{repo}/branches/master/files{path}", content=data)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def delete(self, repo: str, path: str) -> None:
        """Delete a file."""
        answer = self.http.delete(f"/v1/repos/{repo}/branches/master/files{path}")
        assert answer.status_code == 200, answer.text

    def file(self, repo: str, path: str) -> bytes:
        """The bytes of a file."""
        answer = self.http.get(f"/v1/repos/{repo}/commits/master/files{path}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def names(self, repo: str, path: str = "/") -> list[str]:
        """The paths in a directory; none while nothing has been committed."""
        answer = self.http.get(f"/v1/repos/{repo}/commits/master/list{path}")
        return [found["path"] for found in answer.json()] if answer.status_code == 200 else []

    def pipeline(self, document: Mapping[str, Any]) -> None:
        """Create a pipeline."""
        answer = self.http.post("/v1/pipelines", json=document)
        assert answer.status_code == 200, answer.text

    def idle(self, seconds: float = 60.0) -> None:
        """Wait until nothing is left to do."""
        answer = self.http.get("/v1/idle", params={"timeout": seconds})
        assert answer.status_code == 200, answer.text

    def delivery(self, image: str) -> dict[str, Any]:
        """The ledger's record of a picture."""
        found: dict[str, Any] = json.loads(self.file("deliveries", f"{image}.json"))
        return found

    def judging(self, rule: Mapping[str, Any] = RULE) -> str:
        """A repo `judge` to write verdicts to, and the shipped threat-detect that reads it."""
        self.repo("images", "arrivals", "devices", "rules", "deliveries", "judge")
        rules = self.put("rules", "/rule.json", json.dumps(rule).encode())
        self.pipeline(spec("threat-detect"))
        return rules

    def judged(
        self,
        image: str,
        rules: str,
        *,
        label: str = "person",
        alert: bool = True,
        score: str = "0.93",
    ) -> None:
        """What judge would write for a picture."""
        device, stamp = image[1:].rpartition(".")[0].split("_")
        self.put("judge", f"/{device}/{stamp}.json", verdict(image, rules, label, alert, score))


def verdict(
    image: str, rules: str, label: str = "person", alert: bool = True, score: str = "0.93"
) -> bytes:
    """A file of judge."""
    device = image[1:].partition("_")[0]
    step = {"object": 0, "step": "label", "field": "class", "value": 1, "limit": [1]}
    document = {
        "objects": [{"score": score, "class": 1, "label": label, "box": [0.1, 0.1, 0.5, 0.9]}],
        "image": image,
        "device": device,
        "model": {"name": "m", "sha256": "ab" * 32},
        "decision": {
            "verdict": "alert" if alert else "clean",
            "alert_key": image,
            "rules": {"commit": rules},
            "trace": [{**step, "pass": alert}],
        },
    }
    return json.dumps(document).encode()


@contextmanager
def cameras(data: Path, **settings: Any) -> Iterator[Cameras]:
    """A running server with the camera application alone, and settings of its own."""
    given = Settings(data=data, listen="127.0.0.1:0", apps={"cameras": settings})
    with running_server(data, apps=[application], settings=given) as address:
        found = Cameras(address)
        try:
            yield found
        finally:
            found.http.close()


def picture(seed: int = 0, kind: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    """A small valid picture; different seeds, different bytes."""
    image = Image.new("RGB", size, (seed % 256, seed // 256 % 256, 90))
    held = io.BytesIO()
    image.save(held, kind)
    return held.getvalue()


def until(found: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)
