"""The original pipeline in a storm: its own four specs, and what must have come of its pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.storm.api import Api
from tests.storm.outputs import differs, wrong_validated

_SPECS = Path(__file__).parents[1] / "acceptance" / "original_specs"
NAMES = ("validate", "object-detect", "threat-detect", "plot")
RULE = {"from_email": "a@example.org", "to_email": "b@example.org", "threat_classes": [1, 3, 4, 8]}
_PNG = b"\x89PNG\r\n\x1a\n"


def specs(prefix: str = "") -> Iterator[dict[str, Any]]:
    """Its specs as they are; with a prefix before the names of pipelines where others have them."""
    for name in NAMES:
        document: dict[str, Any] = json.loads((_SPECS / f"{name}.json").read_text())
        document["pipeline"]["name"] = prefix + name
        for leaf in document["input"].get("cross", [document["input"]]):
            repo = leaf["atom"]["repo"]
            if prefix and repo in NAMES:
                leaf["atom"] = {"name": repo, **leaf["atom"], "repo": prefix + repo}
        yield document


def wrong(api: Api, prefix: str = "") -> Iterator[str]:
    """Every difference between the heads and what follows from the pictures."""
    valid = yield from wrong_validated(api, prefix + "validate")
    found = api.listing(prefix + "object-detect")
    yield from differs(prefix + "object-detect", dict.fromkeys(found, ""), dict.fromkeys(valid, ""))
    threats = {path: object for path, object in found.items() if _is_threat(api, prefix, path)}
    yield from differs(prefix + "threat-detect", api.listing(prefix + "threat-detect"), threats)
    # One chart a device, joined: its glob is /*, and it writes one path (M2, as under 1.6).
    devices = {path.split("/")[1] for path in threats}
    if devices:
        chart = api.content(prefix + "plot", "/threats.png")
        charts = chart.count(_PNG) if isinstance(chart, bytes) else 0
        if charts != len(devices):
            yield f"{prefix}plot:/threats.png holds {charts} charts, and there are {devices}"


def _is_threat(api: Api, prefix: str, path: str) -> bool:
    classes = {each["class"] for each in api.json(prefix + "object-detect", path)["objects"]}
    return not classes.isdisjoint(RULE["threat_classes"])
