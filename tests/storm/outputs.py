"""What the pipelines of a storm must have made of what was accepted: all of it and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.storm.api import Api

from vedette.model.ids import object_id


def wrong_outputs(api: Api) -> Iterator[str]:
    """Every difference between the heads and what follows from their inputs."""
    yield from _wrong_files(api)
    yield from _wrong_cameras(api)


def _wrong_files(api: Api) -> Iterator[str]:
    papers = api.listing("papers")
    yield from _differs("kept", api.listing("kept"), papers)
    marked, paired = api.listing("marked"), api.listing("paired")
    wanted_marked: dict[str, str] = {}
    wanted_paired: dict[str, str] = {}
    for path in papers:
        content = api.content("papers", path)
        assert content is not None, path
        wanted_marked[path] = object_id(content + b"seen").hex()
        wanted_paired[path] = object_id(b"%d\n" % (2 * len(content) + 4)).hex()
    yield from _differs("marked", marked, wanted_marked)
    yield from _differs("paired", paired, wanted_paired)


def _wrong_cameras(api: Api) -> Iterator[str]:
    images, validated = api.listing("images"), api.listing("validate")
    sorted_out = {
        f"/{path.rpartition('/')[2]}": object
        for path, object in validated.items()
        if path.startswith(("/valid/", "/invalid/"))
    }
    yield from _differs("validate", sorted_out, images)
    valid = {_judged(path) for path in validated if path.startswith("/valid/")}
    detected, judged = api.listing("object-detect"), api.listing("judge")
    for repo, found in (("object-detect", detected), ("judge", judged)):
        yield from _differs(repo, dict.fromkeys(found, ""), dict.fromkeys(valid, ""))
    threats = api.listing("threat-detect")
    wanted = {
        path: object
        for path, object in judged.items()
        if api.json("judge", path)["decision"]["verdict"] == "alert"
    }
    yield from _differs("threat-detect", threats, wanted)


def _judged(path: str) -> str:
    device, _, rest = path.rpartition("/")[2].partition("_")
    return f"/{device}/{rest.rpartition('.')[0]}.json"


def _differs(repo: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    for path in sorted(wanted.keys() - found.keys()):
        yield f"{repo}:{path} is missing"
    for path in sorted(found.keys() - wanted.keys()):
        yield f"{repo}:{path} is there, and nothing makes it"
    for path in sorted(found.keys() & wanted.keys()):
        if found[path] != wanted[path]:
            yield f"{repo}:{path} is {found[path]}, and must be {wanted[path]}"
