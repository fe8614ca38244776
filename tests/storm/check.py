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
from tests.storm.api import Api
from tests.storm.memory import Noted, Sent, load

from vedette.model.ids import object_id

_NEVER = "9999"
"""Later than every RFC 3339 time."""


def faults(api: Api, noted: Noted) -> Iterator[str]:
    """Everything that is wrong, a line each."""
    yield from lost_files(api, noted)
    yield from changed_commits(api, noted)
    yield from wrong_jobs(api)
    yield from wrong_counts(api)
    yield from untold(api, noted)
    yield from unsound(api)


def lost_files(api: Api, noted: Noted) -> Iterator[str]:
    """C1: every accepted file is in its commit, and the last of a path at the head."""
    last: dict[tuple[str, str], str] = {}
    for each in noted.accepted:
        last[each.repo, each.path] = each.object
        content = api.content(each.repo, each.path, each.commit)
        if content is None:
            yield f"{each.repo}@{each.commit}:{each.path} was accepted and is not there"
        elif object_id(content).hex() != each.object:
            yield f"{each.repo}@{each.commit}:{each.path} has other bytes than were accepted"
    heads = {repo: api.listing(repo) for repo in {repo for repo, _ in last}}
    for (repo, path), object in last.items():
        if heads[repo].get(path) != object:
            found = heads[repo].get(path, "nothing")
            yield f"{repo}:{path} is {found} at the head, and {object} was accepted last"


def changed_commits(api: Api, noted: Noted) -> Iterator[str]:
    """P7: a finished commit is what it was when it was first seen."""
    for name, digest in noted.commits.items():
        repo, _, commit = name.partition("@")
        if api.digest(repo, commit) != digest:
            yield f"{name} was finished, and holds other files now"


def wrong_jobs(api: Api) -> Iterator[str]:
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
            api, pipeline, [j for j in jobs if j["pipeline"] == pipeline["name"]]
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


def _wrong_jobs_of(api: Api, pipeline: dict[str, Any], jobs: list[dict[str, Any]]) -> Iterator[str]:
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
            if commit["finished"] > since and commit["id"] not in having:
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
        image = api.json("threat-detect", path)["image"]
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
