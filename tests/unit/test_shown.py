"""Sizes and ages as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vedette.cli.shown import age, duration, size

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (1023, "1023B"), (100_000, "97.7KiB"), (1 << 20, "1.0MiB"), (5 << 40, "5.0TiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "Less than a second ago"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (200, "3 minutes ago"),
        (3 * 3600, "3 hours ago"),
        (3 * 86400, "3 days ago"),
        (20 * 86400, "2 weeks ago"),
        (90 * 86400, "3 months ago"),
        (1000 * 86400, "2 years ago"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.152, "152ms"), (1.5, "1.5s"), (90, "1m30s"), (3723, "1h02m03s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(NOW, NOW + timedelta(seconds=seconds)) == text


def test_what_has_not_ended_has_no_duration() -> None:
    assert duration(NOW, None) == "-"
