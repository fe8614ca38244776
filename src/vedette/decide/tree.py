"""A tree of inputs as datums are found from it: what its leaves select, and how they combine.

Matches in a join or a group have a key by it (`join_on`, `group_by`). The key of a combination is
the one that all of its matches with a key have; where they differ it has none and takes no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from msgspec import Struct, structs

from vedette.model.inputs import Cron, Cross, Group, Input, Join, Pfs, Union

By = Literal["join", "group"]
"""What a match has a key for."""


class Item(Struct, frozen=True):
    """A match of one leaf. `before` and `after` say on which side of the change it exists.

    `object` is the file's object id, or None for a directory, whose digest is asked for later.
    """

    leaf: int
    path: str
    before: bool
    after: bool
    object: bytes | None = None
    size: int = 0


Combination = tuple[Item, ...]
"""The matches of one datum, from left to right."""

Steps = Iterator[Combination | None]
"""Combinations as they are found; None now and then, so that a long search can be interrupted."""


class Node(Struct, frozen=True):
    """An input tree whose leaves are numbered from left to right.

    `keys` says for which of the nodes around it a leaf has a key, `outer` that it is kept without
    partner.
    """

    kind: Literal["leaf", "cross", "union", "join", "group"] = "leaf"
    leaf: int = -1
    children: tuple[Node, ...] = ()
    keys: tuple[By, ...] = ()
    outer: bool = False


class Matches(Protocol):
    """What the leaves of a tree select, as it is now."""

    def every(self, leaf: int) -> Iterator[Item]:
        """All matches of a leaf."""

    def at(self, leaf: int, by: By, key: str) -> Iterator[Item]:
        """The matches of a leaf that have a key."""

    def keys(self, leaf: int, by: By) -> Iterator[str]:
        """The keys of a leaf's matches in order, each once; there may be some without a match."""

    def key(self, leaf: int, by: By, path: str) -> str:
        """The key of a match, also of one that has gone."""


def number(tree: Input) -> Node:
    """Number the leaves of an input tree from left to right."""
    return _number(tree, iter(range(1_000_000)), ())


def _number(tree: Input, numbers: Iterator[int], inside: tuple[By, ...]) -> Node:
    match tree:
        case Pfs():
            given: tuple[tuple[By, str], ...] = (("join", tree.join_on), ("group", tree.group_by))
            keys = tuple(by for by, template in given if template and by in inside)
            return Node(leaf=next(numbers), keys=keys, outer=tree.outer_join and "join" in inside)
        case Cron():
            return Node(leaf=next(numbers))
        case Cross():
            return Node("cross", children=_children(tree.children, numbers, inside))
        case Union():
            return Node("union", children=_children(tree.children, numbers, inside))
        case Join():
            return Node("join", children=_children(tree.children, numbers, (*inside, "join")))
        case Group():
            return Node("group", children=_children(tree.children, numbers, (*inside, "group")))


def _children(
    trees: Sequence[Input], numbers: Iterator[int], inside: tuple[By, ...]
) -> tuple[Node, ...]:
    return tuple(_number(tree, numbers, inside) for tree in trees)


def leaves(node: Node) -> Iterator[Node]:
    """The leaves at or below a node, from left to right."""
    if node.kind == "leaf":
        yield node
    for child in node.children:
        yield from leaves(child)


def is_before(combination: Combination) -> bool:
    """Whether it was a datum before the change."""
    return all(item.before for item in combination)


def is_after(combination: Combination) -> bool:
    """Whether it is a datum after the change."""
    return all(item.after for item in combination)


def on_side(combination: Combination, *, before: bool, after: bool) -> Combination:
    """The same matches, as a datum that exists on these sides of the change."""
    return tuple(
        item
        if (item.before, item.after) == (before, after)
        else structs.replace(item, before=before, after=after)
        for item in combination
    )
