"""Which datums does a change of inputs touch?

The answer is found from the changed matches alone: a cross of a million pictures with one model
gives one combination when one picture arrives (ENGINE D3, S5, S7). Nothing is materialised: the
combinations come one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

from msgspec import Struct

from vedette.model.inputs import Cron, Cross, Input, Pfs, Union


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
Every = Callable[[int], Iterator[Item]]
"""All matches of a leaf as they are now, given its index."""


class Node(Struct, frozen=True):
    """An input tree whose leaves are numbered from left to right."""

    leaf: int = -1
    cross: bool = False
    children: tuple[Node, ...] = ()


def number(tree: Input) -> Node:
    """Number the leaves of an input tree from left to right."""
    return _number(tree, iter(range(1_000_000)))


def _number(tree: Input, numbers: Iterator[int]) -> Node:
    if isinstance(tree, Pfs | Cron):
        return Node(leaf=next(numbers))
    if isinstance(tree, Cross | Union):
        children = tuple(_number(child, numbers) for child in tree.children)
        return Node(cross=isinstance(tree, Cross), children=children)
    raise TypeError(f"{type(tree).__name__} inputs are not expanded here")


def everything(node: Node, every: Every) -> Iterator[Combination]:
    """All datums of an input tree."""
    if node.leaf >= 0:
        for item in every(node.leaf):
            yield (item,)
    elif node.cross:
        yield from _product([partial(everything, c, every) for c in node.children])
    else:
        for child in node.children:
            yield from everything(child, every)


def changed(node: Node, deltas: Sequence[Sequence[Item]], every: Every) -> Iterator[Combination]:
    """The datums that hold a changed match, each once. `deltas` has the changed items by leaf."""
    if node.leaf >= 0:
        for item in deltas[node.leaf]:
            yield (item,)
    elif node.cross:
        for position, child in enumerate(node.children):
            if not _any_delta(child, deltas):
                continue
            yield from _product(
                [
                    *(_unchanged_of(c, deltas, every) for c in node.children[:position]),
                    _changed_of(child, deltas, every),
                    *(_all_of(c, deltas, every) for c in node.children[position + 1 :]),
                ]
            )
    else:
        for child in node.children:
            yield from changed(child, deltas, every)


def _unchanged(node: Node, deltas: Sequence[Sequence[Item]], every: Every) -> Iterator[Combination]:
    if node.leaf >= 0:
        touched = {item.path for item in deltas[node.leaf]}
        for item in every(node.leaf):
            if item.path not in touched:
                yield (item,)
    elif node.cross:
        yield from _product([_unchanged_of(c, deltas, every) for c in node.children])
    else:
        for child in node.children:
            yield from _unchanged(child, deltas, every)


Source = Callable[[], Iterator[Combination]]


def _unchanged_of(node: Node, deltas: Sequence[Sequence[Item]], every: Every) -> Source:
    return lambda: _unchanged(node, deltas, every)


def _changed_of(node: Node, deltas: Sequence[Sequence[Item]], every: Every) -> Source:
    return lambda: changed(node, deltas, every)


def _all_of(node: Node, deltas: Sequence[Sequence[Item]], every: Every) -> Source:
    return lambda: chain(_unchanged(node, deltas, every), changed(node, deltas, every))


def _any_delta(node: Node, deltas: Sequence[Sequence[Item]]) -> bool:
    if node.leaf >= 0:
        return bool(deltas[node.leaf])
    return any(_any_delta(child, deltas) for child in node.children)


def _product(sources: Sequence[Source]) -> Iterator[Combination]:
    if not sources:
        yield ()
        return
    for first in sources[0]():
        for rest in _product(sources[1:]):
            yield first + rest
