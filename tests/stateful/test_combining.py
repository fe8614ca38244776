"""Joins and groups at rest are what their inputs make them, whatever was done before.

A Hypothesis machine drives the scheduler over two pipelines of random inputs in a diamond, with
commits, deletions, moved branches (and so forked lines), updates and restarts. Indexes are filled a
few matches a round, so that other jobs come in between. Brute force says what must come out.
"""

from __future__ import annotations

import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.inputs_model import FILES, Tree, form, inputs, numbered
from tests.rig import Rig

from vedette.model.inputs import Cross, Group, Input, Join, Pfs, Union
from vedette.model.work import Task
from vedette.scheduling import lookup, loop
from vedette.scheduling.intents import BranchMoved, intend
from vedette.versioning import branches, commits

ROOTS = ("x", "y")
contents = st.sampled_from([b"1", b"2", b"bad"])


def written(members: list[tuple[str, str]], files: dict[tuple[str, str], bytes]) -> Tree:
    """The output of a datum: named after its matches, with all that it reads."""
    if any(content == b"bad" for content in files.values()):
        return {}
    name = sha256(repr(sorted(members)).encode()).hexdigest()[:12]
    letter = min(path.rpartition("/")[2] for _, path in members)[:1]
    lines = [f"{name}{path}={content!r}" for (name, path), content in sorted(files.items())]
    return {f"/{letter}-{name}": "\n".join(lines).encode()}


def run(task: Task, found: dict[str, dict[str, bytes]]) -> Tree:
    """What a worker does."""
    members = [(i.name, path) for i in task.inputs for path in i.paths or (i.path,)]
    files = {(name, path): data for name, tree in found.items() for path, data in tree.items()}
    made = written(members, files)
    if not made:
        raise ValueError("bad content")
    return made


def expected(tree: Input, repos: dict[str, Tree]) -> Tree:
    """What a pipeline must have made."""
    names = [leaf.name for leaf in numbered(tree)]
    made: Tree = {}
    for datum in form(tree, repos):
        members = [(names[number], path) for number, path, _ in datum]
        files = {(names[n], path): data for n, _, held in datum for path, data in held}
        made |= written(members, files)
    return made


def document(tree: Input) -> dict[str, Any]:
    """The words of a spec for a tree."""
    match tree:
        case Pfs():
            words = {"name": tree.name, "repo": tree.repo, "glob": tree.glob}
            more = {"join_on": tree.join_on, "group_by": tree.group_by}
            given = {key: value for key, value in more.items() if value}
            return {"pfs": {**words, **given, "outer_join": tree.outer_join}}
        case Cross() | Union() | Join() | Group():
            kind = type(tree).__name__.lower()
            return {kind: [document(child) for child in tree.children]}
    raise TypeError(tree)


class Platform(RuleBasedStateMachine):
    """The scheduler beside its oracle."""

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(lookup, "_PAGE", 2)
        self.patch.setattr(lookup, "_PER_STEP", 1)
        self.patch.setattr(loop, "BUDGET", 7)
        self.folder = Path(tempfile.mkdtemp())
        self.rig = Rig(self.folder)
        self.rig.code = {"p": run, "z": run}
        self.trees: dict[str, Tree] = {}
        self.history: dict[str, list[tuple[str, Tree]]] = {name: [] for name in ROOTS}
        for name in ROOTS:
            self.rig.repo(name)
            self.trees[name] = {}
            self._put(name, {"/a-1": b"1", "/d/a-1": b"2"})
        self.specs: dict[str, Input] = {}
        self.create(name="p", tree=data.draw(inputs("xy", ("join", "group"))), reprocess=False)

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            try:
                self.settle()
            finally:
                self.rig.close()
                shutil.rmtree(self.folder)
                self.patch.undo()

    def _put(self, root: str, content: dict[str, bytes | None]) -> None:
        commit = self.rig.put(root, content)
        tree = {**self.trees[root], **{p: d for p, d in content.items() if d is not None}}
        self.trees[root] = {p: d for p, d in tree.items() if content.get(p, b"") is not None}
        self.history[root].append((commit, self.trees[root]))

    @rule(
        root=st.sampled_from(ROOTS),
        content=st.dictionaries(st.sampled_from(FILES), contents, min_size=1, max_size=3),
    )
    def put(self, root: str, content: dict[str, bytes | None]) -> None:
        self._put(root, content)

    @precondition(lambda self: any(self.trees.values()))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        there = [(root, path) for root in ROOTS for path in sorted(self.trees[root])]
        root, path = data.draw(st.sampled_from(there))
        self._put(root, {path: None})

    @rule(data=st.data(), root=st.sampled_from(ROOTS))
    def move(self, data: st.DataObject, root: str) -> None:
        commit_id, tree = data.draw(st.sampled_from(self.history[root]))

        def work(tx: Any) -> None:
            commit = commits.resolve(tx.rows, root, commit_id)
            branches.move(tx, root, "master", commit.num)
            intend(tx, BranchMoved(commit.repo, "master", commit.num))

        self.rig.loop.submit(work).result()
        self.trees[root] = tree

    @rule(tree=inputs("xy", ("join", "group")), reprocess=st.booleans())
    def update(self, tree: Input, reprocess: bool) -> None:
        self.create(name="p", tree=tree, reprocess=reprocess)

    @rule(tree=inputs("xyp", ("join", "group")), reprocess=st.booleans())
    def below(self, tree: Input, reprocess: bool) -> None:
        self.create(name="z", tree=tree, reprocess=reprocess)

    def create(self, name: str, tree: Input, reprocess: bool) -> None:
        self.specs[name] = tree
        self.rig.pipeline(
            name, document(tree), update=True, reprocess=reprocess,
            on_datum_failure="datum",
        )  # fmt: skip

    @rule()
    def restart(self) -> None:
        self.rig.end()
        self.rig.begin()

    @rule()
    def settle(self) -> None:
        self.rig.settle()
        trees = {**self.trees}
        for name, tree in self.specs.items():
            trees[name] = expected(tree, trees)
            assert self.rig.tree(name) == trees[name], name
        for job in self.rig.jobs():
            assert job.processed + job.skipped + job.failed + job.recovered == job.total
            assert job.state in ("SUCCESS", "KILLED", "UNRUNNABLE")


Platform.TestCase.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)
TestJoinsAndGroups = Platform.TestCase
