"""What every test may use: the data folder, and how Hypothesis searches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.object_servers import moto, rclone, weed
from tests.postgres import postgres, rows

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    print_blob=True,
)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of test pictures and models, named by VEDETTE_TEST_DATA."""
    named = os.environ.get("VEDETTE_TEST_DATA", "")
    if not named:
        pytest.skip("VEDETTE_TEST_DATA is not set: it names the folder of test pictures and models")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"VEDETTE_TEST_DATA names {named!r}, which is not a folder")
    return folder


__all__ = ["data_dir", "moto", "postgres", "rclone", "rows", "weed"]
