"""Counts from names, and charts from counts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vedette.stage import Datum, File
from vedette_cameras.plot import command
from vedette_cameras.plot.charts import threats_by_device, threats_over_time
from vedette_cameras.plot.stage import counts, plot
from vedette_cameras.plot.tally import Tally, read, tally, to_json

BAR = (194, 65, 12)


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def bars(png: bytes) -> list[int]:
    """Lengths in pixels of the bars of a chart by device, from top to bottom."""
    found = (abs(pixels(png) - BAR).sum(axis=2) < 12).sum(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (found > 0).astype(int), [0]])))
    return [int(found[start:end].max()) for start, end in edges.reshape(-1, 2)]


def test_threats_are_counted_by_utc_day_and_hour() -> None:
    found = tally("dev1", ["1511891098.json", "1511891098500.json", "1511913600.json"])
    assert found == Tally(
        device="dev1",
        total=3,
        days={"2017-11-28": 2, "2017-11-29": 1},
        hours={"2017-11-28T17": 2, "2017-11-29T00": 1},
    )
    assert read(to_json(found), "/dev1.json") == found


def test_a_name_that_is_no_time_counts_in_the_total_only() -> None:
    assert tally("dev1", ["notes.json"]) == Tally(device="dev1", total=1, days={}, hours={})


def test_counts_read_names_and_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    datum = Datum.of(
        inputs={"threat-detect": {"/dev1/1511891098.json": b"", "/dev1/1511891155.json": b""}},
        matches={"threat-detect": "/dev1"},
    )
    monkeypatch.delattr(File, "read")
    counts(datum)
    monkeypatch.undo()
    assert list(datum.outputs) == ["/dev1.json"]
    assert read(datum.outputs["/dev1.json"], "/dev1.json").total == 2


def test_a_file_where_a_device_is_expected_is_not_counted_and_the_log_says_so() -> None:
    datum = Datum.of(inputs={"threat-detect": {"/stray.json": b""}})
    counts(datum)
    assert datum.outputs == {}
    assert "/stray.json" in datum.logged[0]


def test_a_bar_is_as_long_as_its_count_and_a_device_without_threats_has_its_row() -> None:
    lengths = bars(threats_by_device({"cam10": 1, "cam2": 4, "cam1": 2}))
    assert len(lengths) == 3
    unit = lengths[2]
    assert lengths[0] == pytest.approx(2 * unit, abs=3)
    assert lengths[1] == pytest.approx(4 * unit, abs=3)
    more = threats_by_device({"cam10": 1, "cam2": 4, "cam1": 2, "cam3": 0})
    assert len(bars(more)) == 3
    assert pixels(more).shape[0] > pixels(threats_by_device({"cam1": 2, "cam2": 4})).shape[0]


def test_equal_counts_give_equal_bytes() -> None:
    one = tally("dev1", ["1511891098.json"])
    assert threats_over_time([one]) == threats_over_time([one])
    assert threats_by_device({"dev1": 1}) == threats_by_device({"dev1": 1})


@pytest.mark.parametrize("devices", [0, 1, 8, 9, 30])
@pytest.mark.parametrize("days", [1, 90])
def test_any_number_of_devices_and_days_can_be_drawn(devices: int, days: int) -> None:
    tallies = [
        tally(f"camera-{n}", (f"{1511891098 + n * 977 + d * 86400}.json" for d in range(days)))
        for n in range(devices)
    ]
    assert pixels(threats_over_time(tallies)).min() < 200
    assert pixels(threats_by_device({found.device: found.total for found in tallies})).min() < 200


def test_names_with_odd_characters_and_of_any_length_can_be_drawn() -> None:
    assert threats_by_device({"$x_y$": 1, "n" * 60: 2, "küche": 0})


def test_plot_shows_devices_that_only_the_repo_of_devices_knows() -> None:
    found = {"/dev1.json": to_json(tally("dev1", ["1511891098.json"]))}
    datum = Datum.of(
        inputs={"counts": found, "devices": {"/dev1.json": b"{}", "/dev2.json": b"{}"}}
    )
    plot(datum)
    assert sorted(datum.outputs) == ["/threats-over-time.png", "/threats.png"]
    assert datum.outputs["/threats.png"] == threats_by_device({"dev1": 1, "dev2": 0})


def test_counts_that_are_none_are_named() -> None:
    with pytest.raises(ValueError, match=r"/dev1\.json holds no counts"):
        plot(Datum.of(inputs={"counts": {"/dev1.json": b"x"}}))


def test_the_originals_command_draws_the_folders_of_devices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("dev1/1511891098.json", "dev1/1511891155.json", "dev3/1511891385.json"):
        (tmp_path / "in" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / path).touch()
    arguments = [str(tmp_path / "in"), str(tmp_path / "out")]
    assert command.main(arguments) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["threats.png"]
    drawn = (tmp_path / "out" / "threats.png").read_bytes()
    assert drawn == threats_by_device({"dev1": 2, "dev3": 1})
    assert command.main([*arguments, "--over-time"]) == 0
    assert (tmp_path / "out" / "threats-over-time.png").exists()
    assert command.main(["one"]) == 2
    assert command.main(["/nowhere", str(tmp_path)]) == 2
    assert "/nowhere is no folder" in capsys.readouterr().err
