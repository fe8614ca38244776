"""The `input` of a spec: from its checked words to the tree of `vedette.model.inputs`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from vedette.model.errors import Invalid, InvalidGlob, InvalidName
from vedette.model.glob import check_template, compile_glob
from vedette.model.inputs import Cron, Cross, Group, Input, Join, Pfs, Trigger, Union, leaves
from vedette.model.paths import check_name
from vedette.model.schedule import parse_schedule, parse_start
from vedette.model.spec_read import Reading

_COMBINED: dict[str, Callable[[tuple[Input, ...]], Input]] = {
    "cross": Cross,
    "union": Union,
    "join": Join,
    "group": Group,
}
_KEYS = {"join": "join_on", "group": "group_by"}
MAX_INPUTS = 256
_KINDS = ("pfs", "atom", "cross", "union", "join", "group", "cron")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class InputReader:
    """Builds the input tree of one pipeline, noting faults in `reading`.

    `atoms` says whether the 1.x word `atom` was met. `repos` are those that are read, by the path
    in the spec.
    """

    def __init__(self, reading: Reading, pipeline: str) -> None:
        self.reading = reading
        self.pipeline = pipeline
        self.atoms = False
        self.repos: dict[str, str] = {}
        self._triggered = 0
        self._inputs = 0

    def tree(
        self, given: dict[str, Any], path: str = "input", inside: tuple[str, ...] = ()
    ) -> Input | None:
        """The input at `path`; None if it has faults. `inside` are the kinds of nodes around it."""
        kinds = [kind for kind in (*_KINDS, "git") if kind in given]
        if len(kinds) != 1:
            needed = f"one of {', '.join(_KINDS)}"
            if kinds:
                self.reading.fault(path, f"{needed} is needed, not {' and '.join(kinds)}")
            else:
                self.reading.missing(path, needed)
            return None
        kind = kinds[0]
        here = f"{path}.{kind}"
        if kind in _COMBINED:
            return self._combined(kind, given[kind], here, inside)
        self._inputs += 1
        if self._inputs == MAX_INPUTS + 1:
            self.reading.fault(path, f"there are more than {MAX_INPUTS} inputs")
        if kind == "cron":
            return self._cron(given[kind], here)
        if kind == "git":
            self.reading.fault(here, "git inputs are not read: put the files into a repo")
            return None
        self.atoms = self.atoms or kind == "atom"
        return self._pfs(given[kind], here, inside)

    def _combined(
        self, kind: str, given: list[dict[str, Any]], path: str, inside: tuple[str, ...]
    ) -> Input | None:
        if not given:
            self.reading.fault(path, "there are no inputs in it")
            return None
        within = (*inside, kind)
        children = [
            self.tree(child, f"{path}[{index}]", within) for index, child in enumerate(given)
        ]
        if kind in _KEYS:
            self._all_keyed(kind, children, path)
        known = tuple(child for child in children if child is not None)
        node = _COMBINED[kind](known)
        repeated = _repeated([_names(child) for child in given]) if kind != "union" else []
        if kind == "group":
            for name in sorted(set(_shown_together(node)).difference(repeated)):
                self.reading.fault(
                    path,
                    f"a group shows all inputs named {name!r} together: they must be of one repo "
                    "and branch, or have names of their own",
                )
        for name in repeated:
            self.reading.fault(
                path, f"two inputs are named {name!r}: give one of them another name"
            )
        return node if len(known) == len(children) else None

    def _all_keyed(self, kind: str, children: list[Input | None], path: str) -> None:
        """Every datum of an input in a join or a group has a key (ENGINE D4, D5)."""
        for index, child in enumerate(children):
            if child is None or isinstance(child, Pfs) or _has_key(child, _KEYS[kind]):
                continue
            what = "a clock's ticks have no" if isinstance(child, Cron) else "some datums lack a"
            self.reading.fault(
                f"{path}[{index}]", f"{what} key for the {kind}: '{_KEYS[kind]}' makes one"
            )

    def _name(self, name: str, what: str, path: str) -> str:
        try:
            return check_name(name, what)
        except InvalidName as error:
            self.reading.fault(path, error.message)
            return ""

    def _input_name(self, given: dict[str, Any], fallback: str, path: str) -> str:
        name = str(given.get("name") or fallback)
        if name == "out":
            self.reading.fault(
                f"{path}.name", "no input may be named 'out': /pfs/out is the output"
            )
        elif name:
            self._name(name, "input", f"{path}.name")
        return name

    def _pfs(self, given: dict[str, Any], path: str, inside: tuple[str, ...]) -> Pfs | None:
        before = len(self.reading.faults)
        repo = str(given.get("repo") or "")
        if not repo:
            self.reading.missing(f"{path}.repo", "which repo is read?")
        elif repo == self.pipeline:
            self.reading.fault(f"{path}.repo", f"pipeline {repo!r} cannot read its own output")
        else:
            self.repos[f"{path}.repo"] = self._name(repo, "repo", f"{path}.repo")
        name = self._input_name(given, repo, path)
        glob = str(given.get("glob", ""))
        if not glob:
            self.reading.missing(f"{path}.glob", "'/' is one datum, '/*' one per file or directory")
        else:
            self._keys(given, glob, path, inside)
        trigger, branch = self._branches(given, path)
        if len(self.reading.faults) > before:
            return None
        return Pfs(
            name=name,
            repo=repo,
            branch=branch,
            glob=glob,
            lazy=given.get("lazy", False),
            empty_files=given.get("empty_files", False),
            join_on=given.get("join_on", ""),
            outer_join=given.get("outer_join", False),
            group_by=given.get("group_by", ""),
            trigger=trigger,
            reference=given.get("reference", False),
        )

    def _keys(self, given: dict[str, Any], glob: str, path: str, inside: tuple[str, ...]) -> None:
        """The glob compiles, and the keys of a join or group name captures that it has."""
        try:
            captures = compile_glob(glob).captures
        except InvalidGlob as error:
            self.reading.fault(f"{path}.glob", error.message)
            return
        for node, key in _KEYS.items():
            template = str(given.get(key, ""))
            wrong = check_template(template, glob, captures)
            if inside[-1:] == (node,) and not template:
                self.reading.missing(f"{path}.{key}", f"an input in a {node} needs it")
            elif wrong:
                self.reading.fault(f"{path}.{key}", wrong)
            elif template and node not in inside:
                self.reading.warnings.append(f"{path}.{key}: has no effect outside a {node}")
        if given.get("outer_join") and "join" not in inside:
            self.reading.warnings.append(f"{path}.outer_join: has no effect outside a join")

    def _branches(self, given: dict[str, Any], path: str) -> tuple[Trigger | None, str]:
        """The trigger, and the branch that is read: a triggered input gets one of its own."""
        words = given.get("trigger")
        branch = str(given.get("branch") or "")
        if words is None:
            return None, self._name(branch or "master", "branch", f"{path}.branch")
        here = f"{path}.trigger"
        followed = self._name(str(words.get("branch") or "master"), "branch", f"{here}.branch")
        self._triggered += 1
        branch = branch or f"{self.pipeline[:50]}-trigger-{self._triggered}"
        self._name(branch, "branch", f"{path}.branch")
        if branch == followed:
            self.reading.fault(
                f"{here}.branch",
                f"branch {branch!r} cannot follow itself: leave the input's 'branch' out",
            )
        conditions = {
            key: words[key] for key in ("rate", "size", "commits") if words.get(key, 0) > 0
        }
        cron_spec = str(words.get("cron_spec") or "")
        limit = str(words.get("rate_limit_spec") or "")
        self._schedule(cron_spec, f"{here}.cron_spec")
        self._schedule(limit, f"{here}.rate_limit_spec")
        if not conditions and not cron_spec and not limit:
            self.reading.fault(
                here, "it has no condition: give one of rate, size, commits, cron_spec"
            )
            return None, branch
        trigger = Trigger(
            branch=followed, cron_spec=cron_spec, rate_limit_spec=limit,
            all=words.get("all", False), **conditions,
        )  # fmt: skip
        return trigger, branch

    def _cron(self, given: dict[str, Any], path: str) -> Cron | None:
        before = len(self.reading.faults)
        name = self._input_name(given, "", path)
        if not name:
            self.reading.missing(f"{path}.name", "which folder in /pfs?")
        spec = str(given.get("spec", ""))
        if not spec:
            self.reading.missing(f"{path}.spec", "five fields, @daily, or @every 1m")
        self._schedule(spec, f"{path}.spec")
        start = str(given.get("start", ""))
        if start:
            try:
                parse_start(start)
            except Invalid as error:
                self.reading.fault(f"{path}.start", error.message)
        repo = str(given.get("repo") or f"{self.pipeline}_{name}")
        if name:
            self._name(repo, "repo", f"{path}.repo")
        if len(self.reading.faults) > before:
            return None
        return Cron(
            name=name,
            spec=spec,
            repo=repo,
            start=start,
            overwrite=given.get("overwrite", False),
        )

    def _schedule(self, text: str, path: str) -> None:
        if not text:
            return
        try:
            parse_schedule(text)
        except Invalid as error:
            self.reading.fault(path, error.message)


def check_environment_name(name: str) -> str | None:
    """What is wrong with the name of an environment variable, or None."""
    if _ENVIRONMENT_NAME.fullmatch(name):
        return None
    return f"{name!r} cannot name an environment variable: use letters, digits and '_'"


def _names(given: dict[str, Any]) -> frozenset[str]:
    """The names that a datum of this input can have among its own, whatever else is wrong in it."""
    found: set[str] = set()
    for kind, node in given.items():
        if kind in _COMBINED:
            found.update(*map(_names, node))
        elif kind in _KINDS and (name := node.get("name") or node.get("repo")):
            found.add(str(name))
    return frozenset(found)


def _has_key(tree: Input, word: str) -> bool:
    """Whether every datum of an input has a key."""
    match tree:
        case Pfs():
            return bool(getattr(tree, word))
        case Cron():
            return False
    keyed = [_has_key(child, word) for child in tree.children]
    some = isinstance(tree, Cross) or (isinstance(tree, Join) and not _is_outer(tree))
    return any(keyed) if some else all(keyed)


def _is_outer(tree: Join) -> bool:
    return any(isinstance(leaf, Pfs) and leaf.outer_join for leaf in leaves(tree))


def _shown_together(tree: Input) -> list[str]:
    """The names that stand for more than one branch."""
    branches: dict[str, set[tuple[str, str]]] = {}
    for leaf in leaves(tree):
        branches.setdefault(leaf.name, set()).add((leaf.repo, leaf.branch))
    return sorted(name for name, found in branches.items() if len(found) > 1)


def _repeated(sets: list[frozenset[str]]) -> list[str]:
    """The names that are in more than one of the sets."""
    seen: set[str] = set()
    twice: set[str] = set()
    for names in sets:
        twice |= seen & names
        seen |= names
    return sorted(twice)
