"""What is at work in a storm: the cameras' pipelines, and more for files of all kinds.

papers -> kept (by reference) -> marked (a command) and both -> paired (a join over a diamond).
scraps, which keeps the bytes of its newest commits only and may hold little -> shown.
Cameras: the shipped pipelines, the original's own specs, or both over the same pictures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tests.program import Server
from tests.storm import original
from tests.storm.api import Api
from tests.storm.memory import Memory, Noted
from tests.storm.outputs import wrong_cameras, wrong_files

from vedette_cameras.runtimes import code_folder
from vedette_cameras.setup import BUNDLED_MODEL, spec

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
    {
        "pipeline": {"name": "shown"},
        "transform": {"cmd": [*STAGE, "vedette.testing.stages:link"]},
        "input": {"pfs": {"repo": "scraps", "glob": "/*"}},
        "retain": {"last": 3},
    },
]
CAMERAS = ("validate", "object-detect", "judge", "threat-detect", "counts", "plot")
FILES = tuple(each["pipeline"]["name"] for each in _FILES)
DEVICES = ("gate", "yard")
RETAINED = {"scraps": 8}
LIMITS = {"scraps": 400_000}
# A try is used up when a stage process dies, which in a storm is not the stage's fault.
_PATIENT = {"datum_tries": 100, "on_datum_failure": "datum", "datum_timeout": "5m"}


class Load(NamedTuple):
    """What is to be done before, which repos are to be watched, and what must have come of it.

    `door`: cameras use the cameras' door. `pause`: how long they wait between two pictures.
    """

    set_up: Callable[[Server], None]
    repos: Sequence[str]
    wrong: Callable[[Api, Noted], Iterator[str]]
    door: bool
    pause: float


def set_up(server: Server, load: Load, memory: Memory) -> None:
    """Repos and pipelines on an installation that is at rest."""
    load.set_up(server)
    for repo in ("papers", "scraps"):
        server("create-repo", repo)
    for repo, last in RETAINED.items():
        server("update-repo", repo, "--retain", f"last:{last}")
    for repo, most in LIMITS.items():
        server("update-repo", repo, "--max-bytes", str(most))
    memory.noted.once = ["papers", "scraps"]
    memory.noted.retained, memory.noted.limits = {**RETAINED, "shown": 3}, dict(LIMITS)
    for each in _FILES:
        server("create-pipeline", "-f", "-", stdin=json.dumps({**each, **_PATIENT}).encode())
    server.idle()


def _set_up_shipped(server: Server) -> None:
    server("cameras", "init")
    for name in CAMERAS:
        document = json.dumps({**spec(name), **_PATIENT}).encode()
        server("update-pipeline", "-f", "-", stdin=document)
    for device in DEVICES:
        answer = server.http.put(f"{server.address}/v1/cameras/devices/{device}", json={})
        assert answer.status_code in (200, 201), answer.text


def _set_up_original(server: Server, prefix: str = "") -> None:
    for each in original.specs(prefix):
        server("create-pipeline", "-f", "-", stdin=json.dumps({**each, **_PATIENT}).encode())


def _set_up_all(server: Server) -> None:
    _set_up_shipped(server)
    _set_up_original(server, _COPY)


def _set_up_alone(server: Server) -> None:
    for repo in ("images", "model", "rules"):
        server("create-repo", repo)
    server("put-file", "model", "master", "-c", "-f", BUNDLED)
    rule = json.dumps(original.RULE).encode()
    server("put-file", "rules", "master", "/rule.json", "-c", "-f", "-", stdin=rule)
    _set_up_original(server)


def _wrong_all(api: Api, noted: Noted) -> Iterator[str]:
    yield from wrong_cameras(api, noted)
    yield from original.wrong(api, _COPY)


_COPY = "original-"
"""Before the names of the original's pipelines where the shipped ones have those."""
_ORIGINAL = tuple(_COPY + name for name in original.NAMES)
BUNDLED = code_folder().parents[1] / "models" / BUNDLED_MODEL
LOADS = {
    "shipped": Load(_set_up_shipped, ("images", "arrivals", *CAMERAS), wrong_cameras, True, 0.5),
    "original": Load(
        _set_up_alone, ("images", *original.NAMES), lambda api, _: original.wrong(api), False, 4.0
    ),
    "both": Load(_set_up_all, ("images", "arrivals", *CAMERAS, *_ORIGINAL), _wrong_all, True, 4.0),
}


def repos(load: Load) -> list[str]:
    """All repos that are written to."""
    return [*load.repos, "papers", "scraps", *FILES]


def wrong_outputs(api: Api, load: Load, noted: Noted) -> Iterator[str]:
    """Every difference between the heads and what follows from their inputs."""
    yield from wrong_files(api, noted)
    yield from load.wrong(api, noted)
