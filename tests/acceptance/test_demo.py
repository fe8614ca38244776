"""`make demo`, as its program: set-up, play, closing table, figures, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

STATES = ("invalid", "clean", "suppressed", "alerted", "failed", "in_flight")
SKIPPED = ("PICTURES", "JSON", "VEDETTE_ADDRESS", "VEDETTE_TOKEN")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "vedette_cameras.demo", *words]


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in SKIPPED} | more


def demo(tmp_path: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("--data", "data", *words), cwd=tmp_path, env=environment(**more),
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def adds_up(figures: Mapping[str, Any]) -> bool:
    return bool(figures["received"] == sum(figures[state] for state in STATES))


def running(data: Path) -> bool:
    """Whether the server that held this data folder is still there."""
    return Path(f"/proc/{(data / 'lock').read_text()}").exists()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A first run beside something that has the usual port: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 7650))
            taken.listen()
        except OSError:
            pass  # somebody has it already: as good
        done = demo(folder, JSON="figures.json")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_the_demo_alerts_and_its_table_adds_up(first: tuple[Path, str]) -> None:
    folder, printed = first
    figures = json.loads((folder / "figures.json").read_text())
    assert adds_up(figures)
    assert figures["received"] == 26
    assert figures["invalid"] == 2
    assert figures["failed"] == figures["in_flight"] == 0
    assert figures["alerted"] == len(figures["alerts"]) == printed.count("ALERT") > 0
    assert figures["clean"] > figures["alerted"]
    assert figures["seconds"] > 0
    for state in STATES:
        assert re.search(rf"{state.replace('_', ' ')} +{figures[state]}\b", printed)


def test_every_alert_names_device_time_threat_picture_model_and_rules(
    first: tuple[Path, str],
) -> None:
    folder, _ = first
    for alert in json.loads((folder / "figures.json").read_text())["alerts"]:
        assert list(alert) == [
            "device", "captured_at", "label", "score", "image", "model", "rules",
        ]  # fmt: skip
        assert alert["device"] in ("frontdoor", "paddock")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", alert["captured_at"])
        assert alert["label"] == "person"
        assert 0.5 < alert["score"] <= 1
        assert alert["image"].startswith(f"/{alert['device']}_")
        assert re.fullmatch("[0-9a-f]{64}", alert["model"])
        assert re.fullmatch("[0-9a-f]{32}", alert["rules"])


def test_the_demo_says_where_mail_goes_and_takes_a_free_port(first: tuple[Path, str]) -> None:
    folder, printed = first
    assert "Mail goes to files in data/outbox" in printed
    assert "(7650 is taken)" in printed
    messages = list((folder / "data/outbox").glob("*.eml"))
    assert len(messages) == printed.count("ALERT")
    assert "dashboard" in printed
    assert not running(folder / "data")


def test_a_second_run_goes_on_and_knows_pictures_that_were_played_before(
    first: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = first
    done = subprocess.run(
        command("--export", str(tmp_path)), env=environment(), capture_output=True, check=True
    )
    assert done.returncode == 0
    figures = []
    for _ in range(2):
        again = demo(folder, PICTURES=str(tmp_path), JSON="again.json")
        assert again.returncode == 0, again.stdout + again.stderr
        assert "to begin anew: rm -r data" in again.stdout
        figures.append(json.loads((folder / "again.json").read_text()))
        figures[-1].pop("seconds")
    assert "26 of them were here already" in again.stdout
    assert "ALERT" not in again.stdout
    assert figures[0] == figures[1]
    assert adds_up(figures[0])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"PICTURES": "nowhere"}, "PICTURES=nowhere is not a folder"),
        ({"PICTURES": "."}, "PICTURES=. holds no picture"),
        ({"JSON": "nowhere/figures.json"}, "JSON=nowhere/figures.json: name a file"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_before_anything_starts(
    tmp_path: Path, words: dict[str, str], reason: str
) -> None:
    done = demo(tmp_path, **words)
    assert done.returncode != 0
    assert done.stderr.startswith(f"vedette: {reason}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_is_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    from vedette.wiring import running_server

    with running_server(tmp_path / "data", apps=[]):
        done = demo(tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "is held by another server" in done.stderr


@pytest.mark.parametrize("moment", ["Starting", "Playing", "Ctrl-C ends the demo"])
def test_ctrl_c_is_clean_at_any_moment_on_a_terminal(tmp_path: Path, moment: str) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command("--data", "data"), cwd=tmp_path, env=environment(TERM="xterm", COLUMNS="120"),
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    printed = b""
    end = time.monotonic() + 120
    while moment.encode() not in printed and time.monotonic() < end:
        printed += os.read(master, 4096)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            more = os.read(master, 4096)
        except OSError:  # the terminal's other end is closed
            break
        printed += more
        if not more:
            break
    code = process.wait(60)
    os.close(master)
    assert moment.encode() in printed
    assert b"Traceback" not in printed
    assert code == (0 if moment.startswith("Ctrl-C") else 130)
    lock = tmp_path / "data/lock"
    assert not lock.is_file() or not lock.read_text() or not running(tmp_path / "data")
