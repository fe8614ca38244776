"""Threat-detect: selecting alerts by reference, and the original's command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vedette.stage import Datum
from vedette_cameras.threat import command
from vedette_cameras.threat.stage import select

RULES = {"from_email": "a@b.c", "to_email": "d@e.f", "threat_classes": [1, 3, 4, 8]}


def test_an_alert_is_passed_on_by_reference_and_a_clean_picture_leaves_nothing() -> None:
    alert = b'{"objects":[],"decision":{"verdict":"alert"}}'
    clean = b'{"objects":[],"decision":{"verdict":"clean"}}'
    datum = Datum.of(inputs={"judge": {"/dev1/1511891098.json": alert, "/dev2/1.json": clean}})
    select(datum)
    assert list(datum.links) == list(datum.outputs) == ["/dev1/1511891098.json"]


def test_a_file_without_a_decision_is_named() -> None:
    datum = Datum.of(inputs={"judge": {"/dev1/1511891098.json": b'{"objects":[]}'}})
    with pytest.raises(ValueError, match=r"/dev1/1511891098\.json has no decision"):
        select(datum)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rule.json").write_text(json.dumps(RULES))
    for path, number in (("dev1/1511891098.json", 1), ("dev2/1511891326.json", 18)):
        target = tmp_path / "object" / path
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps({"objects": [{"score": "0.93", "class": number}]}))
    return tmp_path


def run(folders: Path, source: str, *more: str) -> int:
    arguments = [str(folders / source), str(folders / "rules"), str(folders / "out"), *more]
    return command.main(arguments)


@pytest.mark.parametrize("key", [(), ("SG.key",), ("",)])
def test_the_command_judges_and_selects_at_once_with_or_without_a_key(
    folders: Path, key: tuple[str, ...]
) -> None:
    assert run(folders, "object/dev1/1511891098.json", *key) == 0
    assert run(folders, "object/dev2/1511891326.json", *key) == 0
    written = [path for path in (folders / "out").rglob("*") if not path.is_dir()]
    assert written == [folders / "out/dev1/1511891098.json"]
    assert written[0].is_symlink()
    assert json.loads(written[0].read_text())["objects"][0]["class"] == 1


def test_a_folder_of_results_is_judged_one_by_one(folders: Path) -> None:
    assert run(folders, "object") == 0
    assert [path.name for path in (folders / "out").rglob("*.json")] == ["1511891098.json"]


def test_rules_of_the_device_win(folders: Path) -> None:
    (folders / "rules" / "devices").mkdir()
    (folders / "rules" / "devices" / "dev2.json").write_text('{"threat_classes": ["dog"]}')
    assert run(folders, "object/dev2/1511891326.json") == 0
    assert (folders / "out/dev2/1511891326.json").is_symlink()


def test_faults_are_told_in_one_line(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folders / "rules" / "rule.json").write_text('{"threat_classes": [12]}')
    assert run(folders, "object/dev1/1511891098.json") == 1
    assert run(folders, "object/nobody.json") == 2
    assert command.main(["a"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert "class id 12 is not in label map coco-90" in told[0]
    assert "does not exist" in told[1]
    assert told[2].startswith("usage: threatdetect.py OBJECT RULES_DIR OUT_DIR [SGKEY]")
    assert len(told) == 3
