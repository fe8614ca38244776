"""Repos, commits, branches, pipelines and jobs in memory: what the platform promises, at once.

A `Model` needs no server, no disk and no time: a commit has caused all that it causes when the
call returns. Use it to try a pipeline's spec and its code in a unit test. The platform itself is
tested against it.

    world = Model()
    world.create_repo("images")
    world.create_pipeline(spec, of_stage(my_stage))
    world.commit({"images": {"/a.jpg": picture}})
    assert world.files("my-pipeline") == {"/a.json": ...}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vedette.model.errors import Conflict, InvalidSpec, NotFound, PathConflict
from vedette.model.inputs import Cron, Pfs, leaves
from vedette.model.paths import clean, parents
from vedette.model.pipeline import PipelineSpec
from vedette.model.spec import parse_spec
from vedette.stage import Datum
from vedette.testing.forming import Combination, form
from vedette.testing.merging import Written, merged

Inputs = Mapping[str, Mapping[str, bytes]]
"""What a datum reads: files by input name and path."""
Code = Callable[[Inputs], Mapping[str, bytes]]
"""What a pipeline does with a datum: its outputs by path. Any exception fails the datum."""

State = Literal["SUCCESS", "FAILURE", "UNRUNNABLE"]


def of_stage(stage: Callable[..., None], *args: str, env: Mapping[str, str] | None = None) -> Code:
    """A stage written with `vedette.stage` as a pipeline's code."""

    def run(inputs: Inputs) -> Mapping[str, bytes]:
        datum = Datum.of(inputs, env=env)
        stage(datum, *args)
        return datum.outputs

    return run


class Recovered(Exception):  # noqa: N818 - it is a state of the datum
    """Raised by a pipeline's code: the datum could not be done, and `err_cmd` said that is fine."""


@dataclass(frozen=True)
class Commit:
    """A finished or errored commit. `number` orders all commits of a model."""

    number: int
    id: str
    repo: str
    branch: str
    parent: Commit | None
    files: Mapping[str, bytes]
    error: str = ""


@dataclass(frozen=True)
class Job:
    """A job that has ended. processed + skipped + failed + recovered = total (ENGINE R9)."""

    pipeline: str
    version: int
    id: str
    inputs: tuple[Commit, ...]
    state: State
    output: Commit
    total: int = 0
    processed: int = 0
    skipped: int = 0
    failed: int = 0
    recovered: int = 0
    reason: str = ""


@dataclass
class Pipeline:
    """A pipeline, and what it knows of its datums: the outcome of each by its key.

    `there` has the keys of those whose outputs are in the newest good commit.
    """

    spec: PipelineSpec
    code: Code
    version: int = 1
    salt: int = 0
    stopped: bool = False
    jobs: list[Job] = field(default_factory=list)
    done: dict[object, dict[str, bytes]] = field(default_factory=dict)
    failed: dict[object, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    there: set[object] = field(default_factory=set)

    @property
    def leaves(self) -> list[Pfs]:
        """The leaves of the input tree; clocks read the branch master of their repo."""
        return [
            Pfs(name=leaf.name, repo=leaf.repo, glob="/*") if isinstance(leaf, Cron) else leaf
            for leaf in leaves(self.spec.input)
        ]


@dataclass
class _Outcome:
    how: Literal["run", "cached", "failed", "recovered"]
    outputs: dict[str, bytes] = field(default_factory=dict)
    key: object = None


class Model:
    """An installation in memory. `ran` counts how often each pipeline's code was called."""

    def __init__(self) -> None:
        self.repos: set[str] = set()
        self.heads: dict[tuple[str, str], Commit] = {}
        self.commits: list[Commit] = []
        self.pipelines: dict[str, Pipeline] = {}
        self.ran: dict[str, int] = {}
        self._numbers = 0

    def create_repo(self, name: str) -> None:
        """Make an empty repo. Raises Conflict when there is one of that name."""
        if name in self.repos:
            raise Conflict(f"repo {name} exists: choose another name")
        self.repos.add(name)

    def commit(
        self, changes: Mapping[str, Mapping[str, bytes | None]], branch: str = "master"
    ) -> str:
        """Write files (None deletes) to one or more repos in one call; the global id (T2).

        Raises NotFound for a repo that is missing, Conflict for a pipeline's, PathConflict for a
        path that would be a file and a directory (P4).
        """
        for repo in changes:
            self._writable(repo)
        trees = {repo: self._changed(repo, branch, change) for repo, change in changes.items()}
        identity = self._next_id()
        moved = {
            (repo, branch): self._add(repo, branch, identity, tree) for repo, tree in trees.items()
        }
        self._plan(identity, moved)
        return identity

    def move_branch(self, repo: str, branch: str, to: Commit) -> None:
        """Give a branch another head: deferred processing (ENGINE T6)."""
        self._writable(repo)
        self.heads[repo, branch] = to
        self._plan(to.id, {(repo, branch): to})

    def create_pipeline(
        self, document: Mapping[str, Any], code: Code, *, update: bool = False,
        reprocess: bool = False,
    ) -> Pipeline:  # fmt: skip
        """Make or update a pipeline and run its job over what there is (ENGINE T4, U1, U2).

        Raises InvalidSpec, Conflict for a name in use, NotFound for an input repo that is missing.
        """
        spec = parse_spec(dict(document)).spec
        old = self.pipelines.get(spec.name)
        if old is not None and not update:
            raise Conflict(f"pipeline {spec.name} exists: update it")
        if old is None and spec.name in self.repos:
            raise Conflict(f"a repo {spec.name} exists: the pipeline needs the name for its output")
        made = Pipeline(spec, code)
        for leaf in made.leaves:
            if leaf.repo == spec.name:
                raise InvalidSpec(f"pipeline {spec.name} reads its own output")
            if leaf.repo not in self.repos:
                raise NotFound(f"no repo {leaf.repo}: create it first")
        if old is not None:
            made.version, made.jobs = old.version + 1, old.jobs
            made.done, made.failed, made.salt, made.there = (
                old.done, old.failed, old.salt, old.there
            )  # fmt: skip
        if old is None or reprocess:
            made.salt = self._next()
        self.repos.add(spec.name)
        self.pipelines[spec.name] = made
        self.run_pipeline(spec.name)
        return made

    def run_pipeline(self, name: str) -> None:
        """Run one job over the newest inputs, and the jobs below it."""
        identity = self._next_id()
        job = self._job(self.pipelines[name], identity)
        if job is not None:
            self._plan(identity, {(name, self.pipelines[name].spec.output_branch): job.output})

    def stop_pipeline(self, name: str) -> None:
        """No more jobs until `start_pipeline` (ENGINE U3)."""
        self.pipelines[name].stopped = True

    def start_pipeline(self, name: str) -> None:
        """Go on, with one job over the newest inputs unless a good one has read them (U3)."""
        pipeline = self.pipelines[name]
        pipeline.stopped = False
        heads = tuple(self.heads.get((leaf.repo, leaf.branch)) for leaf in pipeline.leaves)
        good = next((job for job in reversed(pipeline.jobs) if job.state == "SUCCESS"), None)
        if good is None or (good.version, good.inputs) != (pipeline.version, heads):
            self.run_pipeline(name)

    def files(self, repo: str, branch: str = "master") -> dict[str, bytes]:
        """The files at the head of a branch; none where it has no commit."""
        head = self.heads.get((repo, branch))
        return {} if head is None else dict(head.files)

    def jobs(self, pipeline: str) -> list[Job]:
        """The jobs of a pipeline, oldest first."""
        return list(self.pipelines[pipeline].jobs)

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _next_id(self) -> str:
        return f"{self._next():032x}"

    def _writable(self, repo: str) -> None:
        if repo not in self.repos:
            raise NotFound(f"no repo {repo}: create it first")
        if repo in self.pipelines:
            raise Conflict(f"repo {repo} holds the output of a pipeline: write to its inputs")

    def _changed(
        self, repo: str, branch: str, change: Mapping[str, bytes | None]
    ) -> dict[str, bytes]:
        tree = self.files(repo, branch)
        for name, data in change.items():
            path = clean(name)
            below = [other for other in tree if other.startswith(path.rstrip("/") + "/")]
            if data is None:
                for gone in [path, *below]:
                    tree.pop(gone, None)
            elif below or any(folder in tree for folder in parents(path)):
                raise PathConflict(f"{path} would be both a file and a directory")
            else:
                tree[path] = data
        return tree

    def _add(
        self, repo: str, branch: str, identity: str, tree: Mapping[str, bytes], error: str = ""
    ) -> Commit:
        parent = self.heads.get((repo, branch))
        made = Commit(self._next(), identity, repo, branch, parent, tree, error)
        self.commits.append(made)
        if not error:
            self.heads[repo, branch] = made
        return made

    def _plan(self, identity: str, moved: Mapping[tuple[str, str], Commit]) -> None:
        """Run the jobs that follow, each pipeline after those that it reads (T1 to T3)."""
        reached = dict(moved)
        for pipeline in self._in_order():
            sides = [(leaf.repo, leaf.branch) for leaf in pipeline.leaves]
            if not pipeline.stopped and any(side in reached for side in sides):
                job = self._job(pipeline, identity, reached)
                if job is not None:
                    reached[pipeline.spec.name, pipeline.spec.output_branch] = job.output

    def _in_order(self) -> Iterable[Pipeline]:
        left = dict(self.pipelines)
        while left:
            for name, pipeline in list(left.items()):
                if not any(leaf.repo in left for leaf in pipeline.leaves):
                    yield left.pop(name)

    def _job(
        self, pipeline: Pipeline, identity: str,
        reached: Mapping[tuple[str, str], Commit] | None = None,
    ) -> Job | None:  # fmt: skip
        inputs = []
        for leaf in pipeline.leaves:
            side = (leaf.repo, leaf.branch)
            commit = (reached or {}).get(side, self.heads.get(side))
            if commit is None:
                return None
            inputs.append(commit)
        job = self._run(pipeline, identity, tuple(inputs))
        pipeline.jobs.append(job)
        return job

    def _run(self, pipeline: Pipeline, identity: str, inputs: tuple[Commit, ...]) -> Job:
        spec = pipeline.spec
        broken = next((commit for commit in inputs if commit.error), None)
        if broken is not None:
            reason = f"input {broken.repo}@{broken.id} has failed"
            output = self._add(spec.name, spec.output_branch, identity, {}, reason)
            return Job(spec.name, pipeline.version, identity, inputs, "UNRUNNABLE", output,
                       reason=reason)  # fmt: skip
        formed = form(spec.input, [commit.files for commit in inputs])
        combinations = _once(pipeline.leaves, formed)
        once = self._next() if spec.reprocess_every_job else pipeline.salt
        outcomes = [self._datum(pipeline, once, inputs, each) for each in combinations]
        hows = [outcome.how for outcome in outcomes]
        reason = ""
        tree: dict[str, bytes] = {}
        if "failed" in hows and spec.on_datum_failure == "job":
            reason = f"{hows.count('failed')} of {len(hows)} datums failed"
        else:
            tree, reason, lost = merged(spec, _written(combinations, outcomes, pipeline.there))
            for at in lost:
                hows[at] = "failed"
                pipeline.done.pop(outcomes[at].key, None)
                pipeline.failed[outcomes[at].key] = (
                    pipeline.version,
                    _references(pipeline, inputs),
                )
        if not reason:
            pipeline.there = {
                outcome.key for outcome, how in zip(outcomes, hows, strict=True)
                if how in ("run", "cached")
            }  # fmt: skip
        output = self._add(spec.name, spec.output_branch, identity, tree, reason)
        return Job(
            spec.name, pipeline.version, identity, inputs, "FAILURE" if reason else "SUCCESS",
            output, len(hows), hows.count("run"), hows.count("cached"), hows.count("failed"),
            hows.count("recovered"), reason,
        )  # fmt: skip

    def _datum(
        self, pipeline: Pipeline, salt: int, inputs: tuple[Commit, ...], combination: Combination
    ) -> _Outcome:
        """What becomes of one datum: from the cache where it was done before (ENGINE S2 to S5)."""
        sides = pipeline.leaves
        code = pipeline.spec.transform if pipeline.spec.reprocess_on_code_change else None
        parts = []
        for chosen in combination:
            content = () if sides[chosen.leaf].reference else chosen.files
            parts.append((chosen.name, _place(sides, chosen.leaf), chosen.path, content))
        key = (salt, code, tuple(parts))
        if key in pipeline.done:
            return _Outcome("cached", pipeline.done[key], key)
        references = _references(pipeline, inputs)
        standing = pipeline.failed.get(key)
        if pipeline.spec.on_datum_failure == "datum" and standing == (pipeline.version, references):
            return _Outcome("failed")
        given: dict[str, dict[str, bytes]] = {}
        for chosen in combination:
            given.setdefault(chosen.name, {}).update(chosen.files)
        self.ran[pipeline.spec.name] = self.ran.get(pipeline.spec.name, 0) + 1
        try:
            outputs = {clean(path): data for path, data in pipeline.code(given).items()}
        except Recovered:
            return _Outcome("recovered")
        except Exception:  # noqa: BLE001 - code under test may raise anything; it fails the datum
            pipeline.failed[key] = (pipeline.version, references)
            return _Outcome("failed")
        pipeline.failed.pop(key, None)
        pipeline.done[key] = outputs
        return _Outcome("run", outputs, key)


def _references(pipeline: Pipeline, inputs: tuple[Commit, ...]) -> tuple[int, ...]:
    pairs = zip(pipeline.leaves, inputs, strict=True)
    return tuple(commit.number for leaf, commit in pairs if leaf.reference)


def _place(sides: list[Pfs], leaf: int) -> int:
    """Which of the branches this is that are read under one name: sides of a union may be (D2)."""
    wanted = sides[leaf]
    same = [side for side in sides if side.name == wanted.name]
    branches = list(dict.fromkeys((side.repo, side.branch) for side in same))
    return branches.index((wanted.repo, wanted.branch))


def _once(sides: list[Pfs], combinations: list[Combination]) -> list[Combination]:
    """Without those that another child of a union has given already."""
    found: dict[object, Combination] = {}
    for combination in combinations:
        identity = tuple(
            (c.name, sides[c.leaf].repo, sides[c.leaf].branch, c.path) for c in combination
        )
        found.setdefault(identity, combination)
    return list(found.values())


def _written(
    combinations: list[Combination], outcomes: list[_Outcome], there: set[object]
) -> list[Written]:
    order = ["\0".join(chosen.path for chosen in combination) for combination in combinations]
    return [
        Written(at, order[at], outcome.outputs, outcome.key in there)
        for at, outcome in enumerate(outcomes)
        if outcome.how in ("run", "cached")
    ]
