"""How values are worded on the pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from vedette.dashboard import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1023 B"), (100_052, "97.7 KiB"), (7_600_000, "7.2 MiB"),
     (5 * 1024**4, "5.0 TiB")],
)  # fmt: skip
def test_sizes_are_in_binary_units(value: int, text: str) -> None:
    assert wording.size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0413, "41 ms"), (0.9996, "1.0 s"), (2.34, "2.3 s"), (9.96, "10 s"), (59.6, "1 min"),
     (250, "4 min 10 s"), (7200, "2 h"), (11_100, "3 h 5 min")],
)  # fmt: skip
def test_durations_have_about_two_digits(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_times_are_given_in_utc_for_the_script_to_turn() -> None:
    noon = datetime(2026, 11, 21, 13, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))
    assert wording.moment(noon) == (
        '<time datetime="2026-11-21T12:00:00.250+00:00">2026-11-21 12:00:00 UTC</time>'
    )
    assert wording.moment(datetime(2026, 1, 1, tzinfo=UTC)).startswith("<time")
    assert wording.moment(None) == ""


def test_a_long_name_keeps_its_ends() -> None:
    assert wording.shorten("object-detect", 16) == "object-detect"
    short = wording.shorten("front-door-object-detect-2", 16)
    assert (len(short), short[:7], short[-8:]) == (16, "front-d", "detect-2")


def test_a_pipeline_with_work_is_busy_and_one_without_is_well() -> None:
    assert wording.pipeline_tone("RUNNING", 3) == "busy"
    assert wording.pipeline_tone("RUNNING", 0) == "ok"
    assert wording.pipeline_tone("CRASHING", 3) == "bad"


def test_counts_and_nouns_agree() -> None:
    assert wording.plural(1, "file") == "1 file"
    assert wording.plural(1204, "file") == "1,204 files"
    assert wording.plural(2, "entry", "entries") == "2 entries"
