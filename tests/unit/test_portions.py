"""How much of a job a worker may hold at once (spec fields `datum_set_spec`, `chunk_spec`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.rig import pfs, rig

from vedette.model.work import Result, Task


def claimed(folder: Path, files: int, **bounds: Any) -> list[list[Task]]:
    """What each claim of one quick worker brings, when it asks for up to 64 datums."""
    with rig(folder) as engine:
        engine.working = False
        engine.loop.source.release(engine.worker, "another works").result(20)
        engine.repo("images")
        engine.pipeline("p", pfs("images", "/*"), **bounds)
        engine.put("images", {f"/{n:02}": b"0123456789" for n in range(files)})
        source, batches, left = engine.loop.source, [], files
        source.register("w", "pool")
        while left:
            given = source.claim("w", 64).result(20)
            batches.append(given)
            left -= len(given)
            results = [Result(datum=t.datum, lease=t.lease, state="success") for t in given]
            source.report("w", results).result(20)
        engine.settle()
        return batches


@pytest.mark.parametrize(("bounds", "most"), [
    ({"datum_set_spec": {"number": 2}}, 2),
    ({"chunk_spec": {"number": "3"}}, 3),
    ({"datum_set_spec": {"size_bytes": 25}}, 2),
    ({"datum_set_spec": {"size_bytes": 5}}, 1),
    ({"datum_set_spec": {"per_worker": 3}}, 4),
])  # fmt: skip
def test_a_worker_holds_no_more_than_its_portion(
    tmp_path: Path, bounds: dict[str, Any], most: int
) -> None:
    """`per_worker`: 24 datums, 2 slots, 3 claims each."""
    batches = claimed(tmp_path, 24, **bounds)
    assert max(map(len, batches)) == most
    assert sum(map(len, batches)) == 24


def test_without_a_bound_a_worker_holds_what_takes_100_ms(tmp_path: Path) -> None:
    assert max(map(len, claimed(tmp_path, 24))) > 4
