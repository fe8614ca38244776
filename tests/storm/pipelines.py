"""What is at work in a storm: the shipped camera pipelines, and three more for files of all kinds.

papers -> kept (by reference) -> marked (a command) and both -> paired (a join over a diamond).
"""

from __future__ import annotations

import json
from typing import Any

from tests.program import Server

from vedette_cameras.setup import spec

STAGE = ["python", "-m", "vedette.stage"]
# No pipes: a shell takes no notice of a part that was killed, and would succeed with half of it.
_MARK = """set -e
out="/pfs/out/$(basename "$kept")"
cat "$kept" > "$out"
printf seen >> "$out"
"""
_PAIR = """set -e
kept_size=$(wc -c < "$kept")
marked_size=$(wc -c < "$marked")
echo $((kept_size + marked_size)) > "/pfs/out/$(basename "$kept")"
"""
_FILES: list[dict[str, Any]] = [
    {
        "pipeline": {"name": "kept"},
        "transform": {"cmd": [*STAGE, "vedette.testing.stages:link"]},
        "input": {"pfs": {"repo": "papers", "glob": "/*"}},
    },
    {
        "pipeline": {"name": "marked"},
        "transform": {"cmd": ["sh"], "stdin": _MARK.splitlines()},
        "input": {"pfs": {"repo": "kept", "glob": "/*"}},
        "parallelism_spec": {"constant": 2},
    },
    {
        "pipeline": {"name": "paired"},
        "transform": {"cmd": ["sh"], "stdin": _PAIR.splitlines()},
        "input": {
            "join": [
                {"pfs": {"repo": name, "glob": "/(*)", "join_on": "$1"}}
                for name in ("kept", "marked")
            ]
        },
    },
]
CAMERAS = ("validate", "object-detect", "judge", "threat-detect", "counts", "plot")
FILES = tuple(each["pipeline"]["name"] for each in _FILES)
REPOS = ("images", "arrivals", "papers", *CAMERAS, *FILES)
DEVICES = ("gate", "yard")
# A try is used up when a stage process dies, which in a storm is not the stage's fault.
_PATIENT = {"datum_tries": 100, "on_datum_failure": "datum", "datum_timeout": "5m"}


def set_up(server: Server) -> None:
    """Repos, devices, a rule and pipelines on an installation that is at rest."""
    server("cameras", "init")
    server("create-repo", "papers")
    for name in CAMERAS:
        document = json.dumps({**spec(name), **_PATIENT}).encode()
        server("update-pipeline", "-f", "-", stdin=document)
    for each in _FILES:
        server("create-pipeline", "-f", "-", stdin=json.dumps({**each, **_PATIENT}).encode())
    for device in DEVICES:
        answer = server.http.put(f"{server.address}/v1/cameras/devices/{device}", json={})
        assert answer.status_code in (200, 201), answer.text
    server.idle()
