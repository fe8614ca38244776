"""Pipelines: create, update, delete, list (ENGINE U)."""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import Any

import msgspec

from vedette.decide import order
from vedette.metadata.store import Row, Rows
from vedette.model.errors import Conflict, InvalidSpec, NotFound
from vedette.model.inputs import Cron, Cross, Group, Input, Join, Pfs, leaves
from vedette.model.keeping import Rule
from vedette.model.paths import check_name
from vedette.model.pipeline import JobSummary, PipelineInfo, PipelineSpec
from vedette.model.spec import absent, parse_spec, unsupported
from vedette.scheduling import clocks, following, history, rerun
from vedette.scheduling.intents import PipelineChanged, PipelineDeleted, RepoDeleted, intend
from vedette.versioning import commits, drafts, repos, retention
from vedette.versioning.times import moment
from vedette.versioning.transaction import Transaction

_SALT_BYTES = 16


def read_spec(
    document: dict[str, Any], rows: Rows | None = None
) -> tuple[PipelineSpec, tuple[str, ...]]:
    """Check a document; the spec and its warnings. Raises InvalidSpec with every fault (U6).

    With `rows`, the repos that are missing are told together with other faults.
    """
    try:
        parsed = parse_spec(document)
    except InvalidSpec:
        if rows is None:
            raise
        parsed = parse_spec(document, [info.name for info in repos.listing(rows)])
    refused = unsupported(parsed.spec)
    if refused:
        raise InvalidSpec("\n".join(refused), pipeline=parsed.spec.name)
    return parsed.spec, parsed.warnings


@lru_cache(maxsize=256)
def stored_spec(encoded: bytes) -> PipelineSpec:
    """The spec of a stored document. Documents never change, and listings read the same ones."""
    return read_spec(msgspec.json.decode(encoded))[0]


def create(
    tx: Transaction,
    document: dict[str, Any],
    *,
    update: bool = False,
    reprocess: bool = False,
    since: str = "",
) -> PipelineInfo:
    """Create a pipeline, or give it a new version (ENGINE U1, U2, U6).

    `since` is a commit of an input (its id, a branch, or an ancestor of one): a new pipeline
    replays the history from it on, one job a commit (T4). Raises InvalidSpec, Conflict for an
    existing name without `update`, NotFound for a commit that no input has.
    """
    spec, _warnings = read_spec(document, tx.rows)
    present = tx.rows.one("pipeline_by_name", name=spec.name)
    if present is not None and not update:
        raise Conflict(
            f"pipeline {spec.name} exists already: use update-pipeline", pipeline=spec.name
        )
    check(tx.rows, spec, present is not None)
    encoded = msgspec.json.encode(document)
    fresh = bytes.fromhex(tx.new_id())[:_SALT_BYTES]
    if present is None:
        repo = repos.create(tx, spec.name, kind="pipeline", description=spec.description)
        pipeline, version, salt = 0, 1, fresh
        pipeline = tx.rows.insert(
            "add_pipeline", name=spec.name, repo=repo, branch=spec.output_branch, version=1,
            salt=salt, created=tx.now,
        )  # fmt: skip
    else:
        pipeline, version = present[0], present[4] + 1
        salt = fresh if reprocess else present[5]
        tx.rows.run("set_pipeline_version", id=pipeline, version=version, salt=salt,
                    branch=spec.output_branch)  # fmt: skip
    tx.rows.run("add_pipeline_version", pipeline=pipeline, version=version, document=encoded,
                salt=salt, created=tx.now)  # fmt: skip
    clocks.keep(tx, pipeline, spec)
    _retain(tx, spec)
    following.keep(tx, spec)
    if present is not None:
        following.release(tx, stored_spec(present[9]), _specs(tx.rows))
    intend(tx, _changed(tx.rows, spec, since))
    return inspect(tx.rows, spec.name)


def _changed(rows: Rows, spec: PipelineSpec, since: str) -> PipelineChanged:
    """That a pipeline is to look at its inputs: from a commit of one of them on, if it is named."""
    if not since:
        return PipelineChanged(spec.name)
    for leaf in leaves(spec.input):
        branch = repos.get(rows, leaf.repo).id, leaf.branch
        head = rows.one("branch_head", repo=branch[0], name=branch[1])
        try:
            first = commits.resolve(rows, leaf.repo, since).num
        except NotFound:
            continue
        if head is not None and head[0] is not None:
            found = tuple(num for (num,) in rows.all("history_since", head=head[0], first=first))
            if found[:1] == (first,):
                return PipelineChanged(spec.name, found, branch)
    raise NotFound(
        f"no input of pipeline {spec.name} has a commit {since}: list-commit shows those there are"
    )


def _retain(tx: Transaction, spec: PipelineSpec) -> None:
    """How long the pipeline's repo keeps bytes (ENGINE K1)."""
    rule = Rule(age=spec.retain_age, last=spec.retain_last)
    retention.follow_spec(tx, repos.get(tx.rows, spec.name).id, rule)


def check(rows: Rows, spec: PipelineSpec, exists: bool) -> None:
    """Raise InvalidSpec with every fault that a spec has among the repos there are (ENGINE U6)."""
    faults = []
    check_name(spec.name, "pipeline")
    known = {info.name: info for info in repos.listing(rows)}
    if not exists and spec.name in known:
        faults.append(f"pipeline.name: repo {spec.name} exists already and is not its output")
    for leaf in leaves(spec.input):
        if leaf.repo == spec.name:
            faults.append(f"input {leaf.name}: a pipeline cannot read its own output")
        elif leaf.repo not in known and isinstance(leaf, Pfs):
            faults.append(f"input {leaf.name}: {absent(leaf.repo, known)}")
    faults += following.refused(spec, [s for s in _specs(rows) if s.name != spec.name])
    if not faults and _cycle(rows, spec):
        faults.append(f"pipeline {spec.name} would read what comes from its own output")
    if faults:
        raise InvalidSpec("\n".join(faults), pipeline=spec.name)


def _cycle(rows: Rows, spec: PipelineSpec) -> bool:
    reads: dict[str, set[str]] = {}
    for other in _specs(rows):
        reads[other.name] = {leaf.repo for leaf in leaves(other.input)}
    reads[spec.name] = {leaf.repo for leaf in leaves(spec.input)}
    return order.would_cycle(reads, {name: name for name in reads}, spec.name)


def _specs(rows: Rows) -> list[PipelineSpec]:
    return [stored_spec(row[9]) for row in rows.all("pipelines")]


def readers(rows: Rows, repo: str) -> list[str]:
    """The pipelines that read a repo or own it, by name."""
    found = []
    for row in rows.all("pipelines"):
        spec = stored_spec(row[9])
        if row[1] == repo or any(leaf.repo == repo for leaf in leaves(spec.input)):
            found.append(str(row[1]))
    return sorted(found)


def delete(tx: Transaction, name: str, *, force: bool = False, keep_repo: bool = False) -> None:
    """Delete a pipeline and its repo (ENGINE U4). Refused while another reads it."""
    row = row_of(tx.rows, name)
    if "@" in name:
        rerun.drop(tx, row)
        return
    spec = stored_spec(row[9])
    gone = [name, *(leaf.repo for leaf in clocks.crons(spec) if not keep_repo)]
    others = sorted({o for repo in gone for o in readers(tx.rows, repo)} - {name})
    others = [other for other in others if other.partition("@")[0] != name]
    if others and not force:
        raise Conflict(
            f"pipeline {name} is read by {', '.join(others)}: delete them first, or use --force"
        )
    for each in tx.rows.all("pipelines"):
        if each[1].startswith(f"{name}@"):
            rerun.drop(tx, each)
    intend(tx, PipelineDeleted(name))
    pipeline = row[0]
    if keep_repo:
        drafts.undo(tx.rows, pipeline)
    tx.rows.run("draft_drop", pipeline=pipeline)
    for query in ("delete_pipeline_versions", "drop_egress", "delete_pipeline"):
        tx.rows.run(query, id=pipeline)
    following.release(tx, spec, _specs(tx.rows))
    tx.rows.run("drop_rebase", pipeline=pipeline)
    tx.rows.run("drop_open_commits", repo=row[2])
    for ticks in clocks.drop(tx, pipeline, keep_repo):
        intend(tx, RepoDeleted(repos.get(tx.rows, ticks).id))
        repos.delete(tx, ticks)
    if keep_repo:
        tx.rows.run("repo_becomes_user", id=row[2])
    else:
        intend(tx, RepoDeleted(row[2]))
        repos.delete(tx, name)
    history.drop_pipeline(tx, pipeline, name)


def row_of(rows: Rows, name: str) -> Row:
    """A pipeline's row with its present document. Raises NotFound with the nearest name."""
    row = rows.one("pipeline_by_name", name=name)
    if row is None:
        names = [str(each[1]) for each in rows.all("pipelines")]
        near = difflib.get_close_matches(name, names, 1)
        hint = f": did you mean {near[0]}?" if near else ""
        raise NotFound(f"no pipeline {name}{hint}", pipeline=name)
    return row


def spec_of(rows: Rows, name: str) -> PipelineSpec:
    """The present spec of a pipeline. Raises NotFound with the nearest name."""
    return stored_spec(row_of(rows, name)[9])


def listing(rows: Rows) -> list[PipelineInfo]:
    """All pipelines, oldest first."""
    counts = _counts(rows)
    return [_info(rows, row, counts) for row in rows.all("pipelines") if "@" not in row[1]]


def inspect(rows: Rows, name: str) -> PipelineInfo:
    """One pipeline. Raises NotFound with the nearest name."""
    return _info(rows, row_of(rows, name), _counts(rows))


def _counts(rows: Rows) -> dict[tuple[str, str], int]:
    return {(name, state): n for name, state, n in rows.all("open_datum_counts")}


def _info(rows: Rows, row: Row, counts: dict[tuple[str, str], int]) -> PipelineInfo:
    name = row[1]
    document = msgspec.json.decode(row[9])
    spec, _ = read_spec(document)
    newest = rows.one("newest_job", pipeline=row[0])
    failed = rows.one("failed_datum_count", pipeline=name)
    state = row[7]
    queued, running = counts.get((name, "queued"), 0), counts.get((name, "leased"), 0)
    if state == "RUNNING" and not queued and not running and not spec.standing:
        state = "STANDBY"
    return PipelineInfo(
        name=name, version=row[4], created=moment(row[6]), state=state, reason=row[8],
        inputs=tuple(dict.fromkeys(leaf.repo for leaf in leaves(spec.input))),
        input=describe(spec.input), output=f"{name}/{row[3]}", image=spec.transform.image,
        spec=document, queued=queued, running=running, failed=int(failed[0]) if failed else 0,
        job=JobSummary(id=newest[0], state=newest[1]) if newest else None,
    )  # fmt: skip


def describe(tree: Input) -> str:
    """An input tree in a line, as Pachyderm's tables show it: (a:/* ⨯ b:/)."""
    if isinstance(tree, Pfs):
        return f"{tree.repo}:{tree.glob}"
    if isinstance(tree, Cron):
        return f"{tree.name}:{tree.spec}"
    if not tree.children:
        return "none"
    sign = " ⨯ " if isinstance(tree, Cross) else " ⋈ " if isinstance(tree, Join) else " ∪ "
    sign = " ⊕ " if isinstance(tree, Group) else sign
    return "(" + sign.join(describe(child) for child in tree.children) + ")"
