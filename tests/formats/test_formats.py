"""Data that earlier releases wrote is read, whole, by the code of today, which works on with it."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.formats.make import HERE, described, pattern
from tests.program import Server, serving

ARCHIVES = sorted(HERE.glob("*.tar.gz"))
OPEN = b"written to an open commit"


def unpacked(archive: Path, folder: Path) -> dict[str, Any]:
    with tarfile.open(archive) as held:
        held.extractall(folder, filter="data")
    # The jobs of an archive grow old; that they go then is not what is looked at here.
    with (folder / "data" / "vedette.toml").open("a") as settings:
        settings.write("keep_jobs = inf\nkeep_failed_jobs = inf\n")
    found: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    return found


def missing(expected: Any, found: Any, where: str = "") -> list[str]:
    """What a release no longer says as an earlier one did. Fields that are new do not count."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            fault
            for key, value in expected.items()
            for fault in (
                missing(value, found[key], f"{where}/{key}") if key in found else [f"{where}/{key}"]
            )
        ]
    if where.endswith("/provenance") and expected == []:
        return []  # lists of commits did not tell it up to 0.2.0
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [fault for n, (a, b) in pairs for fault in missing(a, b, f"{where}/{n}")]
    return [] if expected == found else [f"{where}: {expected!r} became {found!r}"]


def newest_job(server: Server, pipeline: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = server.get("/v1/jobs", pipeline=pipeline, limit="1")
    return found[0]


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def test_the_data_of_an_earlier_release_is_read_and_worked_on(
    archive: Path, tmp_path: Path
) -> None:
    """C1 across releases: files, history, jobs, datums, logs and what explains them stay."""
    expected = unpacked(archive, tmp_path)
    with serving(tmp_path / "data") as server:
        server("garbage-collect")  # what upkeep would do some seconds later
        assert missing(expected, described(server)) == []
        assert server.content("model", "/weights") == pattern(2 << 20, 3)
        assert server.content("images", "/dev0/0.jpg") == pattern(60 << 10, 9)
        assert server.content("images", "/dev0/0.jpg", "fork") == pattern(40 << 10, 1)
        server("finish-commit", "notes@master")
        assert server.content("notes", "/open") == OPEN
        server.put("images", "/dev1/new.jpg", pattern(50 << 10, 13))
        server.idle()
        kept, counted = newest_job(server, "kept"), newest_job(server, "counted")
        assert (kept["state"], kept["processed"], kept["skipped"]) == ("SUCCESS", 1, 5)
        assert (counted["state"], counted["processed"], counted["total"]) == ("SUCCESS", 1, 8)
        assert server.content("counted", "/open") == b"%d\n" % len(OPEN)
        assert server.content("crossed", "/dev1/new.jpg.txt") == b"%d\n" % (50 << 10)
        assert server.content("counted", "/3") == b"4\n"


def test_there_is_an_archive_of_an_earlier_release() -> None:
    assert "0.1.0.tar.gz" in [path.name for path in ARCHIVES]
