"""What an operation on a pipeline would do, told before it is done (ENGINE U1)."""

from __future__ import annotations

from typing import Any

import msgspec

from vedette.metadata.store import Row, Rows
from vedette.model.errors import Conflict
from vedette.model.spec_words import duration_text
from vedette.scheduling import pipelines
from vedette.scheduling.forecast import forecast, told


def plan(
    rows: Rows, document: dict[str, Any], *, update: bool = False, reprocess: bool = False
) -> str:
    """What creating or updating this pipeline would do, and why, in a sentence.

    It costs by the number of datums, up to a limit. Raises as `pipelines.create` does.
    """
    spec, _ = pipelines.read_spec(document, rows)
    present = rows.one("pipeline_by_name", name=spec.name)
    if present is not None and not update:
        raise Conflict(
            f"pipeline {spec.name} exists already: use update-pipeline", pipeline=spec.name
        )
    pipelines.check(rows, spec, present is not None)
    if spec.standing:
        done = "is created" if present is None else f"becomes version {present[4] + 1}"
        kind = "service" if spec.service is not None else "spout"
        return f"pipeline {spec.name} {done}: its {kind} runs on and on, without jobs or datums"
    encoded = msgspec.json.encode(document)
    if present is None:
        row: Row = (0, spec.name, 0, spec.output_branch, 1, b"", 0, "STARTING", "", encoded)
        found = forecast(rows, row, fresh=True)
        return f"pipeline {spec.name} is created: {told(found, 'it is new')}"
    row = (*present[:4], present[4] + 1, *present[5:9], encoded)
    said = f"pipeline {spec.name} becomes version {present[4] + 1}: "
    if present[7] == "PAUSED":
        said += "once it is started, "
    if not reprocess:
        return said + told(forecast(rows, row))
    found = forecast(rows, row, fresh=True)
    return (
        f"{said}{told(found, 'nothing of before counts as done')}; "
        f"live work waits for about {duration_text(_seconds(rows, present[0]) * found.run)} of work"
    )


def _seconds(rows: Rows, pipeline: int) -> float:
    """What a datum of a pipeline takes, on an average of some."""
    mean = rows.one("mean_seconds", pipeline=pipeline)
    return float((mean and mean[0]) or 0.0)
