"""What is wrong with a pipeline spec is said all at once, a line each (ENGINE U6)."""

from __future__ import annotations

from typing import Any

import pytest

from vedette.model.errors import InvalidSpec
from vedette.model.spec import parse_documents, parse_spec


def spec(**more: Any) -> dict[str, Any]:
    return {
        "pipeline": {"name": "p"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "r", "glob": "/*"}},
        **more,
    }


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(document)
    return caught.value.message


def test_u6_all_faults_are_reported_at_once_with_their_paths() -> None:
    document = {
        "pipeline": {"name": "bad name"},
        "transform": {"cmd": [], "accept_return_code": [256], "env": {"A B": "x", "C": 1}},
        "parallelism_spec": {"constant": 0},
        "input": {
            "cross": [
                {"pfs": {"repo": "r", "glob": "/a[b"}},
                {"pfs": {"repo": "s", "glob": "/*", "name": "out"}},
                {"pfs": {"repo": "t"}},
                {"pfs": {"repo": "u", "glob": "/*"}, "cron": {}},
            ]
        },
        "datum_tries": 0,
        "datum_timeout": "soon",
        "output_branch": "a/b",
        "output_conflict": "maybe",
        "frobnicate": 1,
    }
    message = refusal(document)
    lines = message.splitlines()
    assert lines[0] == f"pipeline spec 'bad name' has {len(lines) - 3} faults:"
    for path in (
        "pipeline.name", "transform.cmd", "transform.accept_return_code[0]", "transform.env",
        "transform.env.C", "parallelism_spec.constant", "input.cross[0].pfs.glob",
        "input.cross[1].pfs.name", "input.cross[2].pfs.glob", "input.cross[3]", "datum_tries",
        "datum_timeout", "output_branch", "output_conflict", "frobnicate",
    ):  # fmt: skip
        assert any(line.startswith(f"  {path}: ") for line in lines), path


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"pipeline": {"name": "p"}, "transfrom": {"cmd": ["x"]}, "input": spec()["input"]},
            "pipeline spec 'p': transfrom: unknown field; did you mean 'transform'?",
        ),
        (spec(transform={"comand": ["x"]}), "did you mean 'cmd'?"),
        (spec(input={"corss": []}), "input.corss: unknown field; did you mean 'cross'?"),
        (spec(cmd=["x"]), "'cmd' belongs in 'transform'"),
        (spec(parallelismSpec={}, parallelism_spec={}), "given twice, in both spellings"),
        (spec(input={}), "input: missing: one of pfs"),
        ({"pipeline": {"name": "p"}, "transform": {"cmd": ["x"]}}, "input: missing"),
        ({**spec(), "pipeline": {}}, "pipeline.name: missing"),
        (spec(transform={"cmd": "sh"}), "transform.cmd: a list is needed, not 'sh'"),
        (spec(datum_tries=True), "datum_tries: a whole number"),
        (spec(datum_tries="2.5"), "datum_tries: a whole number"),
        (spec(datum_timeout="0s"), "more than 0"),
        (spec(input={"cross": []}), "there are no inputs in it"),
        (spec(input={"pfs": {"repo": "p", "glob": "/"}}), "cannot read its own output"),
        (spec(reprocess="often"), "'often' is not on_code_change"),
        (spec(transform={"cmd": ["x"], "secrets": [{"name": "s"}]}), "either 'mount_path' or"),
        (spec(transform={"cmd": ["a\0b"]}), "NUL"),
        (spec(description="\ud800"), "not valid Unicode"),
        (spec(input={"git": {"URL": "x"}}), "git inputs are not read"),
        (spec(parallelism_spec={"constant": 1, "coefficient": 1}), "not both"),
    ],
)
def test_a_fault_is_one_clear_line(document: dict[str, Any], message: str) -> None:
    said = refusal(document)
    assert message in said
    assert len(said.splitlines()) == 1


def test_g5_a_bad_glob_is_refused_at_creation_with_a_caret() -> None:
    said = refusal(spec(input={"pfs": {"repo": "r", "glob": "/a[b"}}))
    assert said.splitlines()[1:] == ["  /a[b", "    ^"]


def test_g6_a_join_key_must_name_captures_that_the_glob_has() -> None:
    pfs = {"repo": "r", "glob": "/(*)", "join_on": "$2"}
    assert "names more captures" in refusal(spec(input={"join": [{"pfs": pfs}]}))
    bare = {"repo": "r", "glob": "/(*)"}
    assert "join_on: missing" in refusal(spec(input={"join": [{"pfs": bare}]}))


def leaf(repo: str, **more: Any) -> dict[str, Any]:
    return {"pfs": {"repo": repo, "glob": "/(*)", **more}}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"group": [leaf("a")]}, "input.group[0].pfs.group_by: missing: an input in a group needs"),
        ({"join": [leaf("a", join_on="$0")]}, "captures are numbered from 1"),
        (
            {"join": [leaf("a", join_on="$1"), {"cross": [leaf("b"), leaf("c")]}]},
            "input.join[1]: some datums lack a key for the join: 'join_on' makes one",
        ),
        (
            {"group": [{"union": [leaf("a", group_by="$1"), leaf("b")]}]},
            "input.group[0]: some datums lack a key for the group: 'group_by' makes one",
        ),
        (
            {"group": [{"cron": {"name": "tick", "spec": "@daily"}}]},
            "input.group[0]: a clock's ticks have no key for the group",
        ),
        (
            {
                "group": [
                    {
                        "union": [
                            leaf("a", name="x", group_by="$1"),
                            leaf("b", name="x", group_by="$1"),
                        ]
                    }
                ]
            },
            "a group shows all inputs named 'x' together: they must be of one repo and branch",
        ),
        ({"join": [leaf("a", join_on="$1"), leaf("a", join_on="1")]}, "two inputs are named 'a'"),
        ({"cross": [leaf("r", name=f"n{n}") for n in range(257)]}, "more than 256 inputs"),
    ],
)
def test_u6_inputs_that_cannot_combine_are_refused(tree: dict[str, Any], message: str) -> None:
    said = refusal(spec(input=tree))
    assert message in said
    assert len(said.splitlines()) == 1


def test_u6_keys_may_come_from_within() -> None:
    joined = {"join": [leaf("a", join_on="$1", group_by="$1"), leaf("b", join_on="$1")]}
    assert parse_spec(spec(input={"group": [joined]})).warnings == ()
    crossed = {"cross": [leaf("c", join_on="$1"), leaf("d")]}
    assert parse_spec(spec(input={"join": [leaf("a", join_on="$1"), crossed]})).warnings == ()
    outer = {
        "join": [leaf("a", join_on="1", group_by="$1", outer_join=True), leaf("b", join_on="1")]
    }
    assert "some datums lack a key" in refusal(spec(input={"group": [outer]}))


def test_a_key_without_effect_is_a_warning() -> None:
    parsed = parse_spec(spec(input=leaf("a", join_on="$1", group_by="$1", outer_join=True)))
    assert parsed.warnings == (
        "input.pfs.join_on: has no effect outside a join",
        "input.pfs.group_by: has no effect outside a group",
        "input.pfs.outer_join: has no effect outside a join",
    )


def test_a_document_nested_without_end_is_refused() -> None:
    tree: dict[str, Any] = {"pfs": {"repo": "r", "glob": "/"}}
    for _ in range(200):
        tree = {"union": [tree]}
    assert "nested more than" in refusal(spec(input=tree))
    with pytest.raises(InvalidSpec, match="nested too deeply"):
        parse_documents(b'{"a":' * 100_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": 1,\n "b" 2}', "line 2:6: not valid JSON"),
        (b'{"a": 1}\n}', "line 2:1: not valid JSON"),
        (b"pipeline:\n name: p\n x", "line 3:3: not valid YAML"),
        (b"a: &x 1\nb: *x", "line 1:4: anchors and aliases are not read"),
        (b"a: 1\na: 2", "line 2:1: the field 'a' is given twice"),
        (b"1: 2", "line 1:1: the name of a field is a text"),
        (b"? {a: 1}\n: 2", "line 1:3: the name of a field is a text"),
        (b"a: !!python/object:os.system x", "line 1:4: not valid YAML"),
        (b"a: " + b"[" * 100_000, "nested too deeply"),
        (b"x: \x00", "not valid YAML"),
        (b"- 3", "is an object, not 3"),
        (b'{"a": 1, "a": 2}', "'a' is given twice"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": "\xff"}', "line 1: this is not UTF-8"),
        (b" \n", "no pipeline spec"),
        (b"[]", "no pipeline spec"),
        (b"3", "is an object, not 3"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
)
def test_text_that_is_no_json_and_no_yaml_is_refused_in_one_line(text: bytes, message: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_documents(text)
    assert message in caught.value.message
    assert "\n" not in caught.value.message
