"""A short storm on each backend (ENGINE C1, C2, P7, R9, T2; CAMERAS 6)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.storm.run import BACKENDS, storm

SECONDS = 40.0
SEED = 42


@pytest.mark.slow
@pytest.mark.parametrize("backend", list(BACKENDS))
def test_nothing_accepted_suffers_whatever_is_killed(
    tmp_path: Path, data_dir: Path, backend: str
) -> None:
    seed = int(os.environ.get("VEDETTE_STORM_SEED", SEED))
    print(f"again: python -m tests.storm --seed {seed} --backend {backend}")
    assert storm(backend, tmp_path, seed, SECONDS) == []
