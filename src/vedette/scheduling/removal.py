"""Which repos and branches may be taken away, as pipelines read and write them (ENGINE U4).

By force a reader loses its input. What a pipeline writes is never taken from under it: its next job
would change files that are no longer there. That goes with the pipeline.
"""

from __future__ import annotations

from vedette.metadata.store import Rows
from vedette.model.errors import Conflict, NotFound
from vedette.model.inputs import leaves
from vedette.scheduling import following, pipelines, rerun
from vedette.scheduling.intents import BranchDeleted, RepoDeleted, intend
from vedette.versioning import branches, repos
from vedette.versioning.transaction import Transaction


def delete_repo(tx: Transaction, name: str, *, force: bool = False) -> None:
    """Delete a repo. Raises NotFound, and Conflict for what is written or, but by force, read."""
    repo = repos.get(tx.rows, name).id
    if tx.rows.one("pipeline_by_name", name=name) is not None:
        raise Conflict(
            f"repo {name!r} is what pipeline {name} writes: delete-pipeline {name} takes it away",
            repo=name,
        )
    owner = tx.rows.one("clock_owner", repo=repo)
    if owner is not None:
        raise Conflict(
            f"repo {name!r} holds the ticks of pipeline {owner[0]}: delete that first", repo=name
        )
    _refuse_read(pipelines.readers(tx.rows, name), f"repo {name!r}", force)
    repos.delete(tx, name)
    intend(tx, RepoDeleted(repo))


def delete_branch(tx: Transaction, repo: str, branch: str, *, force: bool = False) -> None:
    """Delete a branch; what runs again into it is given up. Raises as `delete_repo`."""
    if all(each.name != branch for each in branches.listing(tx.rows, repo)):
        raise NotFound(f"repo {repo!r} has no branch {branch!r}: see `vedette list-branch`")
    live = tx.rows.one("pipeline_by_name", name=repo)
    if live is not None and live[3] == branch:
        raise Conflict(
            f"branch {repo}@{branch} is what pipeline {repo} writes: "
            f"delete-pipeline {repo} takes it away"
        )
    _refuse_read(_readers(tx.rows, repo, branch), f"branch {repo}@{branch}", force)
    beside = tx.rows.one("pipeline_by_name", name=f"{repo}@{branch}")
    if beside is not None:
        rerun.drop(tx, beside)
    branches.delete(tx, repo, branch)
    intend(tx, BranchDeleted(repos.get(tx.rows, repo).id, branch))


def _readers(rows: Rows, repo: str, branch: str) -> list[str]:
    """The pipelines that read a branch, or move another one after it."""
    found = set()
    for name in pipelines.readers(rows, repo):
        spec = pipelines.spec_of(rows, name)
        read = {(leaf.repo, leaf.branch) for leaf in leaves(spec.input)}
        read |= {
            (place[0], rule.branch or "master") for place, rule in following.rules(spec).items()
        }
        if (repo, branch) in read:
            found.add(name)
    return sorted(found)


def _refuse_read(readers: list[str], what: str, force: bool) -> None:
    if readers and not force:
        raise Conflict(
            f"{what} is used by pipeline {', '.join(readers)}: delete that first, or use --force"
        )
