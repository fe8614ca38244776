"""Where the nodes of the graph of pipelines go."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from vedette.dashboard.layout import Layout, Size, arrange

SIZE = Size(along=140, across=60, gap_along=30, gap_across=20)
NAMES = tuple("abcdefghijkl")
GRAPHS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=24)
FLOW = (
    ("images", "validate"), ("validate", "detect"), ("model", "detect"), ("detect", "judge"),
    ("rules", "judge"), ("judge", "threat"), ("threat", "counts"), ("counts", "plot"),
    ("devices", "plot"),
)  # fmt: skip
FLOW_NAMES = tuple(dict.fromkeys(name for edge in FLOW for name in edge))


def apart(found: Layout) -> bool:
    return all(
        abs(a[0] - b[0]) >= SIZE.along - 0.01 or abs(a[1] - b[1]) >= SIZE.across - 0.01
        for a, b in combinations(found.nodes.values(), 2)
    )


@given(GRAPHS)
def test_no_two_nodes_overlap_and_all_are_inside(edges: list[tuple[str, str]]) -> None:
    found = arrange(NAMES, tuple(edges), SIZE)
    assert set(found.nodes) == set(NAMES)
    assert apart(found)
    for along, across in found.nodes.values():
        assert SIZE.along / 2 <= along <= found.along - SIZE.along / 2
        assert SIZE.across / 2 - 0.01 <= across <= found.across - SIZE.across / 2 + 0.01


@given(GRAPHS)
def test_edges_run_forward_even_where_the_graph_has_cycles(edges: list[tuple[str, str]]) -> None:
    found = arrange(NAMES, tuple(edges), SIZE)
    for (source, target), points in found.edges.items():
        assert points[0] == found.nodes[source]
        assert points[-1] == found.nodes[target]
        assert [along for along, _ in points] == sorted({along for along, _ in points})


@given(GRAPHS)
def test_every_edge_that_closes_no_cycle_is_drawn(edges: list[tuple[str, str]]) -> None:
    forward = tuple((a, b) for a, b in edges if a < b)
    assert set(arrange(NAMES, forward, SIZE).edges) == set(forward)


def test_what_only_adds_to_the_flow_stands_beside_its_reader() -> None:
    nodes = arrange(FLOW_NAMES, FLOW, SIZE).nodes
    step = SIZE.along + SIZE.gap_along
    assert nodes["detect"][0] - nodes["model"][0] == step
    assert nodes["plot"][0] - nodes["devices"][0] == step


def test_the_main_flow_is_nearly_straight() -> None:
    nodes = arrange(FLOW_NAMES, FLOW, SIZE).nodes
    chain = ("images", "validate", "detect", "judge", "threat")
    for one, other in combinations(chain, 2):
        assert abs(nodes[one][1] - nodes[other][1]) < SIZE.across / 2


def test_crossings_that_can_be_avoided_are() -> None:
    found = arrange(("a", "b", "c", "d"), (("a", "d"), ("b", "c")), SIZE).nodes
    assert (found["a"][1] < found["b"][1]) == (found["d"][1] < found["c"][1])


def test_unknown_names_and_repeated_edges_are_left_out() -> None:
    found = arrange(("a", "b"), (("a", "b"), ("a", "b"), ("a", "x"), ("b", "b")), SIZE)
    assert list(found.edges) == [("a", "b")]


def test_an_empty_graph_takes_no_room() -> None:
    assert arrange((), (), SIZE).along == 0
