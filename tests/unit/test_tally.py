"""The line of truth holds whatever comes in whatever order (CAMERAS 9)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from vedette_cameras.counts.tally import (
    ALERTED,
    FAILED,
    INVALID,
    JUDGED,
    PRESENT,
    SUPPRESSED,
    THREAT,
    VALID,
    Tally,
    stem_of_result,
)

IMAGES = ["/a_1.jpg", "/a_1.png", "/a_2.jpg", "/b_1.jpg", "/odd"]
MARKS = [PRESENT, INVALID, VALID, JUDGED, THREAT, ALERTED, SUPPRESSED, FAILED]
STEPS = st.lists(
    st.tuples(st.sampled_from(IMAGES), st.sampled_from(MARKS), st.booleans()), max_size=60
)


@given(STEPS)
def test_received_is_the_sum_of_all_states_after_every_step(
    steps: list[tuple[str, int, bool]],
) -> None:
    tally = Tally()
    for image, mark, on in steps:
        tally.mark(image, mark, on)
        found = structs.asdict(tally.summary())
        received = found.pop("received")
        assert received == sum(found.values())
        assert received == sum(bool(tally.marks(one) & PRESENT) for one in IMAGES)
        outcomes = [tally.outcome(one) for one in IMAGES]
        assert found == {name: outcomes.count(name) for name in found}  # type: ignore[arg-type]
        assert tally.in_flight() == [o for o in tally._marks if tally.outcome(o) == "in_flight"]


def test_a_picture_goes_from_in_flight_to_one_end() -> None:
    tally = Tally()
    tally.mark("/a_1.jpg", PRESENT)
    assert tally.summary().in_flight == 1
    tally.mark("/a_1.jpg", VALID)
    tally.mark("/a_1.jpg", JUDGED)
    assert tally.summary().clean == 1
    tally.mark("/a_1.jpg", THREAT)
    assert tally.summary().in_flight == 1, "found, but not on record yet"
    tally.mark("/a_1.jpg", ALERTED)
    assert tally.summary().alerted == 1
    tally.mark("/a_1.jpg", THREAT, on=False)
    assert tally.summary().alerted == 1, "what was told stays told"


def test_a_picture_whose_result_another_of_its_second_holds_is_suppressed() -> None:
    tally = Tally()
    for image in ("/a_1.jpg", "/a_1.png"):
        tally.mark(image, PRESENT)
    tally.mark("/a_1.png", JUDGED)
    assert tally.outcome("/a_1.jpg") == "suppressed"
    assert tally.overwritten("/a_1.jpg")
    assert tally.outcome("/a_1.png") == "clean"
    tally.mark("/a_1.png", PRESENT, on=False)
    assert tally.outcome("/a_1.jpg") == "in_flight"


def test_a_deleted_picture_is_remembered_only_by_the_ledger() -> None:
    tally = Tally()
    for mark in (PRESENT, VALID, JUDGED, ALERTED):
        tally.mark("/a_1.jpg", mark)
    tally.mark("/a_1.jpg", PRESENT, on=False)
    assert tally.summary().received == 0
    tally.mark("/a_1.jpg", PRESENT)
    assert tally.outcome("/a_1.jpg") == "alerted"


def test_only_sets_and_clears() -> None:
    tally = Tally()
    for image in ("/a_1.jpg", "/a_2.jpg"):
        tally.mark(image, PRESENT)
    tally.only(FAILED, ["/a_1.jpg"])
    tally.only(FAILED, ["/a_2.jpg"])
    assert [tally.outcome(i) for i in ("/a_1.jpg", "/a_2.jpg")] == ["in_flight", "failed"]


def test_results_are_matched_to_pictures_by_device_and_time() -> None:
    assert stem_of_result("/dev1/1511891098.json") == "dev1_1511891098"
    assert stem_of_result("/threats.png") == ""
    assert stem_of_result("/a/b/c.json") == ""
