"""The charts: threats by device, and over time. PNG, drawn with matplotlib's Figure alone.

Nothing here depends on the clock or the machine: equal counts give equal bytes, so that a chart
that did not change is not stored again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vedette_cameras.plot.tally import Tally

_INK = "#1f2933"
_MUTED = "#7b8794"
_GRID = "#e4e7eb"
_BAR = "#c2410c"
_COLOURS = (
    "#c2410c", "#1d4ed8", "#0f766e", "#a16207", "#7e22ce",
    "#be123c", "#0369a1", "#4d7c0f",
)  # fmt: skip
_OTHERS = "#9aa5b1"
_WIDTH = 8.0
_DPI = 120
_MAX_NAME = 28
_HOURLY_UP_TO = timedelta(days=4)


def threats_by_device(totals: Mapping[str, int]) -> bytes:
    """A bar per device, in order of their names, also for those without a threat."""
    devices = sorted(totals, key=_natural)
    rows = max(1, len(devices))
    figure, axes = _figure(1.3 + 0.42 * rows)
    counts = [totals[device] for device in devices]
    places = range(len(devices))
    axes.barh(places, counts, height=0.62, color=_BAR)
    for place, count in zip(places, counts, strict=True):
        axes.annotate(
            f"{count:,}", (count, place), xytext=(5, 0), textcoords="offset points",
            va="center", color=_INK if count else _MUTED, fontsize=10,
        )  # fmt: skip
    axes.set_yticks(list(places), [_short(device) for device in devices], fontsize=10, color=_INK)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlim(0, max(1, *counts) * 1.12 if counts else 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    _title(axes, "Threats by device", _sum_line(sum(counts), len(devices)))
    if not devices:
        _say(axes, "no device is known yet")
    return _png(figure)


def threats_over_time(tallies: Sequence[Tally]) -> bytes:
    """Stacked bars by UTC hour (up to four days) or by UTC day, one colour a device.

    The seven devices with most threats have a colour of their own, the others share one.
    """
    figure, axes = _figure(4.2)
    counted = [found for found in tallies if found.days]
    if not counted:
        _title(axes, "Threats over time", "UTC")
        axes.set_xticks([])
        axes.set_yticks([])
        _say(axes, "no threats yet")
        return _png(figure)
    step, series = _series(counted)
    moments = sorted({at for counts in series.values() for at in counts})
    floor = dict.fromkeys(moments, 0)
    for place, (name, counts) in enumerate(series.items()):
        heights = [counts.get(at, 0) for at in moments]
        axes.bar(
            [_place(at + step / 2) for at in moments], heights,
            width=step / timedelta(days=1) * 0.86, bottom=[floor[at] for at in moments],
            color=_OTHERS if name == _rest_name(counted) else _COLOURS[place % len(_COLOURS)],
            label=_short(name), edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        for at, height in zip(moments, heights, strict=True):
            floor[at] += height
    _time_axis(axes, moments, step)
    axes.set_ylim(0, max(floor.values()) * 1.15)
    unit = "hour" if step < timedelta(days=1) else "day"
    _title(axes, "Threats over time", f"{_days(moments)}, per {unit}, UTC")
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9, borderaxespad=0.0
    )
    return _png(figure)


def _time_axis(axes: Axes, moments: Sequence[datetime], step: timedelta) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=8, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=UTC, show_offset=False)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    # A single bar would be stretched over the whole width.
    margin = max(step, (step * 12 - (moments[-1] - moments[0])) / 2)
    axes.set_xlim(_place(moments[0] - margin), _place(moments[-1] + step + margin))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="y", color=_GRID, linewidth=0.8)


def _series(counted: Sequence[Tally]) -> tuple[timedelta, dict[str, dict[datetime, int]]]:
    days = sorted({day for found in counted for day in found.days})
    span = _moment(days[-1]) - _moment(days[0]) + timedelta(days=1)
    hourly = span <= _HOURLY_UP_TO
    ranked = sorted(counted, key=lambda found: (-found.total, found.device))
    own = ranked if len(ranked) <= len(_COLOURS) else ranked[: len(_COLOURS) - 1]
    series: dict[str, dict[datetime, int]] = {}
    for found in sorted(own, key=lambda tally: _natural(tally.device)):
        series[found.device] = _by_moment(found, hourly)
    if len(own) < len(ranked):
        rest: dict[datetime, int] = {}
        for found in ranked[len(own) :]:
            for at, count in _by_moment(found, hourly).items():
                rest[at] = rest.get(at, 0) + count
        series[_rest_name(counted)] = rest
    return timedelta(hours=1) if hourly else timedelta(days=1), series


def _rest_name(counted: Sequence[Tally]) -> str:
    return f"{len(counted) - len(_COLOURS) + 1} others"


def _by_moment(found: Tally, hourly: bool) -> dict[datetime, int]:
    counts = found.hours if hourly else found.days
    return {_moment(text): count for text, count in counts.items()}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text if "T" not in text else f"{text}:00").replace(tzinfo=UTC)


def _place(at: datetime) -> float:
    place: float = date2num(at)  # type: ignore[no-untyped-call]
    return place


def _days(moments: Sequence[datetime]) -> str:
    first, last = (f"{at.day} {at:%b %Y}" for at in (moments[0], moments[-1]))
    return first if first == last else f"{first} to {last}"


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(length=0, colors=_MUTED, labelsize=9)
    axes.set_axisbelow(True)
    return figure, axes


def _title(axes: Axes, title: str, line: str) -> None:
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=_INK, pad=22)
    axes.annotate(
        line, (0, 1), xycoords="axes fraction", xytext=(0, 8), textcoords="offset points",
        fontsize=9.5, color=_MUTED,
    )  # fmt: skip


def _say(axes: Axes, text: str) -> None:
    axes.annotate(
        text, (0.5, 0.5), xycoords="axes fraction", ha="center", va="center",
        fontsize=11, color=_MUTED,
    )  # fmt: skip


def _sum_line(threats: int, devices: int) -> str:
    return (
        f"{threats:,} {'threat' if threats == 1 else 'threats'}, "
        f"{devices:,} {'device' if devices == 1 else 'devices'}"
    )


def _short(name: str) -> str:
    """A name cut in the middle, since cameras differ at the end of theirs."""
    half = _MAX_NAME // 2
    cut = name if len(name) <= _MAX_NAME else f"{name[: half - 1]}…{name[-half:]}"
    # A dollar sign would start mathematics.
    return cut.replace("$", r"\$")


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key under which cam2 comes before cam10."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"([0-9]+)", name)
        if part
    )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No date and no version in the file.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
