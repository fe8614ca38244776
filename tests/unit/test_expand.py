"""Forming datums: the search against brute force (ENGINE D1 to D5, D7)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.inputs_model import (
    FILES,
    Datum,
    Tree,
    form,
    inputs,
    key_of,
    numbered,
    paths,
    repos,
    select,
    without_clashes,
)

from vedette.decide.expand import Combination, Item, changed, count, everything, number
from vedette.decide.tree import By, is_after, is_before
from vedette.model.inputs import Cross, Input, Join, Pfs, Union


class Selected:
    """The matches of a tree's leaves in some repos; `before` is what is said of each."""

    def __init__(self, tree: Input, trees: dict[str, Tree], before: bool = False) -> None:
        self.leaves = numbered(tree)
        self.found = [select(leaf, trees[leaf.repo]) for leaf in self.leaves]
        self.before = before
        self.asked: list[tuple[int, By, str]] = []

    def every(self, leaf: int) -> Iterator[Item]:
        for path in self.found[leaf]:
            yield Item(leaf, path, self.before, True)

    def at(self, leaf: int, by: By, key: str) -> Iterator[Item]:
        self.asked.append((leaf, by, key))
        return (item for item in self.every(leaf) if self.key(leaf, by, item.path) == key)

    def keys(self, leaf: int, by: By) -> Iterator[str]:
        return iter(sorted({self.key(leaf, by, path) for path in self.found[leaf]} | {"none"}))

    def key(self, leaf: int, by: By, path: str) -> str:
        found = self.leaves[leaf]
        return key_of(found, found.join_on if by == "join" else found.group_by, path)

    def datum(self, combination: Combination) -> Datum:
        return tuple((i.leaf, i.path, self.found[i.leaf][i.path]) for i in combination)


def deltas(old: Selected, new: Selected) -> list[list[Item]]:
    found: list[list[Item]] = []
    for leaf, (before, after) in enumerate(zip(old.found, new.found, strict=True)):
        touched = [p for p in before.keys() | after.keys() if before.get(p) != after.get(p)]
        found.append([Item(leaf, p, p in before, p in after) for p in sorted(touched)])
    return found


@settings(max_examples=300, deadline=None)
@given(inputs(), repos())
def test_d7_all_datums_are_those_of_brute_force(tree: Input, trees: dict[str, Tree]) -> None:
    found = Selected(tree, trees)
    made = [found.datum(c) for c in everything(number(tree), found) if c is not None]
    assert set(made) == form(tree, trees)
    assert len(made) == len(set(made))
    assert sum(count(number(tree), found)) == len(made)


edits = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from(FILES), st.sampled_from([b"1", b"2", None])),
    max_size=4,
)


def edited(trees: dict[str, Tree], steps: list[tuple[str, str, bytes | None]]) -> dict[str, Tree]:
    made = {name: dict(tree) for name, tree in trees.items()}
    for name, path, content in steps:
        if content is None:
            made[name].pop(path, None)
        else:
            made[name][path] = content
    return {name: without_clashes(tree) for name, tree in made.items()}


@settings(max_examples=400, deadline=None)
@given(inputs(), repos(), st.lists(edits, min_size=1, max_size=4))
def test_d7_changed_datums_lead_from_one_state_to_the_next(
    tree: Input, trees: dict[str, Tree], rounds: list[list[tuple[str, str, bytes | None]]]
) -> None:
    node = number(tree)
    state = {paths(datum): datum for datum in form(tree, trees)}
    for steps in rounds:
        old = Selected(tree, trees)
        trees = edited(trees, steps)
        new = Selected(tree, trees, before=True)
        seen = set()
        for combination in changed(node, deltas(old, new), new):
            if combination is None:
                continue
            ident = tuple((item.leaf, item.path) for item in combination)
            before, after = is_before(combination), is_after(combination)
            if not before and not after:
                continue
            assert ident not in seen
            seen.add(ident)
            assert (ident in state) == before
            state.pop(ident, None)
            if after:
                state[ident] = new.datum(combination)
        assert set(state.values()) == form(tree, trees)


class Many:
    """A thousand matches of each leaf, all of one key, made when they are asked for."""

    def __init__(self, before: bool) -> None:
        self.before = before

    def every(self, leaf: int) -> Iterator[Item]:
        return (Item(leaf, f"/{number:04}", self.before, True) for number in range(1000))

    def at(self, leaf: int, by: By, key: str) -> Iterator[Item]:
        return self.every(leaf)

    def keys(self, leaf: int, by: By) -> Iterator[str]:
        return iter(["one"])

    def key(self, leaf: int, by: By, path: str) -> str:
        return "one"


CROSS: Input = Cross((Pfs(name="a", repo="x", glob="/*"), Pfs(name="b", repo="y", glob="/*")))
JOIN: Input = Join(
    (
        Pfs(name="a", repo="x", glob="/*", join_on="one"),
        Pfs(name="b", repo="y", glob="/*", join_on="one"),
    )
)


@pytest.mark.parametrize("tree", [CROSS, JOIN], ids=["cross", "join"])
def test_d3_a_thousand_by_a_thousand_is_never_held_whole(tree: Input) -> None:
    node = number(tree)
    tracemalloc.start()
    try:
        seen = 0
        for combination in everything(node, Many(before=False)):
            seen += combination is not None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == 1_000_000
    assert peak < 4_000_000


def test_d3_a_cross_is_counted_without_being_gone_through() -> None:
    deep: Input = Cross((CROSS, Union((CROSS, CROSS)), Pfs(name="c", repo="x", glob="/*")))
    assert sum(count(number(deep), Many(before=False))) == 10**6 * 2 * 10**6 * 10**3


@pytest.mark.parametrize("tree", [CROSS, JOIN], ids=["cross", "join"])
def test_s5_a_new_match_meets_each_of_the_other_side_once(tree: Input) -> None:
    new = Item(0, "/new", False, True)
    found = [c for c in changed(number(tree), [[new], []], Many(before=True)) if c]
    assert len(found) == 1000
    assert {combination[0] for combination in found} == {new}
    assert len({combination[1].path for combination in found}) == 1000
