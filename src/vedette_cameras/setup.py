"""Sets the camera application up on a server: repos, the bundled model, a rule, the pipelines."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from vedette.client import Client
from vedette.model.errors import Conflict, NotFound
from vedette_cameras.runtimes import PIPELINES

REPOS = {
    "images": "Pictures as they arrived, /<device>_<time>.<ext>",
    "arrivals": "How each picture arrived, /<name in images>.json",
    "devices": "The cameras, /<device>.json",
    "model": "The detection model, and model.json beside it where it is not a known one",
    "rules": "What is a threat and whom to tell: rule.json, users/, devices/",
    "deliveries": "Who was told of what, /<name in images>.json",
}
BUNDLED_MODEL = "nanodet_g_416.onnx"
OPTIONAL = ("annotate",)
DEFAULT_RULE: dict[str, Any] = {
    "from_email": "vedette@localhost",
    "to_email": "operator@localhost",
    "threat_classes": [1, 3, 4, 8],
}
"""The original's classes: person, car, motorcycle, truck."""


async def set_up(client: Client, *, update: bool = False, annotate: bool = False) -> list[str]:
    """Make what is missing, and say what was made; what is there is left as it is.

    `update` brings pipelines to the shipped specs, `annotate` adds the optional pipeline. Calling
    it again changes nothing.
    """
    done = []
    have = {repo.name for repo in await client.list_repo()}
    for name, description in REPOS.items():
        if name not in have:
            try:
                await client.create_repo(name, description)
            except Conflict:
                continue  # made by somebody else meanwhile
            done.append(f"repo {name}")
    if not await client.list_commit("devices", limit=1):
        # The charts read it: an empty commit says that no device is known so far.
        opened = await client.start_commit("devices", "master")
        await client.finish_commit("devices", opened.id)
    if await _is_empty(client, "model"):
        model = files("vedette_cameras").joinpath("models", BUNDLED_MODEL).read_bytes()
        await client.put_file("model", "master", f"/{BUNDLED_MODEL}", model)
        done.append(f"model {BUNDLED_MODEL}")
    if await _is_empty(client, "rules"):
        rule = json.dumps(DEFAULT_RULE, indent=2).encode() + b"\n"
        await client.put_file("rules", "master", "/rule.json", rule)
        done.append("rule rule.json")
    running = {pipeline.name for pipeline in await client.list_pipeline()}
    for name in PIPELINES:
        if name in OPTIONAL and not annotate:
            continue
        if name in running and not update:
            continue
        await client.create_pipeline(spec(name), update=name in running)
        done.append(f"pipeline {name}")
    return done


def spec(name: str) -> dict[str, Any]:
    """A shipped pipeline's spec."""
    path = files("vedette_cameras").joinpath("pipelines", f"{name}.json")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


async def _is_empty(client: Client, repo: str) -> bool:
    try:
        return not await client.list_file(repo, "master", "/", limit=1)
    except NotFound:
        return True
