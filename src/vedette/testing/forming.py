"""Which datums a spec makes of files, by brute force: the definition, not the fast way.

The engine finds the datums that a change touches; here all of them are formed anew, so that the
two can be compared, and so that a spec can be tried without a server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from msgspec import Struct

from vedette.model.glob import compile_glob, expand_key
from vedette.model.inputs import Cron, Cross, Input, Join, Pfs, Union
from vedette.model.paths import parents

Tree = Mapping[str, bytes]
"""Files by their absolute path in a repo."""


class Chosen(Struct, frozen=True):
    """A match of one leaf (numbered from left to right): its path, and the files at or below it.

    A key is None where the leaf has no template for it.
    """

    leaf: int
    name: str
    path: str
    files: tuple[tuple[str, bytes], ...]
    join_on: str | None = None
    group_by: str | None = None
    outer: bool = False


Combination = tuple[Chosen, ...]


def select(leaf: Pfs, tree: Tree, index: int = 0) -> list[Chosen]:
    """The matches of a leaf in byte order of their paths (ENGINE G1 to G4, D1)."""
    glob = compile_glob(leaf.glob)
    nodes = {"/"} | set(tree) | {folder for path in tree for folder in parents(path)}
    found = []
    for node in sorted(nodes):
        captures = glob.match(node)
        if captures is None or (glob.files_only and node not in tree):
            continue
        below = "/" if node == "/" else node + "/"
        files = tuple(
            (path, tree[path]) for path in sorted(tree) if path == node or path.startswith(below)
        )
        keys = tuple(capture.rstrip("/") for capture in captures)
        found.append(
            Chosen(
                index, leaf.name, node, files,
                expand_key(leaf.join_on, keys) if leaf.join_on else None,
                expand_key(leaf.group_by, keys) if leaf.group_by else None,
                leaf.outer_join,
            )
        )  # fmt: skip
    return found


def form(tree: Input, files: Sequence[Tree]) -> list[Combination]:
    """Every datum of an input tree; `files` has the files that each leaf sees (D1 to D7)."""
    return list(_form(tree, files, iter(range(len(files)))))


def _form(tree: Input, files: Sequence[Tree], numbers: Iterator[int]) -> Iterator[Combination]:
    if isinstance(tree, Cron):
        index = next(numbers)
        for path in sorted(files[index]):
            yield (Chosen(index, tree.name, path, ((path, files[index][path]),)),)
        return
    if isinstance(tree, Pfs):
        index = next(numbers)
        for chosen in select(tree, files[index], index):
            yield (chosen,)
        return
    children = [list(_form(child, files, numbers)) for child in tree.children]
    if isinstance(tree, Union):
        for child in children:
            yield from child
    elif isinstance(tree, Cross):
        for combination in product(*children):
            yield _flat(combination)
    elif isinstance(tree, Join):
        yield from _joined(children)
    else:
        yield from _grouped(children)


def _flat(parts: Sequence[Combination]) -> Combination:
    return tuple(chosen for part in parts for chosen in part)


def _joined(children: Sequence[Sequence[Combination]]) -> Iterator[Combination]:
    """Combinations that share a key; an outer side stands alone where the others are missing."""
    keyed = [_by_key(child, "join_on") for child in children]
    for key in sorted({key for child in keyed for key in child}):
        sides = [child.get(key, []) for child in keyed]
        if all(sides):
            for combination in product(*sides):
                yield _flat(combination)
            continue
        for combination in product(*[side for side in sides if side]):
            if all(_is_outer(part) for part in combination):
                yield _flat(combination)


def _is_outer(combination: Combination) -> bool:
    """Whether a side of a join may stand without the others: all of it that has a key says so."""
    return all(chosen.outer for chosen in combination if chosen.join_on is not None)


def _grouped(children: Sequence[Sequence[Combination]]) -> Iterator[Combination]:
    keyed = [_by_key(child, "group_by") for child in children]
    for key in sorted({key for child in keyed for key in child}):
        yield _flat([part for child in keyed for part in child.get(key, [])])


def _by_key(combinations: Sequence[Combination], field: str) -> dict[str, list[Combination]]:
    """Combinations by the key that all of their matches share which have one."""
    found: dict[str, list[Combination]] = {}
    for combination in combinations:
        keys = {getattr(chosen, field) for chosen in combination} - {None}
        if len(keys) == 1:
            found.setdefault(keys.pop(), []).append(combination)
    return found
