"""A leased datum in the words that a worker understands."""

from __future__ import annotations

from vedette.metadata.store import Rows
from vedette.model.errors import NotFound
from vedette.model.pipeline import PipelineSpec
from vedette.model.work import Code, Task, TaskFile, TaskInput
from vedette.scheduling import matches
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Datum, Job, Leaf, Match, Pipeline
from vedette.versioning import files
from vedette.versioning.commits import CommitRow

_PAGE = 1000


def task_of(round: Round, datum: Datum) -> Task:
    """The task of a datum that has just been leased, for the first of the jobs that need it."""
    job = datum.jobs[0]
    leaves = datum.pipeline.leaves
    by_name: dict[str, list[Match]] = {}
    for match in datum.matches:
        by_name.setdefault(leaves[match.leaf].name, []).append(match)
    return Task(
        datum=datum.num, lease=datum.lease, id=datum.ident.hex(), code=datum.pipeline.code_key,
        job=job.id, commit=job.commit_id, attempt=datum.tries + 1,
        inputs=tuple(_input(round, datum, job, found) for found in by_name.values()),
    )  # fmt: skip


def _input(round: Round, datum: Datum, job: Job, found: list[Match]) -> TaskInput:
    """One input: a group has several matches of it, which may lie within one another."""
    last = found[-1]
    leaf = datum.pipeline.leaves[last.leaf]
    commit = _commit(round, datum, job, leaf)
    held = [_held(round, datum, commit, match) for match in found]
    together = held[0]
    if len(held) > 1:
        by_path = {file.path: file for each in held for file in each}
        together = tuple(by_path[path] for path in sorted(by_path))
    keys = {by: matches.key(leaf, by, last.path) for by in leaf.keys}
    return TaskInput(
        leaf.name, leaf.repo, leaf.branch[1], commit.id, last.path, together,
        join_on=keys.get("join", ""), group_by=keys.get("group", ""),
        paths=tuple(match.path for match in found) if len(found) > 1 else (),
    )  # fmt: skip


def _held(round: Round, datum: Datum, commit: CommitRow, match: Match) -> tuple[TaskFile, ...]:
    """The files at or below a match."""
    if match.object is not None and not datum.pipeline.leaves[match.leaf].reference:
        return (TaskFile(match.path, match.object, match.size),)
    return _files(round, commit, match.path)


def _commit(round: Round, datum: Datum, job: Job, leaf: Leaf) -> CommitRow:
    """The commit of an input; after a crash a reference is read where it stands now (C3)."""
    planned = round.commits.get(round.rows, job.inputs[leaf.index])
    if leaf.reference and datum.newest_references:
        row = round.rows.one("branch_head", repo=leaf.branch[0], name=leaf.branch[1])
        if row is not None and row[0] is not None and row[0] > planned.num:
            return round.commits.get(round.rows, row[0])
    return planned


def _files(round: Round, commit: CommitRow, path: str) -> tuple[TaskFile, ...]:
    """All files at or below a path; the same question comes with every picture."""
    known = round.memory.trees.get((commit.num, path))
    if known is not None:
        return known
    found: list[TaskFile] = []
    after = ""
    while True:
        page = files.walk(round.rows, commit, path, after=after, limit=_PAGE)
        # What was deleted for good (K1) is not there for user code: it has no bytes.
        found += [TaskFile(f.path, f.object, f.size) for f in page if f.gone is None]
        if len(page) < _PAGE:
            break
        after = page[-1].path
    result = tuple(found)
    if len(result) <= 64:
        if len(round.memory.trees) > 256:
            round.memory.trees.clear()
        round.memory.trees[(commit.num, path)] = result
    return result


def code_of(rows: Rows, pipeline: Pipeline) -> Code:
    """What a worker needs to know of a pipeline version. Raises NotFound for a missing secret."""
    if pipeline.pool is None:
        raise NotFound(f"pipeline {pipeline.name} has no workers: {pipeline.reason}")
    secrets = secrets_of(rows, pipeline.spec)
    return Code(
        key=pipeline.code_key, pool=pipeline.pool.key, pipeline=pipeline.family,
        version=pipeline.version, spec=pipeline.spec, secrets=secrets,
    )  # fmt: skip


def secrets_of(rows: Rows, spec: PipelineSpec) -> dict[str, dict[str, str]]:
    """The values of the secrets that a spec names. Raises NotFound for a missing one."""
    secrets: dict[str, dict[str, str]] = {}
    for mount in spec.transform.secrets:
        values: dict[str, bytes] = dict(rows.all("secret_values", name=mount.name))
        if not values:
            raise NotFound(f"pipeline {spec.name}: secret {mount.name} does not exist")
        secrets[mount.name] = {key: bytes(value).decode() for key, value in values.items()}
    return secrets
