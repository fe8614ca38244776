"""The platform and its model, side by side: the same commits, jobs, counts and files.

A Hypothesis machine does to both what people do: commits to several repos, deletions, moved
branches, new pipelines over random trees of inputs (with diamonds), updates, failures, restarts.
After every step all jobs and the files of all finished commits must agree (ENGINE P7, D1 to D5,
T1 to T7, S1 to S6, U1, R3, R9, M1 to M3, C1).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.postgres import Postgres
from tests.rig import RecoveredError, Rig

from vedette.metadata.postgres import PostgresStore
from vedette.metadata.sqlite import SqliteStore
from vedette.metadata.store import MetadataStore
from vedette.model.job import JobInfo
from vedette.model.work import Task
from vedette.scheduling import life, pipelines
from vedette.testing.model import Inputs, Model, Recovered
from vedette.testing.model import Job as ModelJob

FILES = ("/a", "/b", "/d/x", "/d/y", "/e/z")
GLOBS = ("/*", "/", "/a", "/*/*", "/d/*", "/**", "/nothing")
ROOTS = ("left", "right")
data = st.sampled_from([b"1", b"2", b"3", b"bad", b"odd"])
changes = st.dictionaries(st.sampled_from(FILES), data | st.none(), min_size=1, max_size=3)


def work(inputs: Inputs, one: bool) -> dict[str, bytes]:
    """What every pipeline does: all that it reads in one file, named after what it reads or `/one`.

    Content `bad` fails the datum, `odd` is recovered from.
    """
    read = [(name, path, inputs[name][path]) for name in sorted(inputs) for path in inputs[name]]
    found = b";".join(f"{name}{path}=".encode() + content for name, path, content in sorted(read))
    if b"bad" in found:
        raise ValueError("bad content")
    if b"odd" in found:
        raise RecoveredError("odd content")
    name = "+".join(sorted(f"{name}{path}".replace("/", "-") for name, path, _ in read))
    return {"/one" if one else f"/{name or 'none'}": found}


@st.composite
def keyed(draw: st.DrawFn, repos: list[str], kind: str) -> dict[str, Any]:
    """A side of a join or a group."""
    leaf: dict[str, Any] = {"repo": draw(st.sampled_from(repos))}
    leaf["glob"] = draw(st.sampled_from(["/(*)", "/*/(*)", "/(*)/*", "/d/(*)"]))
    if kind == "group":
        return {"pfs": {**leaf, "group_by": "$1"}}
    return {"pfs": {**leaf, "join_on": "$1", "outer_join": draw(st.booleans())}}


@st.composite
def trees(draw: st.DrawFn, repos: list[str], depth: int = 2) -> dict[str, Any]:
    """An input of a spec over these repos. Names are given afterwards."""
    kinds = ["pfs", "pfs", "cross", "union", "join", "group"]
    kind = draw(st.sampled_from(kinds)) if depth else "pfs"
    if kind in ("join", "group"):
        sides = draw(st.lists(keyed(repos, kind), min_size=2, max_size=2))
        if draw(st.booleans()):
            sides[0] = {"cross": [sides[0], draw(trees(repos, 0))]}
        return {kind: sides}
    if kind == "pfs":
        leaf = {"repo": draw(st.sampled_from(repos)), "glob": draw(st.sampled_from(GLOBS))}
        return {"pfs": leaf}
    children = draw(st.lists(trees(repos, depth - 1), min_size=2, max_size=2))
    return {kind: children}


def named(tree: dict[str, Any], numbers: list[int], same: str = "") -> dict[str, Any]:
    """The tree with a name for each leaf; the sides of a union share one."""
    ((kind, inside),) = tree.items()
    if kind == "pfs":
        numbers.append(len(numbers))
        return {"pfs": {**inside, "name": same or f"i{numbers[-1]}"}}
    if kind == "union" and all("pfs" in child for child in inside):
        numbers.append(len(numbers))
        same = same or f"u{numbers[-1]}"
    return {kind: [named(child, numbers, same) for child in inside]}


def _sqlite(folder: Path) -> MetadataStore:
    return SqliteStore(folder / "m.sqlite")


class Beside(RuleBasedStateMachine):
    """The scheduler beside the model: both at rest after every step, and all of it is compared."""

    hurried = False
    store: Callable[[Path], MetadataStore] = staticmethod(_sqlite)

    @initialize(drawn=st.data())
    def begin(self, drawn: st.DataObject) -> None:
        self.lost = 0
        self.folder = Path(tempfile.mkdtemp())
        self.rig = Rig(self.folder, self.store(self.folder))
        self.model = Model()
        self.documents: dict[str, tuple[dict[str, Any], bool]] = {}
        for name in ROOTS:
            self.rig.repo(name)
            self.model.create_repo(name)
        if self.hurried:
            # Else what an update ends that was under way would stay undone: its next job waits for
            # an input's first commit (T1), and the model, which is never under way, had done it.
            self._commit({name: {"/a": b"1"} for name in ROOTS})
        self.create(drawn)

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        try:
            if self.hurried:
                self.look()
        finally:
            self.rig.close()
            shutil.rmtree(self.folder)

    @rule(root=st.sampled_from(ROOTS), change=changes)
    def commit(self, root: str, change: dict[str, bytes | None]) -> None:
        self._commit({root: change})

    @rule(left=changes, right=changes)
    def commit_both(self, left: dict[str, bytes | None], right: dict[str, bytes | None]) -> None:
        self._commit({"left": left, "right": right})

    def _commit(self, change: Mapping[str, Mapping[str, bytes | None]]) -> None:
        known = {
            repo: {
                path: content
                for path, content in files.items()
                if content is not None or path in self.model.files(repo)
            }
            for repo, files in change.items()
        }
        known = {repo: files for repo, files in known.items() if files}
        if not known:
            return
        self.model.commit(known)
        self.rig.put_all(known)
        self._agree()

    @precondition(lambda self: len(self.model.commits) > 2)
    @rule(drawn=st.data(), root=st.sampled_from(ROOTS))
    def move(self, drawn: st.DataObject, root: str) -> None:
        """The branch goes back, or on, to a commit of its own (ENGINE T6, S2)."""
        there = [commit for commit in self.model.commits if commit.repo == root]
        if not there:
            return
        to = drawn.draw(st.integers(0, len(there) - 1))
        ids = self.rig.history(root)
        assert len(ids) == len(there)
        self.model.move_branch(root, "master", there[to])
        self.rig.move(root, "master", ids[to])
        self._agree()

    @precondition(lambda self: len(self.documents) < 4)
    @rule(drawn=st.data())
    def create(self, drawn: st.DataObject) -> None:
        name = f"p{len(self.documents)}"
        self._write(drawn, name, [*ROOTS, *self.documents], update=False, reprocess=False)

    @rule(drawn=st.data(), reprocess=st.booleans())
    def update(self, drawn: st.DataObject, reprocess: bool) -> None:
        name = drawn.draw(st.sampled_from(sorted(self.documents)))
        if self.model.pipelines[name].stopped:
            return
        earlier = [*ROOTS, *(other for other in self.documents if other < name)]
        self._write(drawn, name, earlier, update=True, reprocess=reprocess)

    def _write(
        self, drawn: st.DataObject, name: str, repos: list[str], *, update: bool, reprocess: bool
    ) -> None:
        # What a hurried platform makes of failures depends on what was under way: not compared.
        one = drawn.draw(st.booleans() if not self.hurried else st.just(False))
        document: dict[str, Any] = {
            "pipeline": {"name": name},
            "transform": {"image": "x", "cmd": ["x"], "err_cmd": ["y"]},
            "input": named(drawn.draw(trees(repos)), []),
            "on_datum_failure": drawn.draw(st.sampled_from(["job", "datum"])),
            "output_conflict": drawn.draw(
                st.sampled_from(["error", "concat", "first", "last", "identical"])
            ),
            "reprocess_spec": drawn.draw(st.sampled_from(["until_success"] * 3 + ["every_job"])),
        }
        if self.hurried:
            document.update(on_datum_failure="datum", output_conflict="error")
        self.documents[name] = (document, one)

        def ours(_: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
            return work(inputs, one)

        def models(inputs: Inputs) -> dict[str, bytes]:
            try:
                return work(inputs, one)
            except RecoveredError as error:
                raise Recovered from error

        self.rig.code[name] = ours
        self.rig.loop.submit(
            lambda tx: pipelines.create(tx, document, update=update, reprocess=reprocess)
        ).result()
        self.model.create_pipeline(document, models, update=update, reprocess=reprocess)
        self._agree()

    @rule(drawn=st.data())
    def stop_or_start(self, drawn: st.DataObject) -> None:
        """Nothing new starts; then one job over what there is (ENGINE U3)."""
        name = drawn.draw(st.sampled_from(sorted(self.documents)))
        if self.model.pipelines[name].stopped:
            self.model.start_pipeline(name)
            self.rig.loop.submit(lambda tx: life.start(tx, name)).result()
        else:
            self.rig.settle()
            self.model.stop_pipeline(name)
            self.rig.loop.submit(lambda tx: life.stop(tx, name)).result()
        self._agree()

    @rule()
    def restart(self) -> None:
        self.rig.end()
        self.rig.begin()
        self._agree()

    @precondition(lambda self: self.hurried and self.lost < 2)  # a third would fail a datum (C2)
    @rule()
    def lose_the_worker(self) -> None:
        self.lost += 1
        self.rig.loop.source.release(self.rig.worker, "lost").result()
        self.rig.loop.source.register(self.rig.worker, "pool")

    @precondition(lambda self: self.hurried)
    @rule()
    def look(self) -> None:
        self.rig.settle()
        for name in self.documents:
            assert self.rig.tree(name) == self.model.files(name), name
            for job in self.rig.jobs(name):
                assert job.processed + job.skipped + job.failed + job.recovered == job.total
                assert job.state in ("SUCCESS", "KILLED", "UNRUNNABLE")

    def _agree(self) -> None:
        if self.hurried:
            return
        self.rig.settle()
        for name in self.documents:
            ours = list(reversed(self.rig.jobs(name)))
            theirs = self.model.jobs(name)
            assert [shown(job) for job in ours] == [shown(job) for job in theirs], name
            for job, other in zip(ours, theirs, strict=True):
                if job.state == "SUCCESS":
                    assert self.rig.tree(name, job.commit) == other.output.files, name
            assert self.rig.tree(name) == self.model.files(name), name


def shown(job: JobInfo | ModelJob) -> tuple[object, ...]:
    """What must agree of a job."""
    return (
        job.version, job.state, job.total, job.processed, job.skipped, job.failed, job.recovered
    )  # fmt: skip


class Hurried(Beside):
    """Nobody waits: commits, updates, restarts and lost workers come while jobs are under way."""

    hurried = True


MANNER = settings(
    max_examples=25, stateful_step_count=12, deadline=None, parent=settings.get_profile("local")
)
Beside.TestCase.settings = Hurried.TestCase.settings = MANNER
TestBeside = Beside.TestCase
TestHurried = Hurried.TestCase


@pytest.mark.parametrize("machine", [Beside, Hurried])
def test_the_same_on_postgresql(machine: type[Beside], postgres: Postgres) -> None:
    class OnPostgres(machine):  # type: ignore[valid-type, misc]
        """The scheduler over PostgreSQL, beside the model."""

        store = staticmethod(lambda _: PostgresStore(postgres.database()))

    run_state_machine_as_test(OnPostgres, settings=settings(MANNER, max_examples=8))


@pytest.mark.slow
@pytest.mark.parametrize("machine", [Beside, Hurried])
def test_for_longer(machine: type[Beside]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(MANNER, max_examples=80, stateful_step_count=20)
    )
