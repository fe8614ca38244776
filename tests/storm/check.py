"""All that must hold of an installation after a storm, asked over HTTP.

    python -m tests.storm.check --server http://127.0.0.1:7650 [--noted noted.json]

Prints each fault and exits with 1 when there is one. Without `--noted` only what the installation
says of itself is compared: jobs, counts, deliveries, `fsck --deep`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from tests.storm.api import Api, Gone
from tests.storm.memory import Accepted, Noted, Sent, load

from vedette.model.ids import object_id

_NEVER = "9999"
"""Later than every RFC 3339 time."""


def faults(api: Api, noted: Noted) -> Iterator[str]:
    """Everything that is wrong, a line each."""
    yield from lost_files(api, noted)
    yield from wrong_history(api, noted)
    yield from changed_commits(api, noted)
    yield from over_limits(api, noted)
    yield from wrong_jobs(api, noted)
    yield from wrong_counts(api)
    yield from untold(api, noted)
    yield from unsound(api)


def lost_files(api: Api, noted: Noted) -> Iterator[str]:
    """C1, K1, K2: accepted files are in their commits, the last of a path at the head.

    Those that were deleted for good are gone, and nothing else is.
    """
    heads = {repo: api.listing(repo) for repo in {each.repo for each in noted.accepted}}
    old = {repo: set(_ids(api, repo)[last:]) for repo, last in noted.retained.items()}
    of: dict[tuple[str, str], list[Accepted]] = {}
    for each in noted.accepted:
        of.setdefault((each.repo, each.path), []).append(each)
    for (repo, path), events in of.items():
        buried = max((n for n, e in enumerate(events) if e.kind == "entombed"), default=-1)
        for number, each in enumerate(events):
            if each.kind == "put" and not is_squashed(noted, repo, each.commit):
                gone = number < buried or each.commit in old.get(repo, ())
                yield from _wrong_version(api, each, gone)
        last = next((e for e in reversed(events) if e.kind != "entombed"), None)
        wanted, found = last.object if last else "", heads[repo].get(path, "")
        if found != wanted:
            yield (
                f"{repo}:{path} is {found or 'nothing'} at the head, and {wanted or 'nothing'} "
                "was accepted last"
            )


def _wrong_version(api: Api, each: Accepted, gone: bool) -> Iterator[str]:
    content = api.content(each.repo, each.path, each.commit)
    where = f"{each.repo}@{each.commit}:{each.path}"
    if content is None:
        yield f"{where} was accepted and is not there"
    elif isinstance(content, Gone):
        if not gone:
            yield f"{where} was accepted and its bytes are gone: {content.reason}"
    elif gone:
        yield f"{where} was deleted for good and has its bytes"
    elif object_id(content).hex() != each.object:
        yield f"{where} has other bytes than were accepted"


def _ids(api: Api, repo: str) -> list[str]:
    return [commit["id"] for commit in api.commits(repo)]


def is_squashed(noted: Noted, repo: str, commit: str) -> bool:
    """Whether a commit was taken out of the history."""
    return any(each.commit == commit and each.repo in ("", repo) for each in noted.squashed)


def wrong_history(api: Api, noted: Noted) -> Iterator[str]:
    """C1: commits that were squashed are gone; calls with a key made one commit each."""
    for each in noted.squashed:
        for repo in [each.repo] if each.repo else _with_commits(api):
            if api.has(repo, each.commit):
                yield f"{repo}@{each.commit} was squashed and is there"
    for repo in noted.once:
        accepted = {e.commit for e in noted.accepted if e.repo == repo and e.commit}
        found = set(_ids(api, repo))
        for commit in sorted(found - accepted):
            yield f"{repo}@{commit} is a commit that no call was answered with"
        for commit in sorted(accepted - found):
            if not is_squashed(noted, repo, commit):
                yield f"{repo}@{commit} was answered, and is not there"


def _with_commits(api: Api) -> list[str]:
    return [repo["name"] for repo in api.get("/v1/repos")]


def over_limits(api: Api, noted: Noted) -> Iterator[str]:
    """A repo holds no more than it may."""
    for repo, most in noted.limits.items():
        held = api.get(f"/v1/repos/{repo}/usage")["versions"]
        if held > most:
            yield f"{repo} holds {held} bytes, and may hold {most}"


def changed_commits(api: Api, noted: Noted) -> Iterator[str]:
    """P7: a finished commit is what it was when it was first seen, unless it was squashed."""
    for name, digest in noted.commits.items():
        repo, _, commit = name.partition("@")
        now = api.digest(repo, commit)
        if now != digest and not (now == "" and is_squashed(noted, repo, commit)):
            yield f"{name} was finished, and holds other files now"


def wrong_jobs(api: Api, noted: Noted) -> Iterator[str]:
    """R9, T2, C1: sums agree; one job a pipeline and commit, none without cause; whole outputs."""
    jobs = api.jobs()
    for job in jobs:
        done = job["processed"] + job["skipped"] + job["failed"] + job["recovered"]
        name = f"job {job['id']} of {job['pipeline']}"
        if job["state"] != "SUCCESS":
            yield f"{name} is {job['state']}: {job.get('reason', '')}"
        elif done != job["total"]:
            yield f"{name} has {job['total']} datums, and {done} are accounted for"
    made = Counter((job["pipeline"], job["commit"]) for job in jobs)
    for (pipeline, commit), count in made.items():
        if count > 1:
            yield f"{pipeline} has {count} jobs for commit {commit}"
    for pipeline in api.get("/v1/pipelines"):
        yield from _wrong_jobs_of(
            api, noted, pipeline, [j for j in jobs if j["pipeline"] == pipeline["name"]]
        )


def _leaves(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        for word, inner in tree.items():
            if word in ("pfs", "atom"):
                yield inner
            else:
                yield from _leaves(inner)
    elif isinstance(tree, list):
        for inner in tree:
            yield from _leaves(inner)


def _wrong_jobs_of(
    api: Api, noted: Noted, pipeline: dict[str, Any], jobs: list[dict[str, Any]]
) -> Iterator[str]:
    name = pipeline["name"]
    outputs = {commit["id"]: commit["state"] for commit in api.commits(name)}
    having = {job["commit"] for job in jobs}
    for job in jobs:
        state = outputs.get(job["commit"], "missing")
        if state != "finished":
            yield f"{name} has a job for {job['commit']}, and its output commit is {state}"
    for commit in outputs.keys() - having:
        yield f"{name}@{commit} is an output without a job"
    found = list(_leaves(pipeline["spec"]["input"]))
    triggered = {leaf["repo"] for leaf in found if leaf.get("trigger")}
    inputs = {leaf["repo"]: _ended(api, leaf["repo"]) for leaf in found}
    # T1: no job until every input has a commit.
    complete = max(min((c["finished"] for c in each), default=_NEVER) for each in inputs.values())
    since = max(complete, pipeline["created"])
    for repo in inputs.keys() - triggered:
        for commit in inputs[repo]:
            lacks = commit["id"] not in having and not is_squashed(noted, name, commit["id"])
            if commit["finished"] > since and lacks:
                yield f"{name} has no job for {repo}@{commit['id']}"
    for repo in triggered:
        read = Counter(i["commit"] for job in jobs for i in job["inputs"] if i["repo"] == repo)
        for commit, count in read.items():
            if count > 1:
                yield f"{name} has {count} jobs for one move of its branch to {repo}@{commit}"


def _ended(api: Api, repo: str) -> list[dict[str, Any]]:
    return [commit for commit in api.commits(repo) if commit["state"] == "finished"]


def wrong_counts(api: Api) -> Iterator[str]:
    """The line of truth agrees with itself and with the repos, where there are cameras."""
    answer = api.ask("/v1/cameras/summary")
    if answer.status_code == 404:
        return
    said = answer.json()
    parts = ("invalid", "clean", "suppressed", "alerted", "failed", "in_flight")
    if said["received"] != sum(said[part] for part in parts):
        yield f"received is not the sum of what became of it: {said}"
    if said["in_flight"]:
        yield f"{said['in_flight']} pictures are in flight, and nothing is left to do"
    images = api.listing("images")
    if said["received"] != len(images):
        yield f"{said['received']} pictures were received, and images holds {len(images)}"


def untold(api: Api, noted: Noted) -> Iterator[str]:
    """CAMERAS 6: each threat is told, under one Message-ID; twice only for a reason."""
    records: dict[str, dict[str, Any]] = {}
    for path in api.listing("deliveries"):
        if not path.startswith("/."):
            records[path] = api.json("deliveries", path)
    known = {record["key"] for record in records.values() if record.get("kind", "alert") == "alert"}
    for path in api.listing("threat-detect"):
        # The original's own specs do not say it; their paths do.
        image = api.json("threat-detect", path).get("image") or (
            f"/{path[1:].replace('/', '_').removesuffix('.json')}.jpg"
        )
        if image not in known:
            yield f"{image} is a threat that the ledger does not know"
    told = Counter(message.id for message in noted.sent)
    ids = Counter(r["message_id"] for r in records.values() if r["state"] == "accepted")
    for path, record in records.items():
        summed = record["state"] == "late" and record.get("summaries")
        if record["state"] != "accepted" and not summed:
            yield f"delivery {path} is {record['state']}: {record.get('error', '')}"
        elif record["state"] == "accepted" and noted.sent and record["message_id"] not in told:
            yield f"delivery {path} is accepted, and the provider never took it"
    for message, count in ids.items():
        if count > 1:
            yield f"{count} deliveries share the Message-ID {message}"
    for message in told.keys() - ids.keys():
        yield f"the provider took {message}, which no delivery is about"
    yield from doubled(noted)


def doubled(noted: Noted) -> Iterator[str]:
    """A message that came again needs a death of its sender, or an answer that was lost, between.

    One death accounts for no more messages than can be under way at once.
    """
    before: dict[str, Sent] = {}
    blamed: Counter[float] = Counter()
    for message in sorted(noted.sent, key=lambda each: each.taken):
        first = before.get(message.id)
        before[message.id] = message
        if first is None or first.unheard:
            continue
        upsets = [u.at for u in noted.upsets if first.asked <= u.at <= message.taken]
        if not upsets:
            yield f"{message.id} was sent again, {message.asked - first.taken:.1f} s after the yes"
        else:
            blamed[min(upsets, key=lambda at: blamed[at])] += 1
    for at, count in blamed.items():
        if count > noted.senders:
            yield f"{count} messages were doubled by the one upset at {at:.1f}"


def unsound(api: Api) -> Iterator[str]:
    """What fsck finds when it reads everything, after what it says to sweep has been swept."""
    found = _fsck(api)
    if any(fault["kind"] == "left" for fault in found):
        # Bytes whose transaction came to nothing: waste, and no fault while it can be taken away.
        swept = api.http.post(f"{api.addresses[0]}/v1/garbage?full=true")
        assert swept.status_code == 200, swept.text
        found = _fsck(api)
    for fault in found:
        yield f"fsck: {fault}"


def _fsck(api: Api) -> list[dict[str, Any]]:
    answer = api.ask("/v1/fsck", deep="true")
    assert answer.status_code == 200, f"fsck answered {answer.status_code}: {answer.text}"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return [line["fault"] for line in lines if line.get("fault")]


def main() -> int:
    """Check one installation."""
    parser = argparse.ArgumentParser(description="What must hold after a storm.")
    parser.add_argument("--server", action="append", required=True)
    parser.add_argument("--noted", type=Path, help="what the storm noted, as it wrote it down")
    words = parser.parse_args()
    api = Api(*words.server)
    noted = load(words.noted) if words.noted else msgspec.convert({}, Noted)
    found = 0
    for fault in faults(api, noted):
        print(fault)
        found += 1
    print(f"{found} faults; {len(noted.accepted)} accepted files, {len(noted.commits)} commits "
          f"and {len(noted.sent)} messages compared")  # fmt: skip
    api.close()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
