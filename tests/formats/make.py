"""Writes a small data folder with this release's server, for later releases to read.

    .venv/bin/python -m tests.formats.make 0.1.0

Run once in a checkout of each release. `tests/formats/VERSION.tar.gz` then holds the data folder
as the server left it, and `expected.json` with what the server said of it; `test_formats.py` reads
every archive with the code of the day.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.program import Server, serving

HERE = Path(__file__).resolve().parent
STAGE = ["python", "-m", "vedette.stage"]
SCRIPT = (
    'case "$(cat "$one")" in bad*) echo no good; exit 3;; esac; '
    'wc -c < "$one" > "/pfs/out/$(basename "$one")"'
)
SPECS: list[dict[str, Any]] = [
    {
        "pipeline": {"name": "kept"},
        "transform": {"cmd": [*STAGE, "vedette.testing.stages:link"]},
        "input": {"pfs": {"repo": "images", "glob": "/*/*"}},
    },
    {
        "pipeline": {"name": "counted"},
        "transform": {"cmd": ["sh"], "stdin": ["set -e", SCRIPT]},
        "input": {"pfs": {"name": "one", "repo": "notes", "glob": "/*"}},
        "on_datum_failure": "datum",
        "datum_tries": 1,
    },
    {
        "pipeline": {"name": "crossed"},
        "transform": {"cmd": [*STAGE, "vedette.testing.stages:note"]},
        "input": {
            "cross": [
                {"pfs": {"repo": "kept", "glob": "/*"}},
                {"pfs": {"repo": "model", "glob": "/", "reference": True}},
            ]
        },
        "output_conflict": "last",
    },
]


def pattern(size: int, step: int) -> bytes:
    """Bytes that pack well and differ by `step`."""
    return bytes((n * step // 97) % 251 for n in range(1024)) * (size // 1024)


def fill(server: Server, folder: Path) -> None:
    """Give a server something of everything: sizes, forks, deletes, failures, an open commit."""
    for repo in ("images", "notes", "model"):
        server("create-repo", repo)
    for spec in SPECS:
        path = folder / "spec.json"
        path.write_text(json.dumps(spec))
        server("create-pipeline", "-f", path)
    server.put("model", "/weights", pattern(2 << 20, 3))  # a file of its own
    for number in range(6):
        server.put("images", f"/dev{number % 2}/{number}.jpg", pattern(40 << 10, number + 1))
        server.put("notes", f"/{number}", b"n" * (number + 1))
    server.put("notes", "/6", b"bad on purpose")
    server.put("images", "/dev0/0.jpg", pattern(60 << 10, 9))
    server("delete-file", "images@master:/dev1/1.jpg")
    server("create-branch", "images", "fork", "--head", "master^^")
    server("put-file", "images@fork:/dev0/new.jpg", "-f", "-", stdin=pattern(30 << 10, 11))
    server.idle()
    server("start-commit", "notes@master")
    server("put-file", "notes@master:/open", "-f", "-", stdin=b"written to an open commit")
    server("create-secret", "mail", "key=value")


def described(server: Server) -> dict[str, Any]:
    """What a server says of all that it holds."""
    repos = server.get("/v1/repos")
    found: dict[str, Any] = {"repos": repos, "commits": {}, "files": {}, "origins": {}}
    for repo in repos:
        name = repo["name"]
        history = server.get(f"/v1/repos/{name}/commits", limit="1000")
        found["commits"][name] = history
        for commit in history:
            if commit["state"] == "finished":
                found["files"][f"{name}@{commit['id']}"] = server.files(name, commit["id"])
        found["origins"][name] = {
            path: server.get(f"/v1/repos/{name}/commits/master/inspect/{path.lstrip('/')}")
            for path in server.files(name)
        }
    found["jobs"] = server.get("/v1/jobs", limit="1000")
    found["datums"] = {
        job["id"]: server.get(f"/v1/jobs/{job['id']}/datums") for job in found["jobs"]
    }
    found["failed"] = server.get("/v1/datums")
    logs = server.http.get(server.address + "/v1/logs", params={"pipeline": "counted"})
    found["logs"] = [json.loads(line) for line in logs.text.splitlines()]
    return found


def main(version: str) -> None:
    """Make the archive of a version."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with serving(folder / "data") as server:
            fill(server, folder)
            expected = described(server)
        for left in ("workers", "lock"):
            path = folder / "data" / left
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        with tarfile.open(HERE / f"{version}.tar.gz", "w:gz") as archive:
            archive.add(folder / "data", "data")
            text = json.dumps(expected, indent=1, sort_keys=True).encode()
            entry = tarfile.TarInfo("expected.json")
            entry.size = len(text)
            archive.addfile(entry, BytesIO(text))


if __name__ == "__main__":
    main(sys.argv[1])
