"""Settings come from the command line, else the environment, else the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette import config
from vedette.model.errors import Invalid
from vedette.scheduling.history import Keep


def test_the_nearest_word_counts(tmp_path: Path) -> None:
    (tmp_path / config.FILE).write_text('listen = "h:1"\nworkers = 3\n[apps.cameras]\nx = "y"\n')
    environ = {"VEDETTE_DATA": str(tmp_path), "VEDETTE_WORKERS": "4"}
    settings = config.load({"listen": None}, environ)
    assert (settings.listen, settings.workers) == ("h:1", 4)
    assert settings.apps == {"cameras": {"x": "y"}}
    assert config.load({"workers": 5}, environ).workers == 5


@pytest.mark.parametrize("text", [
    "listen = 3", "lisen = 'x'", "workers = -1", "[", "workers = a",
    "keep_jobs = 0", "keep_failed_jobs = nan", "keep_jobs = 'long'",
])  # fmt: skip
def test_a_setting_that_cannot_be_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / config.FILE).write_text(text)
    with pytest.raises(Invalid) as caught:
        config.load({"data": tmp_path}, {})
    assert "\n" not in caught.value.message


def test_addresses_to_listen_at() -> None:
    assert config.address_of("127.0.0.1:7650") == ("127.0.0.1", 7650)
    assert config.address_of("[::1]:80") == ("::1", 80)
    assert config.address_of(":0") == ("127.0.0.1", 0)
    for wrong in ("host", "host:port", "host:99999"):
        with pytest.raises(Invalid, match="HOST:PORT"):
            config.address_of(wrong)


def test_a_database_that_is_none_is_refused_without_showing_its_password(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="use postgresql://") as refused:
        config.load({"data": tmp_path, "database": "mysql://me:hunter2@host/x"}, {})
    assert "hunter2" not in refused.value.message
    with pytest.raises(Invalid, match="advertise is 'host:1': use http://"):
        config.load({"data": tmp_path, "advertise": "host:1"}, {})
    with pytest.raises(Invalid, match="or /FOLDER"):
        config.load({"data": tmp_path, "objects": "folder"}, {})
    url = "postgresql://me@host/x"
    assert config.load({"data": tmp_path}, {"VEDETTE_DATABASE": url}).database == url


def test_k1_jobs_are_kept_for_days_or_for_ever(tmp_path: Path) -> None:
    assert config.load({"data": tmp_path}, {}).keep_jobs == 30
    (tmp_path / config.FILE).write_text("keep_jobs = 7\nkeep_failed_jobs = inf\n")
    settings = config.load({"data": tmp_path}, {})
    keep = Keep(jobs=settings.keep_jobs, failed=settings.keep_failed_jobs)
    now = 1_800_000_000_000_000
    assert keep.oldest(True, now) == now - 7 * 86_400_000_000
    assert -(2**63) < keep.oldest(False, now) < 0, "before 1970 nothing has ended"
