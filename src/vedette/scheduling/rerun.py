"""History run again beside the live pipeline, in another branch of its repo (ENGINE S5).

What runs it is a pipeline of its own in all but name: the same spec, a salt of its own so that
nothing counts as done, and one job over the newest inputs. Its datums give way to all others. When
the live branch is moved to that job's commit, the live pipeline takes over the datums and the salt:
its next job is compared with that one, and only what came meanwhile runs.
"""

from __future__ import annotations

from vedette.metadata.store import Row, Rows
from vedette.model.errors import Conflict
from vedette.model.paths import check_name
from vedette.scheduling import history
from vedette.scheduling.intents import PipelineChanged, PipelineDeleted, intend
from vedette.versioning import branches, drafts
from vedette.versioning.transaction import Transaction


def check(rows: Rows, row: Row, branch: str) -> None:
    """Raise InvalidName or Conflict where a pipeline cannot be run again into a branch."""
    check_name(branch, "branch")
    name = row[1]
    if branch == row[3]:
        raise Conflict(f"{name}@{branch} is what the pipeline writes: name another branch")
    known = {each.name for each in branches.listing(rows, name)}
    if branch in known or rows.one("pipeline_by_name", name=f"{name}@{branch}") is not None:
        raise Conflict(f"branch {name}@{branch} exists already: name another, or delete-branch it")


def begin(tx: Transaction, row: Row, branch: str) -> str:
    """Run all datums of a pipeline again into a branch; what runs is named. Raises as `check`."""
    check(tx.rows, row, branch)
    name = f"{row[1]}@{branch}"
    salt = bytes.fromhex(tx.new_id())[:16]
    made = tx.rows.insert(
        "add_pipeline", name=name, repo=row[2], branch=branch, version=row[4], salt=salt,
        created=tx.now,
    )  # fmt: skip
    tx.rows.run("add_pipeline_version", pipeline=made, version=row[4], document=row[9], salt=salt,
                created=tx.now)  # fmt: skip
    branches.create(tx, row[1], branch)
    intend(tx, PipelineChanged(name))
    return name


def drop(tx: Transaction, row: Row) -> None:
    """Give up a rerun, finished or not; its branch stays with what was committed to it."""
    _forget(tx, row)
    history.drop_pipeline(tx, row[0])


def _forget(tx: Transaction, row: Row) -> None:
    intend(tx, PipelineDeleted(row[1]))
    drafts.undo(tx.rows, row[0])
    tx.rows.run("draft_drop", pipeline=row[0])
    tx.rows.run("drop_open_commits_of_branch", repo=row[2], branch=row[3])
    for query in ("delete_pipeline_versions", "delete_pipeline"):
        tx.rows.run(query, id=row[0])


def adopt(tx: Transaction, repo: str, branch: str, head: int | None) -> bool:
    """Before a branch is moved: where it is a live one and moves to a rerun, take that over.

    If so, `PipelineMoved` is to be intended once the readers of the branch have been told.
    Raises Conflict where the pipeline has another version by now, or writes a large commit; and
    where a live branch would move anywhere else: what its next job skips would not be in it (S3).
    """
    live = tx.rows.one("pipeline_by_name", name=repo)
    if live is None or live[3] != branch:
        return False
    for beside in tx.rows.all("pipelines"):
        if not beside[1].startswith(f"{repo}@"):
            continue
        good = tx.rows.one("good_job", pipeline=beside[0])
        if good is not None and good[4] == head:
            _take_over(tx, live, beside, good[0])
            return True
    present = tx.rows.one("branch_head", repo=live[2], name=branch)
    if present is None or present[0] != head:
        raise Conflict(
            f"branch {repo}@{branch} is what pipeline {repo} writes: it moves to what "
            "`rerun-pipeline --all` wrote into another branch, and nowhere else; for an older "
            "state, make a branch of another name"
        )
    return False


def _take_over(tx: Transaction, live: Row, beside: Row, job: int) -> None:
    if live[4] != beside[4]:
        raise Conflict(
            f"{beside[1]} ran version {beside[4]}, but pipeline {live[1]} has version {live[4]}: "
            "rerun-pipeline --all again into another branch"
        )
    for row in (live, beside):
        if drafts.of(tx.rows, row[0]) is not None:
            raise Conflict(f"pipeline {row[1]} is writing a large commit: try again after it")
    rows = tx.rows
    history.drop_datums(tx, live[0])
    for query in ("give_members", "give_parts", "give_jobs"):
        rows.run(query, to=live[0], of=beside[0])
    rows.run("set_pipeline_version", id=live[0], version=live[4], salt=beside[5], branch=live[3])
    rows.run("set_salt", pipeline=live[0], version=live[4], salt=beside[5])
    newest = rows.one("last_job_num")
    rows.run("set_rebase", pipeline=live[0], job=job, since=(newest[0] if newest else 0) + 1)
    _forget(tx, beside)
