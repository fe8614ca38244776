"""Branches of triggered inputs: whose they are, and what they follow (ENGINE T6).

A rule belongs to the pipelines whose specs state it. A branch follows another for as long as one of
them does; then it stands still, or goes if it was made for that pipeline alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vedette.metadata.store import Rows
from vedette.model.errors import Conflict
from vedette.model.inputs import Pfs, Trigger, leaves
from vedette.model.pipeline import PipelineSpec
from vedette.versioning import branches
from vedette.versioning.transaction import Transaction

Place = tuple[str, str]
"""A repo and a branch."""


def rules(spec: PipelineSpec) -> dict[Place, Trigger]:
    """What each triggered branch of a spec follows, and how."""
    return {
        (leaf.repo, leaf.branch): leaf.trigger
        for leaf in leaves(spec.input)
        if isinstance(leaf, Pfs) and leaf.trigger is not None
    }


def refused(spec: PipelineSpec, others: Sequence[PipelineSpec]) -> list[str]:
    """A line for each branch of a spec that moves by another rule, or is written, already (U6)."""
    faults = []
    own: dict[Place, Trigger] = {}
    triggered = [
        (leaf.name, (leaf.repo, leaf.branch), _told(leaf.trigger))
        for leaf in leaves(spec.input)
        if isinstance(leaf, Pfs) and leaf.trigger is not None
    ]
    for name, place, rule in triggered:
        if own.setdefault(place, rule) != rule:
            faults.append(f"input {name}: {_another(place)} in this spec")
    for other in others:
        theirs = rules(other)
        for name, place, rule in triggered:
            if place == (other.name, other.output_branch):
                faults.append(
                    f"input {name}: pipeline {other.name} writes {'@'.join(place)}, so no trigger "
                    "may move it: leave the input's 'branch' out"
                )
            elif _told(theirs.get(place, rule)) != rule:
                faults.append(f"input {name}: {_another(place)} of pipeline {other.name}")
    return faults


def _another(place: Place) -> str:
    return (
        f"write the same 'trigger', or name another 'branch': {'@'.join(place)} moves by another "
        "rule"
    )


def keep(tx: Transaction, spec: PipelineSpec) -> None:
    """Make the branches of a spec's triggered inputs, or have those that are there follow."""
    for (repo, name), rule in rules(spec).items():
        follows, encoded = rule.branch or "master", msgspec.json.encode(rule)
        if name in {branch.name for branch in branches.listing(tx.rows, repo)}:
            branches.follow(tx, repo, name, follows, encoded)
        else:
            branches.create(tx, repo, name, None, follows, encoded)


def release(tx: Transaction, before: PipelineSpec, now: Sequence[PipelineSpec]) -> None:
    """Let go of the branches that an earlier spec moved and none of the present ones does."""
    stated = {place for spec in now for place in rules(spec)}
    read = {(leaf.repo, leaf.branch) for spec in now for leaf in leaves(spec.input)}
    for repo, name in rules(before).keys() - stated:
        if _missing(tx.rows, repo, name):
            continue
        if name.startswith(f"{before.name[:50]}-trigger-") and (repo, name) not in read:
            try:
                branches.delete(tx, repo, name)
                continue
            except Conflict:  # somebody has an open commit in it: it stays for that
                pass
        branches.follow(tx, repo, name, None, None)


def _told(rule: Trigger) -> Trigger:
    return msgspec.structs.replace(rule, branch=rule.branch or "master")


def _missing(rows: Rows, repo: str, name: str) -> bool:
    """Whether the branch went before, with its repo or by force."""
    found = rows.one("repo_get", name=repo)
    return found is None or rows.one("branch_get", repo=found[0], name=name) is None
