"""Several datums, one path (ENGINE M)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.decide.merge import (
    Concat,
    Conflict,
    Contribution,
    One,
    clashes,
    concat_warning,
    looks_binary,
    resolve,
)
from vedette.model.pipeline import OutputConflict


def wrote(order: int, content: bytes = b"x", path: str = "/threats.png") -> Contribution:
    return Contribution(
        order=order, datum=f"d{order}", path=path, object=content, size=len(content)
    )


@pytest.mark.parametrize("policy", ["error", "concat", "first", "last", "identical"])
def test_m1_a_path_of_one_datum_is_that_datums(policy: OutputConflict) -> None:
    assert resolve(policy, [wrote(3)]) == One(wrote(3))


def test_m2_by_default_two_datums_with_one_path_are_an_error_that_names_both() -> None:
    found = resolve("error", [wrote(2), wrote(1), wrote(3)])
    assert isinstance(found, Conflict)
    assert (found.first, found.second) == (wrote(1), wrote(2))
    for word in ("/threats.png", "d1", "d2", "glob '/'", "$PACH_DATUM_ID", "output_conflict"):
        assert word in found.message


def test_m2_concat_joins_in_datum_order_however_they_came() -> None:
    found = resolve("concat", [wrote(9, b"ccc"), wrote(1, b"a"), wrote(5, b"bb")])
    assert found == Concat((wrote(1, b"a"), wrote(5, b"bb"), wrote(9, b"ccc")))
    assert found.size == 6


def test_m2_first_and_last_go_by_datum_order() -> None:
    assert resolve("first", [wrote(5), wrote(1), wrote(9)]) == One(wrote(1))
    assert resolve("last", [wrote(5), wrote(9), wrote(1)]) == One(wrote(9))


def test_m2_identical_allows_equal_bytes_only() -> None:
    assert resolve("identical", [wrote(2, b"a"), wrote(1, b"a")]) == One(wrote(1, b"a"))
    found = resolve("identical", [wrote(1, b"a"), wrote(2, b"a"), wrote(3, b"b")])
    assert isinstance(found, Conflict)
    assert (found.first.datum, found.second.datum) == ("d1", "d3")


@given(st.permutations(range(5)), st.sampled_from(["error", "concat", "first", "last"]))
def test_d1_the_result_never_depends_on_order(orders: list[int], policy: OutputConflict) -> None:
    arrived = [wrote(order, bytes([order])) for order in orders]
    assert resolve(policy, arrived) == resolve(policy, sorted(arrived, key=lambda one: one.order))


def test_m3_a_file_where_a_directory_is_needed_is_an_error_under_any_policy() -> None:
    [found] = clashes(
        [wrote(2, path="/a"), wrote(1, path="/a/b/c"), wrote(3, path="/a.b"), wrote(4, path="/ab")]
    )
    assert (found.first.datum, found.second.datum) == ("d1", "d2")
    assert "/a would be a file (datum d2)" in found.message
    assert "/a/b/c" in found.message


SHORT = st.lists(st.sampled_from(["a", "b", "a.", "a0"]), min_size=1, max_size=3)


@given(st.lists(SHORT.map(lambda names: "/" + "/".join(names)), max_size=8))
def test_m3_clashes_are_found_exactly_where_one_path_is_above_another(paths: list[str]) -> None:
    found = clashes([wrote(order, path=path) for order, path in enumerate(paths)])
    above = {path for path in paths if any(other.startswith(path + "/") for other in paths)}
    assert {conflict.message.split(" ")[0] for conflict in found} == above
    assert len(found) == len(above)


def test_m2_joined_pictures_and_archives_are_warned_about() -> None:
    assert looks_binary(b"\x89PNG\r\n\x1a\n...") == "PNG"
    assert looks_binary(b"\xff\xd8\xff\xe0") == "JPEG"
    assert looks_binary(b"PK\x03\x04") == "ZIP"
    assert looks_binary(b'{"a": 1}') == ""
    assert looks_binary(b"") == ""
    warning = concat_warning("/threats.png", b"\x89PNG\r\n\x1a\n", 3)
    assert warning.startswith("/threats.png holds 3 PNG files")
    assert "output_conflict" in warning
    assert concat_warning("/threats.png", b"\x89PNG\r\n\x1a\n", 1) == ""
    assert concat_warning("/a.json", b"{}", 3) == ""
