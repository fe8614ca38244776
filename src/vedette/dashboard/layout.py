"""Where the nodes of a small directed graph go: layers, order within them, coordinates.

The method is Sugiyama's in its usual steps: break cycles, layer by the longest path, put dummies
where an edge passes a layer, sweep with barycentres for few crossings, then give coordinates. The
last step moves each layer towards its neighbours and keeps the distances exactly, by isotonic
regression (pool adjacent violators). A pure function of its input, so the same graph is always
drawn alike; 50 nodes take some milliseconds, and a layout is kept as long as the graph stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import fmean

from msgspec import Struct

Edge = tuple[str, str]
_SWEEPS = 12
_SIDE = 0.05
_DUMMY = "\0"


class Size(Struct, frozen=True, kw_only=True):
    """Lengths in pixels: of a node, and of the gaps, along the flow and across it."""

    along: float
    across: float
    gap_along: float
    gap_across: float


class Layout(Struct, frozen=True, kw_only=True):
    """A drawn graph: the middle of each node and the points of each edge, as (along, across)."""

    along: float
    across: float
    nodes: dict[str, tuple[float, float]]
    edges: dict[Edge, tuple[tuple[float, float], ...]]


@lru_cache(maxsize=16)
def arrange(names: tuple[str, ...], edges: tuple[Edge, ...], size: Size) -> Layout:
    """Lay out a graph; edges that name an unknown node or a node twice are left out."""
    known = set(names)
    wanted = dict.fromkeys(edges)
    drawable = [(a, b) for a, b in wanted if a in known and b in known and a != b]
    forward = _acyclic(names, drawable)
    layer_of = _layers(names, forward)
    chains = {edge: _chain(edge, layer_of) for edge in forward}
    rows: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for name in names:
        rows[layer_of[name]].append(name)
    for edge, chain in chains.items():
        for step, node in enumerate(chain[1:-1], start=layer_of[edge[0]] + 1):
            rows[step].append(node)
    links = [link for chain in chains.values() for link in pairwise(chain)]
    rows = _order(rows, links)
    across = _coordinates(rows, links, size, _sides(links))
    stride = size.along + size.gap_along
    along = {node: at * stride + size.along / 2 for at, row in enumerate(rows) for node in row}
    return Layout(
        along=max(len(rows) * stride - size.gap_along, 0.0),
        across=max((across[name] for name in names), default=0) + size.across / 2,
        nodes={name: (along[name], across[name]) for name in names},
        edges={
            edge: tuple((along[node], across[node]) for node in chain)
            for edge, chain in chains.items()
        },
    )


def _acyclic(names: Sequence[str], edges: Sequence[Edge]) -> list[Edge]:
    """The edges without those that close a cycle on a walk from the first names."""
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        after[source].append(target)
    finished: set[str] = set()
    closing: set[Edge] = set()
    for start in names:
        if start in finished:
            continue
        open_now = {start}
        stack = [(start, iter(after[start]))]
        while stack:
            node, rest = stack[-1]
            target = next(rest, "")
            if not target:
                stack.pop()
                open_now.discard(node)
                finished.add(node)
            elif target in open_now:
                closing.add((node, target))
            elif target not in finished:
                open_now.add(target)
                stack.append((target, iter(after[target])))
    return [edge for edge in edges if edge not in closing]


def _layers(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Each node right of all before it; one that nothing feeds stands beside its first reader."""
    before: dict[str, list[str]] = {name: [] for name in names}
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    layer = dict.fromkeys(names, 0)
    waiting = {name: len(before[name]) for name in names}
    ready = [name for name in names if not waiting[name]]
    while ready:
        node = ready.pop()
        for target in after[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for name in names:
        if not before[name] and after[name]:
            layer[name] = min(layer[target] for target in after[name]) - 1
    return layer


def _chain(edge: Edge, layer_of: Mapping[str, int]) -> list[str]:
    """The edge's nodes with a dummy for each layer that it passes."""
    source, target = edge
    passed = range(layer_of[source] + 1, layer_of[target])
    return [source, *(f"{_DUMMY}{source}{_DUMMY}{target}{_DUMMY}{row}" for row in passed), target]


def _order(rows: list[list[str]], links: Sequence[Edge]) -> list[list[str]]:
    """The rows in the best order that alternating sweeps find."""
    above, below = _neighbours(links)
    best, fewest = rows, _crossings(rows, below)
    current = [list(row) for row in rows]
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        indices = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for index in indices:
            fixed = {node: at for at, node in enumerate(current[index - 1 if down else index + 1])}
            near = above if down else below
            current[index] = _by_barycentre(current[index], near, fixed)
        count = _crossings(current, below)
        if count < fewest:
            best, fewest = [list(row) for row in current], count
    return best


def _neighbours(links: Sequence[Edge]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for source, target in links:
        above.setdefault(target, []).append(source)
        below.setdefault(source, []).append(target)
    return above, below


def _by_barycentre(
    row: list[str], near: Mapping[str, list[str]], fixed: Mapping[str, int]
) -> list[str]:
    def key(item: tuple[int, str]) -> tuple[float, int]:
        at, node = item
        neighbours = near.get(node)
        return (fmean(fixed[other] for other in neighbours) if neighbours else at, at)

    return [node for _, node in sorted(enumerate(row), key=key)]


def _crossings(rows: Sequence[Sequence[str]], below: Mapping[str, list[str]]) -> int:
    count = 0
    for upper, lower in pairwise(rows):
        place = {node: at for at, node in enumerate(lower)}
        ends = [sorted(place[other] for other in below.get(node, ())) for node in upper]
        seen: list[int] = []
        for found in ends:
            count += sum(1 for end in found for other in seen if other > end)
            seen.extend(found)
    return count


def _sides(links: Sequence[Edge]) -> frozenset[str]:
    """Nodes that only add to what flows by: they give way, so that the main flow is straight.

    Nothing feeds them, and all that they feed is fed by something else too.
    """
    above, below = _neighbours(links)
    return frozenset(
        node
        for node in below
        if node not in above
        and all(any(other in above for other in above[target]) for target in below[node])
    )


def _coordinates(
    rows: Sequence[Sequence[str]], links: Sequence[Edge], size: Size, sides: frozenset[str]
) -> dict[str, float]:
    """The middle of each node across the flow; the smallest is half a node."""
    above, below = _neighbours(links)
    at = {
        node: place * (size.across + size.gap_across)
        for row in rows
        for place, node in enumerate(row)
    }
    weight = {node: _SIDE if node in sides else 1.0 for node in at}
    everything = {node: above.get(node, []) + below.get(node, []) for node in at}

    def wish(node: str, others: Sequence[str]) -> float:
        weights = [weight[other] for other in others]
        return fmean([at[other] for other in others], weights) if others else at[node]

    for near in [above, below] * 4 + [everything] * 2:
        for row in reversed(rows) if near is below else rows:
            wished = [wish(node, near.get(node, ())) for node in row]
            at.update(zip(row, _apart(row, wished, weight, size), strict=True))
    real = [node for node in at if not node.startswith(_DUMMY)]
    lowest = min((at[node] for node in real), default=0.0) - size.across / 2
    return {node: value - lowest for node, value in at.items()}


def _apart(
    row: Sequence[str], wished: Sequence[float], weight: Mapping[str, float], size: Size
) -> list[float]:
    """The coordinates nearest to those wished (least squares) that keep order and distance."""
    offsets = [0.0]
    for left, right in pairwise(row):
        half = (_width(left, size) + _width(right, size)) / 2
        offsets.append(offsets[-1] + half + size.gap_across)
    # Without the offsets only the order is asked for: each pool takes the mean of its wishes.
    pools: list[tuple[float, float, int]] = []
    for node, wish, offset in zip(row, wished, offsets, strict=False):
        total, heft, count = (wish - offset) * weight[node], weight[node], 1
        while pools and pools[-1][0] / pools[-1][1] > total / heft:
            other_total, other_heft, other_count = pools.pop()
            total, heft, count = total + other_total, heft + other_heft, count + other_count
        pools.append((total, heft, count))
    placed = [total / heft for total, heft, count in pools for _ in range(count)]
    return [value + offset for value, offset in zip(placed, offsets, strict=False)]


def _width(node: str, size: Size) -> float:
    return 0.0 if node.startswith(_DUMMY) else size.across
