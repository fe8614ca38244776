"""The graph of repos and pipelines as the front page draws it: facts in, shapes out.

A pipeline and the repo of its output have one name and are one node. Repos that no pipeline reads
are not part of the flow and are listed beneath it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from vedette.dashboard.layout import Layout, Size, arrange
from vedette.dashboard.wording import Tone, count, pipeline_tone, plural, shorten, size
from vedette.model.files import RepoInfo
from vedette.model.pipeline import PipelineInfo

_WIDE = Size(along=142, across=66, gap_along=34, gap_across=18)
_TALL = Size(along=66, across=118, gap_along=30, gap_across=10)
_MARGIN = 6


class Link(Struct, frozen=True, kw_only=True):
    """A pipeline `target` reads the repo `source`; by reference: its commits do not wake it."""

    source: str
    target: str
    reference: bool = False


class Node(Struct, frozen=True, kw_only=True):
    """What is written in a node. `failed` is drawn as a link of its own."""

    name: str
    label: str
    kind: Literal["repo", "pipeline"]
    tone: Tone
    state: str
    detail: str
    reason: str = ""
    failed: str = ""


class Box(Struct, frozen=True, kw_only=True):
    """A node with its place: left, top, width, height, in pixels."""

    node: Node
    x: float
    y: float
    width: float
    height: float


class Curve(Struct, frozen=True, kw_only=True):
    """An edge as the `d` of an SVG path."""

    link: Link
    path: str
    tone: Tone


class Drawing(Struct, frozen=True, kw_only=True):
    """The graph in one orientation, in a view box of this size."""

    name: Literal["wide", "tall"]
    width: float
    height: float
    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]


class Graph(Struct, frozen=True, kw_only=True):
    """What the front page shows of the flow; `apart` are the repos that nothing reads."""

    drawings: tuple[Drawing, ...]
    apart: tuple[RepoInfo, ...]
    nodes: tuple[Node, ...]


def links_of(pipeline: PipelineInfo) -> tuple[Link, ...]:
    """What a pipeline reads, one link a repo, out of its spec's input."""
    found: dict[str, bool] = {}
    for leaf in _leaves(pipeline.spec.get("input")):
        repo = str(leaf.get("repo") or "")
        if repo:
            found[repo] = found.get(repo, True) and leaf.get("reference") is True
    for repo in pipeline.inputs:  # a clock need not name the repo of its ticks
        found.setdefault(repo, False)
    return tuple(
        Link(source=repo, target=pipeline.name, reference=reference)
        for repo, reference in found.items()
    )


def draw(repos: Sequence[RepoInfo], pipelines: Sequence[PipelineInfo]) -> Graph:
    """The graph of everything that there is."""
    links = [link for pipeline in pipelines for link in links_of(pipeline)]
    files = {repo.name: repo for repo in repos}
    own = {pipeline.name for pipeline in pipelines}
    read = {link.source for link in links}
    inputs = [repo for repo in repos if repo.name in read and repo.name not in own]
    nodes = [_repo(repo) for repo in inputs]
    nodes += [_pipeline(pipeline, files.get(pipeline.name)) for pipeline in pipelines]
    by_name = {node.name: node for node in nodes}
    names, edges = tuple(by_name), tuple((link.source, link.target) for link in links)
    shown = tuple(link for link in links if link.source in by_name)
    return Graph(
        drawings=(
            _drawing("wide", arrange(names, edges, _WIDE), _WIDE, by_name, shown),
            _drawing("tall", arrange(names, edges, _TALL), _TALL, by_name, shown),
        ),
        apart=tuple(repo for repo in repos if repo.name not in read and repo.name not in own),
        nodes=tuple(nodes),
    )


def _leaves(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, list | tuple):
        for child in tree:
            yield from _leaves(child)
    elif isinstance(tree, Mapping):
        for word, value in tree.items():
            if word in ("pfs", "atom", "cron") and isinstance(value, Mapping):
                yield value
            else:
                yield from _leaves(value)


def _repo(repo: RepoInfo) -> Node:
    return Node(
        name=repo.name,
        label=shorten(repo.name, 16),
        kind="repo",
        tone="idle",
        state=plural(repo.files, "file"),
        detail=size(repo.size) if repo.files else "empty",
        reason=repo.description,
    )


def _pipeline(pipeline: PipelineInfo, repo: RepoInfo | None) -> Node:
    working = pipeline.queued + pipeline.running
    return Node(
        name=pipeline.name,
        label=shorten(pipeline.name, 16),
        kind="pipeline",
        tone=pipeline_tone(pipeline.state, working),
        state=f"{count(working)} in work" if working else pipeline.state.lower(),
        detail=plural(repo.files, "file") if repo else "",
        reason=pipeline.reason or pipeline.spec.get("description") or "",
        failed=f"{count(pipeline.failed)} failed" if pipeline.failed else "",
    )


def _drawing(
    name: Literal["wide", "tall"],
    layout: Layout,
    lengths: Size,
    nodes: Mapping[str, Node],
    links: Sequence[Link],
) -> Drawing:
    wide = name == "wide"
    width, height = (layout.along, layout.across) if wide else (layout.across, layout.along)
    return Drawing(
        name=name,
        width=round(width + 2 * _MARGIN, 1),
        height=round(height + 2 * _MARGIN, 1),
        boxes=tuple(_box(nodes[node], at, lengths, wide) for node, at in layout.nodes.items()),
        curves=tuple(
            Curve(link=link, path=_path(points, lengths, wide), tone=nodes[link.target].tone)
            for link in links
            if (points := layout.edges.get((link.source, link.target)))
        ),
    )


def _box(node: Node, at: tuple[float, float], lengths: Size, wide: bool) -> Box:
    along, across = at[0] - lengths.along / 2 + _MARGIN, at[1] - lengths.across / 2 + _MARGIN
    return Box(
        node=node,
        x=round(along if wide else across, 1),
        y=round(across if wide else along, 1),
        width=lengths.along if wide else lengths.across,
        height=lengths.across if wide else lengths.along,
    )


def _path(points: Sequence[tuple[float, float]], lengths: Size, wide: bool) -> str:
    """A smooth line: it leaves and enters nodes straight, and runs level past other layers."""
    half = lengths.along / 2
    (start, level), *rest = points
    here = (start + half, level)
    out = ["M" + _point(here, wide)]
    for step, (along, across) in enumerate(rest, start=1):
        last = step == len(rest)
        there = (along - half, across)
        middle = (here[0] + there[0]) / 2
        controls = ((middle, here[1]), (middle, there[1]), there)
        out.append("C" + " ".join(_point(point, wide) for point in controls))
        if not last:
            here = (along + half, across)
            out.append("L" + _point(here, wide))
    return "".join(out)


def _point(point: tuple[float, float], wide: bool) -> str:
    along, across = point[0] + _MARGIN, point[1] + _MARGIN
    return f"{along:.1f} {across:.1f}" if wide else f"{across:.1f} {along:.1f}"
