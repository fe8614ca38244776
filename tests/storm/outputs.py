"""What the pipelines of a storm must have made of what was accepted: all of it and nothing else."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping

from tests.storm.api import Api
from tests.storm.memory import Noted

from vedette.model.ids import object_id


def wrong_files(api: Api, noted: Noted) -> Iterator[str]:
    """papers -> kept -> marked, and both -> paired; scraps -> shown."""
    for source, kept in (("papers", "kept"), ("scraps", "shown")):
        given, found = api.listing(source), api.listing(kept)
        lost = lost_bytes(noted, source, [c["id"] for c in api.commits(source)])
        # What has lost its bytes before its datum ran is no datum (K1); else all is as ever.
        for path in found.keys() ^ given.keys():
            if (path, given.get(path)) in lost:
                given.pop(path)
        yield from differs(kept, found, given)
    kept_files, marked, paired = api.listing("kept"), api.listing("marked"), api.listing("paired")
    known = {path: noted.derived[object] for path, object in kept_files.items()}
    yield from differs("marked", marked, {path: made.marked for path, made in known.items()})
    sums = {path: object_id(b"%d\n" % (2 * made.size + 4)).hex() for path, made in known.items()}
    yield from differs("paired", paired, sums)


def lost_bytes(noted: Noted, repo: str, commits: list[str]) -> set[tuple[str, str]]:
    """(path, object) of the versions in a repo whose bytes are to be gone; its commits from new."""
    lost: set[tuple[str, str]] = set()
    versions: dict[str, list[str]] = {}
    last = noted.retained.get(repo)
    old = set(commits[last:]) if last is not None else set()
    for each in noted.accepted:
        if each.repo != repo:
            continue
        if each.kind == "put":
            versions.setdefault(each.path, []).append(each.object)
            if each.commit in old:
                lost.add((each.path, each.object))
        elif each.kind == "entombed":
            lost.update((each.path, object) for object in versions.get(each.path, []))
    return lost


def wrong_cameras(api: Api, noted: Noted) -> Iterator[str]:
    """The shipped pipelines."""
    judged = api.listing("judge")
    valid = yield from wrong_validated(api, "validate")
    for repo, found in (("object-detect", api.listing("object-detect")), ("judge", judged)):
        yield from differs(repo, dict.fromkeys(found, ""), dict.fromkeys(valid, ""))
    wanted = {
        path: object
        for path, object in judged.items()
        if api.json("judge", path)["decision"]["verdict"] == "alert"
    }
    yield from differs("threat-detect", api.listing("threat-detect"), wanted)


def wrong_validated(api: Api, repo: str) -> Generator[str, None, set[str]]:
    """All pictures are in one of two folders; what is to be found in the valid ones."""
    validated = api.listing(repo)
    sorted_out = {
        f"/{path.rpartition('/')[2]}": object
        for path, object in validated.items()
        if path.startswith(("/valid/", "/invalid/"))
    }
    yield from differs(repo, sorted_out, api.listing("images"))
    return {_judged(path) for path in validated if path.startswith("/valid/")}


def _judged(path: str) -> str:
    device, _, rest = path.rpartition("/")[2].partition("_")
    return f"/{device}/{rest.rpartition('.')[0]}.json"


def differs(repo: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    """Every path that is missing, too many or of another content."""
    for path in sorted(wanted.keys() - found.keys()):
        yield f"{repo}:{path} is missing"
    for path in sorted(found.keys() - wanted.keys()):
        yield f"{repo}:{path} is there, and nothing makes it"
    for path in sorted(found.keys() & wanted.keys()):
        if found[path] != wanted[path]:
            yield f"{repo}:{path} is {found[path]}, and must be {wanted[path]}"
