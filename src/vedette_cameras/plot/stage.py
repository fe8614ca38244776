"""`vedette_cameras.plot.stage:counts` and `:plot`: the stages of the pipelines of these names."""

from __future__ import annotations

from vedette.stage import Datum, Input
from vedette_cameras.plot.tally import Tally, read, tally, to_json


def counts(datum: Datum) -> None:
    """Count the threats of a device: `/<device>.json`, from the names in input `threat-detect`."""
    match = datum.inputs["threat-detect"]
    device = match.path.strip("/")
    if any(file.path == match.path for file in match.files):
        datum.log(f"{match.path} is a file where a device's folder is expected: not counted")
        return
    found = tally(device, (file.path.rpartition("/")[2] for file in match.files))
    datum.write(f"/{device}.json", to_json(found))


def plot(datum: Datum) -> None:
    """Draw `/threats.png` and `/threats-over-time.png` from inputs `counts` and `devices`.

    A device that `devices` knows has its bar, threats or not.
    """
    # Matplotlib costs a second and more: counts, which shares this module, does without.
    from vedette_cameras.plot.charts import threats_by_device, threats_over_time

    tallies = [read(file.read(), file.path) for file in datum.inputs["counts"].files]
    totals = totals_of(tallies, known_devices(datum.inputs.get("devices")))
    datum.write("/threats.png", threats_by_device(totals))
    datum.write("/threats-over-time.png", threats_over_time(tallies))


def totals_of(tallies: list[Tally], devices: list[str]) -> dict[str, int]:
    """Threats by device, 0 for those without."""
    return dict.fromkeys(devices, 0) | {found.device: found.total for found in tallies}


def known_devices(devices: Input | None) -> list[str]:
    """Names of the devices in the repo `devices`, where `/<device>.json` is one."""
    files = devices.files if devices is not None else ()
    return sorted(
        file.path.strip("/").removesuffix(".json") for file in files if file.path.endswith(".json")
    )
