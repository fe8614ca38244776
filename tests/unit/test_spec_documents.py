"""Specs in YAML, several in one file, and what is likely to go wrong with one."""

from __future__ import annotations

from typing import Any

import pytest

from vedette.model.spec import parse_documents, parse_spec

JSON = b"""
{"pipeline": {"name": "one"}, "transform": {"cmd": ["sh"], "stdin": ["cp a b", "true"]},
 "input": {"pfs": {"repo": "images", "glob": "/*"}}, "datum_tries": 2, "autoscaling": true,
 "description": "no: 1:30"}
{"pipeline": {"name": "two"}, "transform": {"cmd": ["sh"]},
 "input": {"cron": {"name": "t", "spec": "@daily", "start": "2026-01-01T00:00:00Z"}}}
"""
YAML = b"""
# Two pipelines.
pipeline: {name: one}
transform:
  cmd: [sh]
  stdin:
    - cp a b
    - 'true'
input: {pfs: {repo: images, glob: /*}}
datum_tries: 2
autoscaling: true
description: "no: 1:30"
---
---
pipeline: {name: two}
transform: {cmd: [sh]}
input:
  cron:
    name: t
    spec: "@daily"
    start: 2026-01-01T00:00:00Z
"""


def test_yaml_says_the_same_as_json() -> None:
    assert parse_documents(YAML) == parse_documents(JSON)


def test_a_list_of_specs_is_several_in_either_form() -> None:
    documents = parse_documents(JSON)
    assert parse_documents(b"[" + JSON.strip().replace(b"}\n{", b"},{") + b"]") == documents
    assert parse_documents(b"- {a: 1}\n- {b: 2}\n---\nc: 3") == [{"a": 1}, {"b": 2}, {"c": 3}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("1:30", "1:30"), ("0x10", "0x10"),
        ("010", "010"), ("2026-01-01", "2026-01-01"), ("true", True), ("null", None), ("~", None),
        ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("'1'", "1"), (".inf", ".inf"),
    ],
)  # fmt: skip
def test_yaml_guesses_nothing_that_json_would_not_say(text: str, value: object) -> None:
    assert parse_documents(f"a: {text}".encode()) == [{"a": value}]


def linted(*stdin: str, glob: str = "/*", **fields: Any) -> list[str]:
    document = {
        "pipeline": {"name": "one"}, "transform": {"cmd": ["sh"], "stdin": [*stdin]},
        "input": {"pfs": {"repo": "images", "glob": glob}}, **fields,
    }  # fmt: skip
    found = parse_spec(document).warnings
    return [warning.split(" seems to write ")[1].split(",")[0] for warning in found]


@pytest.mark.parametrize(
    ("script", "paths"),
    [
        ("plot /pfs/images > /pfs/out/threats.png", ["/pfs/out/threats.png"]),
        ("plot -o '/pfs/out/a/b.png'; echo x", ["/pfs/out/a/b.png"]),
        ("cp $images /pfs/out/", []),
        ("cp $images /pfs/out", []),
        ("cp $images /pfs/out/$(basename $images)", []),
        ('cp $images "/pfs/out/"$name', []),
        ('cp $images "/pfs/out/x-"$name', []),
        ("echo > /pfs/out/${PACH_DATUM_ID}.txt", []),
        ("mkdir -p /pfs/out/a /pfs/out/b && cp $images /pfs/out/a/", []),
        ("cp /pfs/images/* /pfs/out/", []),
    ],
)
def test_m2_a_script_where_each_datum_writes_one_path_is_warned_of(
    script: str, paths: list[str]
) -> None:
    assert linted(script) == paths


def test_m2_there_is_no_warning_where_nothing_can_clash() -> None:
    script = "plot > /pfs/out/threats.png"
    assert linted(script, glob="/") == []
    assert linted(script, glob="/one.jpg") == []
    assert linted(script, output_conflict="last") == []
    assert linted(script, compat="1.x") == []
    both = {"union": [{"pfs": {"repo": r, "glob": "/"}} for r in "ab"]}
    assert linted(script, input=both) == ["/pfs/out/threats.png"]
