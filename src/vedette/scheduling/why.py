"""Why is this there? From a file to the datum, job and commits behind it (ENGINE T3, D8, S)."""

from __future__ import annotations

from typing import Any

import msgspec

from vedette.metadata.store import Rows
from vedette.model.api import DatumWhy, FileWhy, JobWhy
from vedette.model.errors import NotFound
from vedette.model.job import DatumInfo, JobInfo
from vedette.scheduling import datums, jobs
from vedette.versioning import commits, files, repos
from vedette.versioning.commits import CommitRow

_matches = msgspec.msgpack.Decoder(list[tuple[int, str, bytes | None, int]])
_numbers = msgspec.msgpack.Decoder(list[int])


def of_job(rows: Rows, job_id: str) -> JobWhy:
    """Why a job is there. Raises NotFound."""
    job = jobs.inspect(rows, job_id)
    roots = tuple(
        f"{repos.by_id(rows, commit.repo).name}@{commit.id}"
        for commit in commits.with_id(rows, job.commit)
        if commit.origin == "user"
    )
    base = rows.one("base_of_job", num=job.number)
    changed = _changed_inputs(rows, job, base[1]) if base is not None else ()
    read = ", ".join(f"{given.repo}@{given.branch}={given.commit}" for given in job.inputs)
    told = [_woken(rows, job, roots), f"it read {read}"]
    if base is not None and base[2] == job.version:
        what = ", ".join(changed) or "nothing"
        told.append(f"against job {base[0]}, from which {what} differs")
    elif job.started is not None:
        told.append("all of its inputs were looked at, for no job of this version was done before")
    told.append(_outcome(job))
    return JobWhy(
        job=job, told=tuple(told), roots=roots, changed=changed,
        base="" if base is None else base[0],
    )  # fmt: skip


def _woken(rows: Rows, job: JobInfo, roots: tuple[str, ...]) -> str:
    of = f"job {job.id} of pipeline {job.pipeline} (version {job.version})"
    if roots:
        return f"{of} was woken by {', '.join(roots)}"
    first = rows.one("first_of_version", num=job.number)
    if first is not None and first[0] == job.number:
        return f"{of} was woken by nobody's commit: version {job.version} was new"
    return f"{of} was woken by a command: restart-datum, rerun-pipeline or start-pipeline"


def _changed_inputs(rows: Rows, job: JobInfo, encoded: bytes) -> tuple[str, ...]:
    before = set()
    for num in _numbers.decode(encoded):
        name = rows.one("commit_name", num=num)
        if name is not None:
            before.add(tuple(name))
    return tuple(
        dict.fromkeys(
            given.name
            for given in job.inputs
            if (given.repo, given.branch, given.commit) not in before
        )
    )


def _outcome(job: JobInfo) -> str:
    said = (
        f"{job.state}: of {job.total} datums {job.processed} ran, {job.skipped} were skipped, "
        f"{job.failed} failed, {job.recovered} recovered"
    )
    return f"{said}; {job.reason}" if job.reason else said


def of_datum(rows: Rows, name: str | int, job_id: str = "") -> DatumWhy:
    """Why a datum ran, and with a job what that did with it. Raises NotFound."""
    datum = datums.inspect(rows, name)
    row = rows.one("datum_by_num", num=datum.number)
    assert row is not None, "it has just been read"
    told = [f"datum {datum.number} of pipeline {datum.pipeline}: {_paths(datum)}"]
    changed: tuple[str, ...] = ()
    before = rows.one("datum_before", ident=row[2], num=datum.number)
    if before is None:
        told.append("it ran because it was new: nothing with these inputs and paths ran before")
    else:
        changed = _changed_content(datum, row[12], before[1])
        why = f"{' and '.join(changed)} changed" if changed else "nothing of before counted as done"
        told.append(f"it ran because {why} since datum {before[0]} (version {before[2]})")
    told.append(_ran(rows, datum, row[4]))
    if job_id:
        told.append(_in_job(rows, datum, job_id))
    return DatumWhy(datum=datum, told=tuple(told), version=row[4], changed=changed)


def _paths(datum: DatumInfo) -> str:
    return ", ".join(f"{given.repo}@{given.branch}:{given.path}" for given in datum.inputs)


def _changed_content(datum: DatumInfo, now: bytes, before: bytes) -> tuple[str, ...]:
    """The names of inputs with another content; of a directory it is not known."""
    old = {(leaf, path): content for leaf, path, content, _ in _matches.decode(before)}
    found = [
        given.name
        for given, (leaf, path, content, _) in zip(datum.inputs, _matches.decode(now), strict=False)
        if content is None or old.get((leaf, path)) != content
    ]
    return tuple(dict.fromkeys(found))


def _ran(rows: Rows, datum: DatumInfo, version: int) -> str:
    where = f"job {datum.job}" if datum.job else "a job that is no longer kept"
    said = f"version {version} has it {datum.state} in {where}"
    if datum.finished is not None:
        said += f", done {datum.finished:%Y-%m-%d %H:%M:%S} UTC in {datum.seconds:.3f} s"
    return f"{said}: {datum.reason}" if datum.reason else said


_HOWS = {
    "run": "ran in it",
    "cached": "was skipped in it: its result was there already",
    "failed": "failed in it, or stayed failed",
    "recovered": "was recovered by err_cmd in it",
    "waiting": "was not done when it ended",
}


def _in_job(rows: Rows, datum: DatumInfo, job_id: str) -> str:
    job = jobs.inspect(rows, job_id)
    row = rows.one("how_in_job", job=job.number, datum=datum.number)
    if row is not None:
        return f"job {job.id}: the datum {_HOWS.get(row[0], row[0])}"
    if job.finished is None:
        return f"job {job.id} has not ended"
    return f"job {job.id}: the datum was skipped unseen, for nothing of it changed, or is not in it"


def of_file(rows: Rows, repo: str, ref: str, path: str) -> FileWhy:
    """Where a file comes from. Raises NotFound, also for a directory."""
    head = commits.resolve(rows, repo, ref)
    row = files.stat(rows, head, path)
    info = files.inspect(rows, head, path)
    if row is None:
        raise NotFound(f"{path} in {repo}@{ref} is a directory: ask about a file in it", path=path)
    found = rows.one("commit_at", line=row.line, seq=row.from_seq)
    assert found is not None, "a file is written by a commit"
    commit = CommitRow(*found)
    name = f"{repos.by_id(rows, commit.repo).name}@{commit.id}"
    told = [f"{info.path} has {info.size} bytes, object {info.object[:16]}"]
    if row.datum is None:
        note = f" ({commit.description})" if commit.description else ""
        told.append(f"it was put by commit {name}{note}")
        return FileWhy(file=info, told=tuple(told), commit=name)
    return _made(rows, info, commit, name, told, row.datum)


def _made(
    rows: Rows, info: Any, commit: CommitRow, name: str, told: list[str], number: int
) -> FileWhy:
    """A file that a datum wrote."""
    if rows.one("datum_by_num", num=number) is None:
        told.append(f"it was written in commit {name} by a datum that is no longer known")
        told += _came_from(rows, commit)
        return FileWhy(file=info, told=tuple(told), commit=name)
    why = of_datum(rows, number)
    told.append(f"it was written in commit {name} by {why.told[0]}")
    told += why.told[1:]
    job = jobs.inspect(rows, why.datum.job) if why.datum.job else None
    if job is not None:
        read = ", ".join(f"{given.repo}@{given.commit}" for given in job.inputs)
        told.append(f"that job read {read}")
    else:
        told += _came_from(rows, commit)
    return FileWhy(file=info, told=tuple(told), commit=name, datum=why.datum, job=job)


def _came_from(rows: Rows, commit: CommitRow) -> list[str]:
    """What is known of a commit whose job may be forgotten."""
    read = commits.provenance(rows, commit.num)
    return [f"that commit came from {', '.join(read)}"] if read else []
