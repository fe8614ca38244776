"""What a tree of inputs makes of trees of files, by brute force (ENGINE D1 to D7).

A repo is a dict of path to content. A datum is a tuple of (leaf, path, content): the number of the
leaf from left to right, the path that it matched, and the files there as a tuple of pairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

from hypothesis import strategies as st

from vedette.model.inputs import Cross, Group, Input, Join, Pfs, Union

Tree = dict[str, bytes]
Files = tuple[tuple[str, bytes], ...]
Member = tuple[int, str, Files]
Datum = tuple[Member, ...]

GLOBS = {
    "/(*)": r"/([^/]*)",
    "/(?)*": r"/([^/])[^/]*",
    "/(*)-(*)": r"/([^/]*)-([^/]*)",
    "/(*)/*": r"/([^/]*)/[^/]*",
    "/*/(*)-*": r"/[^/]*/([^/]*)-[^/]*",
    "/**/(?)-*": r"/.*/([^/])-[^/]*",
    "/(@(a|b))-*": r"/(a|b)-[^/]*",
    "/d/(*)-(*)": r"/d/([^/]*)-([^/]*)",
}
"""Patterns of the tests beside what they mean."""

FILES = ("/a-1", "/a-2", "/b-1", "/c-1", "/d/a-1", "/d/b-2", "/e/a-1", "/b/b-1")
KINDS = ("join", "group", "cross", "union", "leaf")
DEPTH = 2
LETTERS = "abcdefgh"


COMBINED: dict[str, Callable[[tuple[Input, ...]], Input]] = {
    "join": Join, "group": Group, "cross": Cross, "union": Union,
}  # fmt: skip


def select(leaf: Pfs, tree: Tree) -> dict[str, Files]:
    """The matches of a leaf: what is at each."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for path, content in sorted(tree.items()):
        nodes = [path[:at] for at, letter in enumerate(path) if letter == "/" and at] + [path]
        for node in nodes:
            deep = "**" in leaf.glob
            if re.fullmatch(GLOBS[leaf.glob], node) and not (deep and node != path):
                found.setdefault(node, []).append((path, content))
    return {node: tuple(files) for node, files in found.items()}


def key_of(leaf: Pfs, template: str, path: str) -> str:
    """The key of a match: the captures in place of their numbers."""
    found = re.fullmatch(GLOBS[leaf.glob], path)
    assert found is not None
    return re.sub(r"\$\{?(\d)\}?", lambda number: found[int(number[1])], template)


def numbered(tree: Input) -> list[Pfs]:
    """The leaves from left to right."""
    if isinstance(tree, Pfs):
        return [tree]
    assert isinstance(tree, Cross | Union | Join | Group)
    return [leaf for child in tree.children for leaf in numbered(child)]


def form(tree: Input, repos: dict[str, Tree]) -> set[Datum]:
    """All datums."""
    all_leaves = numbered(tree)
    numbers = iter(range(len(all_leaves)))

    def key(datum: Datum, word: str) -> str | None:
        keys = {
            key_of(all_leaves[n], getattr(all_leaves[n], word), path)
            for n, path, _ in datum
            if getattr(all_leaves[n], word)
        }
        return keys.pop() if len(keys) == 1 else None

    def alone(datum: Datum) -> bool:
        return all(all_leaves[n].outer_join for n, _, _ in datum if all_leaves[n].join_on)

    def walk(node: Input) -> list[Datum]:
        if isinstance(node, Pfs):
            number = next(numbers)
            return [
                ((number, path, files),) for path, files in select(node, repos[node.repo]).items()
            ]
        assert isinstance(node, Cross | Union | Join | Group)
        sides = [walk(child) for child in node.children]
        if isinstance(node, Cross):
            return [sum(parts, ()) for parts in product(*sides)]
        if isinstance(node, Union):
            return [datum for side in sides for datum in side]
        word = "join_on" if isinstance(node, Join) else "group_by"
        keys = {key(datum, word) for side in sides for datum in side} - {None}
        found: list[Datum] = []
        for each in keys:
            here = [[datum for datum in side if key(datum, word) == each] for side in sides]
            if isinstance(node, Group):
                members = {member for side in here for datum in side for member in datum}
                found.append(tuple(sorted(members)))
                continue
            if not all(here):
                here = [kept for side in here if (kept := [d for d in side if alone(d)])]
            if here:
                found += [sum(parts, ()) for parts in product(*here)]
        return found

    return set(walk(tree))


def repos() -> st.SearchStrategy[dict[str, Tree]]:
    """A few small repos."""
    content = st.sampled_from([b"1", b"2"])
    return st.fixed_dictionaries(
        {name: st.dictionaries(st.sampled_from(FILES), content, max_size=6) for name in "xyz"}
    ).map(lambda found: {name: without_clashes(tree) for name, tree in found.items()})


def without_clashes(tree: Tree) -> Tree:
    """The files of a tree that do not stand where others have a directory."""
    return {p: c for p, c in tree.items() if not any(o.startswith(p + "/") for o in tree)}


@st.composite
def inputs(draw: st.DrawFn, repos: str = "xyz", top: tuple[str, ...] = KINDS) -> Input:
    """A random tree over some repos, with names that differ; `top` is what may be at its top."""
    names = iter(LETTERS * 4)

    def leaf(inside: frozenset[str]) -> Pfs:
        glob = draw(st.sampled_from(sorted(GLOBS)))
        keys = ["$1", "$1", "${1}", "$1$1"] + (["$2", "$2$1"] if glob.count("(*)") > 1 else [])
        return Pfs(
            name=f"{next(names)}{draw(st.integers(0, 9_999))}",
            repo=draw(st.sampled_from(repos)),
            glob=glob,
            join_on=draw(st.sampled_from(keys)) if "join" in inside else "",
            outer_join="join" in inside and draw(st.booleans()),
            group_by=draw(st.sampled_from(keys)) if "group" in inside else "",
        )

    def node(left: int, inside: frozenset[str]) -> Input:
        kind = draw(st.sampled_from(KINDS if inside or left < DEPTH else top))
        if left == 0 or kind == "leaf":
            return leaf(inside)
        within = inside | {kind} if kind in ("join", "group") else inside
        children = tuple(
            node(left - 1, within) for _ in range(draw(st.integers(1, 3 if left > 1 else 2)))
        )
        return COMBINED[kind](children)

    return node(DEPTH, frozenset())


def paths(datum: Datum) -> tuple[tuple[int, str], ...]:
    """What tells a datum from others: its matches."""
    return tuple((number, path) for number, path, _ in datum)
