"""Which datums does a tree of inputs have, and which of them does a change touch?

The answer to the second question is found from the changed matches alone: a cross of a million
pictures with one model gives one combination when one picture arrives (ENGINE D3, S5, S7), and a
join looks up the partners of that picture's key (D4). Nothing is materialised: combinations come
one by one; only the members of one group are held together (D5).

Three lists describe a node: its *unchanged* combinations, which hold no changed match and are
datums before and after; its *changed* ones, each with the sides on which it is a datum; and both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import chain, groupby

from vedette.decide.product import Source, product
from vedette.decide.tree import (
    By,
    Combination,
    Item,
    Matches,
    Node,
    Steps,
    is_after,
    is_before,
    leaves,
    number,
    on_side,
)

__all__ = [
    "Combination", "Item", "Matches", "Node", "changed", "count", "everything", "is_after",
    "is_before", "number",
]  # fmt: skip

Where = tuple[By, str] | None
"""Only combinations whose matches have this key, as far as they have one of its sort."""


def everything(node: Node, matches: Matches) -> Steps:
    """All datums of an input tree."""
    return _Search(node, None, matches).unchanged(node)


def changed(node: Node, deltas: Sequence[Sequence[Item]], matches: Matches) -> Steps:
    """The datums that hold a changed match, each once. `deltas` has the changed items by leaf.

    Those that are a datum on one side only are among them: for a match of their own, or (in an
    outer join or a group) for what came or went beside them.
    """
    return _Search(node, deltas, matches).changed(node)


def count(node: Node, matches: Matches) -> Iterator[int]:
    """How many datums an input tree has, in parts that are to be added up.

    A cross costs what its sides cost. Where children of a union give one datum twice, so does this.
    """
    if node.kind == "cross":
        yield _multiply(sum(count(child, matches)) for child in node.children)
    elif node.kind == "union":
        for child in node.children:
            yield from count(child, matches)
    else:
        for combination in everything(node, matches):
            yield int(combination is not None)


def _multiply(numbers: Iterable[int]) -> int:
    result = 1
    for each in numbers:
        result *= each
    return result


class _Search:
    """One search in a tree. Without `deltas` there is no change: every match is unchanged."""

    def __init__(
        self, root: Node, deltas: Sequence[Sequence[Item]] | None, matches: Matches
    ) -> None:
        self._matches = matches
        self._whole = deltas is None
        self._leaves = {leaf.leaf: leaf for leaf in leaves(root)}
        self._deltas = deltas if deltas is not None else [()] * (max(self._leaves, default=-1) + 1)
        self._paths = [{item.path for item in delta} for delta in self._deltas]
        self._delta_keys: dict[tuple[int, By], dict[str, list[Item]]] = {}
        self._touched_keys: dict[int, frozenset[str]] = {}

    # the three lists

    def unchanged(self, node: Node, where: Where = None) -> Steps:
        """The combinations that hold no changed match and are there before and after."""
        if node.kind == "leaf":
            for item in self._matching(node, where):
                if item.path not in self._paths[node.leaf]:
                    yield (item,)
        elif node.kind == "cross":
            yield from product([partial(self.unchanged, c, where) for c in node.children])
        elif node.kind == "union":
            for child in node.children:
                yield from self.unchanged(child, where)
        else:
            find = self._unchanged_join if node.kind == "join" else self._unchanged_group
            for key in self._keys(node, where):
                yield None
                yield from self._fitting(find(node, key), node, where)

    def changed(self, node: Node, where: Where = None) -> Steps:
        """The combinations that hold a changed match, or are there on one side only."""
        if not self._any_delta(node):
            return
        if node.kind == "leaf":
            for item in self._delta(node, where):
                yield (item,)
        elif node.kind == "cross":
            yield from self._crossed(list(node.children), where)
        elif node.kind == "union":
            for child in node.children:
                yield from self.changed(child, where)
        else:
            find = self._changed_join if node.kind == "join" else self._changed_group
            for key in self._changed_keys(node, where):
                yield None
                yield from self._fitting(find(node, key), node, where)

    def both(self, node: Node, where: Where = None) -> Steps:
        """All combinations of before and of after."""
        return chain(self.unchanged(node, where), self.changed(node, where))

    def _crossed(self, sides: list[Node], where: Where, outer: bool = False) -> Steps:
        """The changed part of a product: each combination has a first side that changed."""
        for place, side in enumerate(sides):
            if self._any_delta(side):
                before = [self._source(self.unchanged, s, where, outer) for s in sides[:place]]
                after = [self._source(self.both, s, where, outer) for s in sides[place + 1 :]]
                own = self._source(self.changed, side, where, outer)
                yield from product([*before, own, *after])

    def _source(
        self, find: Callable[[Node, Where], Steps], node: Node, where: Where, outer: bool
    ) -> Source:
        def all_of() -> Steps:
            for found in find(node, where):
                if found is None or not outer or self._is_outer(found):
                    yield found

        return all_of

    # leaves

    def _matching(self, leaf: Node, where: Where) -> Iterator[Item]:
        if where is None or where[0] not in leaf.keys:
            return self._matches.every(leaf.leaf)
        return self._matches.at(leaf.leaf, *where)

    def _delta(self, leaf: Node, where: Where) -> Sequence[Item]:
        if where is None or where[0] not in leaf.keys:
            return self._deltas[leaf.leaf]
        place = (leaf.leaf, where[0])
        if place not in self._delta_keys:
            by_key: dict[str, list[Item]] = {}
            for item in self._deltas[leaf.leaf]:
                by_key.setdefault(self._matches.key(*place, item.path), []).append(item)
            self._delta_keys[place] = by_key
        return self._delta_keys[place].get(where[1], ())

    def _any_delta(self, node: Node) -> bool:
        return not self._whole and any(self._deltas[leaf.leaf] for leaf in leaves(node))

    # keys

    def _key(self, combination: Combination, by: By) -> str | None:
        """The key that all matches with a key of this sort have."""
        found: str | None = None
        for item in combination:
            if by in self._leaves[item.leaf].keys:
                key = self._matches.key(item.leaf, by, item.path)
                if found is not None and key != found:
                    return None
                found = key
        return found

    def _fits(self, combination: Combination, where: tuple[By, str]) -> bool:
        by, key = where
        return all(
            self._matches.key(item.leaf, by, item.path) == key
            for item in combination
            if by in self._leaves[item.leaf].keys
        )

    def _fitting(self, steps: Steps, node: Node, where: Where) -> Steps:
        """Those that fit; a node's own key fits by how it was found."""
        for found in steps:
            if found is None or where is None or where[0] == node.kind or self._fits(found, where):
                yield found

    def _keys(self, node: Node, where: Where) -> Iterable[str]:
        """The keys at which a join or a group may have combinations."""
        by = _by(node)
        if where is not None:
            if where[0] == by:
                return [where[1]]
            found = (c for child in _needed(node) for c in self.both(child, where))
            return _distinct(self._key(c, by) for c in found if c is not None)
        streams = [
            self._matches.keys(leaf.leaf, by)
            for child in _needed(node)
            for leaf in leaves(child)
            if by in leaf.keys
        ]
        return (key for key, _ in groupby(merge(*streams)))

    def _changed_keys(self, node: Node, where: Where) -> Iterable[str]:
        """The keys at which a join or a group may have changed combinations."""
        by = _by(node)
        if where is not None and where[0] == by:
            return [where[1]]
        found = (c for child in node.children for c in self.changed(child))
        keys = _distinct(self._key(c, by) for c in found if c is not None)
        if where is None:
            return keys
        if id(node) not in self._touched_keys:
            self._touched_keys[id(node)] = frozenset(keys)
        touched = self._touched_keys[id(node)]
        return [key for key in self._keys(node, where) if key in touched]

    # joins

    def _is_outer(self, combination: Combination) -> bool:
        """Whether it is kept without partner: all of its matches with a key are."""
        keyed = [leaf for item in combination if (leaf := self._leaves[item.leaf]).keys]
        return all(leaf.outer for leaf in keyed if "join" in leaf.keys)

    def _shapes(self, node: Node, key: str) -> tuple[list[int], list[int]]:
        """Which sides meet at a key, before and after.

        All of them where each has a match; else those that are kept without partner.
        """
        there: list[list[bool]] = []
        alone = _may_be_outer(node)
        for child in node.children:
            there.append(self._presence(child, key))
            if not alone and not any(there[-1]):
                return [], []
        shapes = []
        for some, outer in ((0, 1), (2, 3)):
            full = all(side[some] for side in there)
            kept = [place for place, side in enumerate(there) if full or side[outer]]
            shapes.append(kept)
        return shapes[0], shapes[1]

    def _presence(self, side: Node, key: str) -> list[bool]:
        """Whether a side has a combination, and one that is kept alone: before, then after."""
        outer = _may_be_outer(side)
        wanted = [not self._whole, not self._whole and outer, True, outer]
        there = [False] * 4
        for found in self.both(side, ("join", key)):
            if found is None:
                continue
            alone = outer and self._is_outer(found)
            before, after = is_before(found), is_after(found)
            now = [before, before and alone, after, after and alone]
            there = [a or b for a, b in zip(there, now, strict=True)]
            if all(has or not want for has, want in zip(there, wanted, strict=True)):
                break
        return there

    def _sides(
        self, node: Node, key: str, shape: list[int], find: Callable[[Node, Where], Steps]
    ) -> list[Source]:
        outer = len(shape) < len(node.children)
        return [self._source(find, node.children[p], ("join", key), outer) for p in shape]

    def _unchanged_join(self, node: Node, key: str) -> Steps:
        before, after = self._shapes(node, key)
        if after and (self._whole or before == after):
            yield from product(self._sides(node, key, after, self.unchanged))

    def _changed_join(self, node: Node, key: str) -> Steps:
        before, after = self._shapes(node, key)
        if before == after:
            sides = [node.children[place] for place in after]
            yield from self._crossed(sides, ("join", key), len(sides) < len(node.children))
            return
        if before:
            for found in product(self._sides(node, key, before, self.both)):
                if found is not None and is_before(found):
                    yield on_side(found, before=True, after=False)
        if after:
            for found in product(self._sides(node, key, after, self.both)):
                if found is not None and is_after(found):
                    yield on_side(found, before=False, after=True)

    # groups

    def _unchanged_group(self, node: Node, key: str) -> Steps:
        where: Where = ("group", key)
        if any(found is not None for c in node.children for found in self.changed(c, where)):
            return
        members: dict[tuple[int, str], Item] = {}
        for child in node.children:
            for found in self.unchanged(child, where):
                members.update(((item.leaf, item.path), item) for item in found or ())
        if members:
            yield _ordered(members)

    def _changed_group(self, node: Node, key: str) -> Steps:
        where: Where = ("group", key)
        before: dict[tuple[int, str], Item] = {}
        after: dict[tuple[int, str], Item] = {}
        touched = False
        for child in node.children:
            for found in self.changed(child, where):
                touched = touched or found is not None
                _note(found, before, after)
        if not touched:
            return
        for child in node.children:
            for found in self.unchanged(child, where):
                _note(found, before, after)
        if not before and not after:  # what came meets only what went: no member on either side
            return
        if before.keys() == after.keys():
            yield on_side(_ordered(after), before=True, after=True)
            return
        if before:
            yield on_side(_ordered(before), before=True, after=False)
        if after:
            yield on_side(_ordered(after), before=False, after=True)


def _note(
    found: Combination | None,
    before: dict[tuple[int, str], Item],
    after: dict[tuple[int, str], Item],
) -> None:
    if found is None:
        return
    for members, there in ((before, is_before(found)), (after, is_after(found))):
        if there:
            members.update(((item.leaf, item.path), item) for item in found)


def _ordered(members: dict[tuple[int, str], Item]) -> Combination:
    return tuple(members[place] for place in sorted(members))


def _by(node: Node) -> By:
    return "join" if node.kind == "join" else "group"


def _may_be_outer(node: Node) -> bool:
    return any(leaf.outer for leaf in leaves(node))


def _needed(node: Node) -> Sequence[Node]:
    """Children of which at least one is part of every combination."""
    if node.kind == "join" and not _may_be_outer(node):
        return node.children[:1]
    return node.children


def _distinct(keys: Iterable[str | None]) -> Iterator[str]:
    seen: set[str] = set()
    for key in keys:
        if key is not None and key not in seen:
            seen.add(key)
            yield key
