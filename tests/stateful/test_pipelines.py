"""Whatever is done to inputs and pipelines, at rest each output is what its inputs make it.

A Hypothesis machine drives the scheduler with random commits, deletions, updates, restarts and
lost workers over a random tree of pipelines (with diamonds); the oracle computes every output from
the heads of the inputs by brute force.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.rig import Rig, pfs

from vedette.model.files import Write
from vedette.scheduling import bulk, effects, expansion
from vedette.versioning import commits

Tree = dict[str, bytes]
FILES = ("/a", "/b", "/d/x", "/d/y", "/e/z")
GLOBS = ("/*", "/", "/a", "/*/*", "/d/*", "/**")
ROOTS = ("left", "right")
contents = st.sampled_from([b"1", b"2", b"3", b"bad"])


def matches(glob: str, tree: Tree) -> dict[str, Tree]:
    """What a leaf selects, by brute force: match path to files."""
    found: dict[str, Tree] = {"/": {}} if glob == "/" else {}
    for path, data in tree.items():
        parts = path.strip("/").split("/")
        if glob == "/":
            node = "/"
        elif glob == "/*":
            node = "/" + parts[0]
        elif glob == "/a":
            node = "/a" if parts[0] == "a" else ""
        elif glob == "/**":
            node = path
        elif glob == "/*/*":
            node = "/" + "/".join(parts[:2]) if len(parts) > 1 else ""
        else:
            node = "/" + "/".join(parts[:2]) if len(parts) > 1 and parts[0] == "d" else ""
        if node:
            found.setdefault(node, {})[path] = data
    return found


def expected(leaves: list[tuple[str, str]], trees: dict[str, Tree]) -> Tree:
    """The output of a pipeline that crosses these (repo, glob) leaves with `rig.copy`."""
    sides = [sorted(matches(glob, trees[repo]).items()) for repo, glob in leaves]
    made: Tree = {}
    for combination in product(*sides):
        inputs = {f"{repo}{n}": tree for n, ((repo, _), (_, tree)) in
                  enumerate(zip(leaves, combination, strict=True))}  # fmt: skip
        data = b";".join(
            name.encode() + path.encode() + b"=" + content
            for name in sorted(inputs)
            for path, content in sorted(inputs[name].items())
        )
        if b"bad" not in data:
            name = "+".join(n.strip("/").replace("/", "-") or "all" for n, _ in combination)
            made["/" + name] = data
    return made


class Platform(RuleBasedStateMachine):
    """The scheduler beside its oracle."""

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.rig = Rig(self.folder)
        self.roots: dict[str, Tree] = {name: {} for name in ROOTS}
        self.began: set[str] = set()
        self.lost = 0
        self.pipelines: dict[str, list[tuple[str, str]]] = {}
        for name in ROOTS:
            self.rig.repo(name)
            self.put(root=name, path="/a", data=b"1")
        self.create(data=data)

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            try:
                self.settle()
            finally:
                self.rig.close()
                shutil.rmtree(self.folder)

    @rule(root=st.sampled_from(ROOTS), path=st.sampled_from(FILES), data=contents)
    def put(self, root: str, path: str, data: bytes) -> None:
        self.rig.put(root, {path: data})
        self.roots[root][path] = data
        self.began.add(root)

    @rule(path=st.sampled_from(FILES), data=contents)
    def put_both(self, path: str, data: bytes) -> None:
        writes = [Write(repo=root, path=path, data=data) for root in ROOTS]
        self.rig.loop.submit(lambda tx: commits.commit_files(tx, writes)).result()
        for root in ROOTS:
            self.roots[root][path] = data
            self.began.add(root)

    @precondition(lambda self: any(self.roots.values()))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        there = [(root, path) for root in ROOTS for path in sorted(self.roots[root])]
        root, path = data.draw(st.sampled_from(there))
        self.rig.put(root, {path: None})
        del self.roots[root][path]

    @precondition(lambda self: len(self.pipelines) < 4)
    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        name = f"p{len(self.pipelines)}"
        self.pipelines[name] = self._input(data, [*ROOTS, *self.pipelines])
        self._write(name, update=False, reprocess=False)

    @precondition(lambda self: bool(self.pipelines))
    @rule(data=st.data(), reprocess=st.booleans(), same=st.booleans())
    def update(self, data: st.DataObject, reprocess: bool, same: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.pipelines)))
        if not same:
            earlier = [*ROOTS, *sorted(self.pipelines)[: sorted(self.pipelines).index(name)]]
            self.pipelines[name] = self._input(data, earlier)
        self._write(name, update=True, reprocess=reprocess)

    def _input(self, data: st.DataObject, repos: list[str]) -> list[tuple[str, str]]:
        leaf = st.tuples(st.sampled_from(repos), st.sampled_from(GLOBS))
        return data.draw(st.lists(leaf, min_size=1, max_size=2))

    def _write(self, name: str, update: bool, reprocess: bool) -> None:
        leaves = [
            pfs(repo, glob, name=f"{repo}{n}")
            for n, (repo, glob) in enumerate(self.pipelines[name])
        ]
        source = leaves[0] if len(leaves) == 1 else {"cross": leaves}
        self.rig.pipeline(
            name, source, update=update, reprocess=reprocess, on_datum_failure="datum"
        )

    @rule()
    def restart(self) -> None:
        self.rig.end()
        self.rig.begin()

    @precondition(lambda self: self.lost < 2)  # a third lost lease would fail a datum (C2)
    @rule()
    def lose_the_worker(self) -> None:
        self.lost += 1
        self.rig.loop.source.release(self.rig.worker, "lost").result()
        self.rig.loop.source.register(self.rig.worker, "pool")

    @rule()
    def settle(self) -> None:
        self.rig.settle()
        trees = {**self.roots}
        for name, leaves in self.pipelines.items():
            trees[name] = expected(leaves, trees) if self._begun(name) else {}
            assert self.rig.tree(name) == trees[name], name
        for job in self.rig.jobs():
            assert job.processed + job.skipped + job.failed + job.recovered == job.total
            assert job.state in ("SUCCESS", "KILLED", "UNRUNNABLE")

    def _begun(self, name: str) -> bool:
        """Whether every input has a commit (ENGINE T1)."""
        return all(
            repo in self.began if repo in ROOTS else self._begun(repo)
            for repo, _ in self.pipelines[name]
        )

    @invariant()
    def one_commit_of_a_branch_for_a_global_id(self) -> None:
        for name in getattr(self, "pipelines", {}):
            heads = self.rig.heads(name)
            assert len(heads) == len(set(heads))


Platform.TestCase.settings = settings(
    max_examples=50, stateful_step_count=15, deadline=None, parent=settings.get_profile("local")
)
TestPlatform = Platform.TestCase


SMALL = (
    (effects, "SPILL", 0),
    (expansion, "AHEAD", 2),
    (expansion, "UNWRITTEN", 0),
    (bulk, "PAGE", 2),
)


class LargeJobs(Platform):
    """The same where every job is a large one: see `vedette.scheduling.effects`."""

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.limits = ExitStack()
        for module, name, value in SMALL:
            self.limits.enter_context(patch.object(module, name, value))
        super().begin(data)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "limits"):
            self.limits.close()


LargeJobs.TestCase.settings = settings(
    max_examples=12, stateful_step_count=15, deadline=None, parent=settings.get_profile("local")
)
TestLargeJobs = LargeJobs.TestCase
