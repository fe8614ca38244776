"""The scheduler's memory, made from rows: at start, and after a round that failed."""

from __future__ import annotations

from typing import Protocol

import msgspec

from vedette.decide import expand, order, skip
from vedette.decide.tree import By
from vedette.metadata.store import Row, Rows
from vedette.model.glob import compile_glob
from vedette.model.inputs import Cron, Pfs, leaves
from vedette.model.pipeline import PipelineSpec
from vedette.model.work import Pool
from vedette.scheduling import bulk, clocks
from vedette.scheduling.pipelines import read_spec
from vedette.scheduling.rounds import Paged
from vedette.scheduling.running import Base, Branch, Going, Job, Leaf, Memory, Pipeline
from vedette.versioning import drafts

_NOBODY = (
    "no host works for this server, which leaves all work to others (--workers 0): "
    "start `vedette worker` on one"
)
GONE = -1
"""Stands for the number of a repo that was deleted by force."""


class Runtimes(Protocol):
    """Where a spec can run; see `vedette.launchers.runtimes`. `idle`: nothing runs here at all."""

    idle: bool

    def problem(self, spec: PipelineSpec) -> str | None:
        """Why a spec cannot run here, with the way out; None if it can."""

    def pool_of(self, spec: PipelineSpec) -> Pool:
        """The pool that serves a spec that can run."""


def load(rows: Rows, runtimes: Runtimes, now: int, workers: Memory | None = None) -> Memory:
    """Read everything that is unfinished. Jobs are expanded anew; done datums are found done.

    `workers` is the memory before: its workers live on, without their leases. Leases are numbered
    from `now` (microseconds) on, so that none of an earlier run is ever given again; from the time
    that the leader's row says where another server's clock was ahead.
    """
    memory = Memory()
    memory.next_job = _next(rows.one("last_job_num"))
    memory.next_datum = _next(rows.one("last_datum_num"))
    memory.next_lease = max(now, _since(rows.one("leader")))
    if workers is not None:
        memory.next_lease = max(memory.next_lease, workers.next_lease)
        for worker in workers.workers.values():
            worker.leases.clear()
        memory.workers = workers.workers
    for row in rows.all("pipelines"):
        pipeline = make(rows, row, runtimes)
        memory.pipelines[pipeline.name] = pipeline
    sort(memory)
    for repo, name, head in rows.all("branch_heads"):
        if head is not None:
            memory.planned[(repo, name)] = head
    clocks.load(rows, memory)
    _jobs(rows, memory)
    return memory


def _next(row: Row | None) -> int:
    return (row[0] if row else 0) + 1


def _key(name: str, branch: Branch, earlier: list[Leaf]) -> str:
    same = list(dict.fromkeys(leaf.branch for leaf in earlier if leaf.name == name))
    place = same.index(branch) if branch in same else len(same)
    return f"{name}\0{place}" if place else name


def _since(row: Row | None) -> int:
    return int(row[2]) if row else 0


def read(rows: Rows, row: Row) -> Pipeline:
    """What a pipeline's row says: its spec and its inputs; not where it runs or how far it is."""
    spec, _ = read_spec(msgspec.json.decode(row[9]))
    found: list[Leaf] = []
    for index, leaf in enumerate(leaves(spec.input)):
        branch: Branch = (_repo(rows, leaf.repo), leaf.branch)
        found.append(
            Leaf(
                index, leaf.name, _key(leaf.name, branch, found), leaf.repo, branch,
                compile_glob(leaf.glob), isinstance(leaf, Pfs) and leaf.reference, _keys(leaf),
            )
        )  # fmt: skip
    return Pipeline(
        id=row[0], name=row[1], version=row[4], spec=spec, salt=row[5],
        code=skip.code_preimage(spec), repo=row[2], branch=row[3], created=row[6], leaves=found,
        node=expand.number(spec.input), state=row[7], reason=row[8],
    )  # fmt: skip


def make(rows: Rows, row: Row, runtimes: Runtimes) -> Pipeline:
    """A pipeline from its row. One whose image is unknown here is for other hosts."""
    pipeline = read(rows, row)
    spec = pipeline.spec
    problem = runtimes.problem(spec)
    if problem is None:
        pipeline.pool = runtimes.pool_of(spec)
        pipeline.problem = _NOBODY if runtimes.idle else ""
    else:
        # A host that knows the image may yet offer to run it: a pool that nobody here serves.
        pipeline.problem, pipeline.elsewhere = _alone(spec, problem), True
        if pipeline.state not in ("PAUSED", "RUNNING"):
            pipeline.state, pipeline.reason = "CRASHING", pipeline.problem
        slots = max(1, spec.parallelism or 1)
        pipeline.pool = Pool(key=f"elsewhere:{spec.name}", kind="command", slots=slots)
    if spec.job_timeout is not None:
        ended = rows.one("last_end", pipeline=pipeline.id)
        pipeline.turn = (ended[0] if ended else 0) or 0
    gone = [leaf.repo for leaf in pipeline.leaves if leaf.branch[0] == GONE]
    if gone:
        pipeline.state, pipeline.reason = "FAILURE", without(gone[0])
    draft = drafts.of(rows, pipeline.id)
    if draft is not None and draft.placed:
        pipeline.behind = _behind(pipeline.id, draft)
    pipeline.good = good_of(rows, pipeline.id)
    return pipeline


def _alone(spec: PipelineSpec, problem: str) -> str:
    """Why nobody runs a pipeline that cannot run here."""
    return (
        f"no host that serves image {spec.transform.image!r} is connected: start `vedette worker` "
        f"on one; and here: {problem}"
    )


def _keys(leaf: Pfs | Cron) -> dict[By, str]:
    """The templates of the keys that a leaf's matches have."""
    if not isinstance(leaf, Pfs):
        return {}
    given: dict[By, str] = {"join": leaf.join_on, "group": leaf.group_by}
    return {by: template for by, template in given.items() if template}


def without(repo: str) -> str:
    """Why a pipeline cannot work whose input was deleted by force."""
    return f"its input repo {repo} was deleted: create it and update-pipeline, or delete-pipeline"


def _repo(rows: Rows, name: str) -> int:
    row = rows.one("repo_get", name=name)
    return GONE if row is None else int(row[0])


def good_of(rows: Rows, pipeline: int) -> Base | None:
    """What the next job is compared with; None where an input of that has been deleted."""
    good = rows.one("good_job", pipeline=pipeline)
    moved = rows.one("rebase", pipeline=pipeline)
    if moved is not None and (good is None or good[0] < moved[1]):
        good = rows.one("job_as_base", num=moved[0])
    if good is None:
        return None
    inputs = tuple(msgspec.msgpack.decode(good[2]))
    if any(rows.one("commit_name", num=num) is None for num in inputs):
        return None
    return Base(good[0], good[1], inputs, good[3])


def _behind(pipeline: int, draft: drafts.Draft) -> Going:
    """What a large job left to do when the server was stopped."""
    return Paged(lambda now: bulk.members(now, pipeline, draft.job, draft.whole))


def sort(memory: Memory) -> None:
    """Put the pipelines in the order of their data flow."""
    pipelines = memory.pipelines.values()
    reads = {p.name: {str(leaf.branch[0]) for leaf in p.leaves} for p in pipelines}
    names = order.topological(reads, {p.name: str(p.repo) for p in pipelines if not p.aside})
    memory.order = [memory.pipelines[name] for name in names]
    rules = [
        (pipeline.leaves[index].branch[0], leaf.trigger)
        for pipeline in memory.order
        for index, leaf in enumerate(leaves(pipeline.spec.input))
        if isinstance(leaf, Pfs) and leaf.trigger is not None
    ]
    memory.followed = {(repo, rule.branch or "master") for repo, rule in rules}
    memory.timed = all(rule.size is None and rule.commits is None for _, rule in rules)
    memory.next_trigger, memory.looked = 0, False
    for depth, pipeline in enumerate(memory.order):
        pipeline.depth = depth


def _jobs(rows: Rows, memory: Memory) -> None:
    by_id = {pipeline.id: pipeline for pipeline in memory.order}
    plans: dict[str, int] = {}
    forced = {
        int(name.partition(":")[2]): msgspec.json.decode(value, type=list[int])
        for name, value in rows.all("forced")
    }
    for (
        num,
        name,
        owner,
        version,
        commit,
        commit_id,
        _base,
        inputs,
        _state,
        created,
        started,
    ) in rows.all("open_jobs"):
        pipeline = by_id.get(owner)
        if pipeline is None:
            continue
        plan = plans.setdefault(commit_id, len(plans) + 1)
        job = Job(
            num=num, id=name, pipeline=pipeline, version=version, commit=commit,
            commit_id=commit_id, inputs=tuple(msgspec.msgpack.decode(inputs)), created=created,
            plan=plan, started=started, fresh=False, stale=True,
        )  # fmt: skip
        job.forced.update(forced.get(num, ()))
        pipeline.jobs.append(job)
        memory.planned[pipeline.output] = commit
        memory.unfinished.add(commit)
    memory.next_plan = len(plans) + 1
