"""Judge: the original's decision, the layers of rules, and the trace (CAMERAS 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.stage import Datum, NotReady
from vedette_cameras.judge.decide import (
    BadDetectionError,
    Decision,
    decide,
    label_map,
    read_seen,
    with_decision,
)
from vedette_cameras.judge.rules import Effective, RulesError, effective, parse
from vedette_cameras.judge.stage import judge
from vedette_cameras.labels import COCO, COCO_80, COCO_90

ORIGINAL = {"from_email": "a@b.c", "to_email": "d@e.f", "threat_classes": [1, 3, 4, 8]}


def files(**documents: Any) -> dict[str, Any]:
    """Files of a rules repo; `users__anna` is /users/anna.json."""
    named = {f"/{key.replace('__', '/')}.json": value for key, value in documents.items()}
    return {path: (lambda v=value: json.dumps(v).encode()) for path, value in named.items()}


def seen_bytes(*classes: int, **more: Any) -> bytes:
    objects = [{"score": "0.93", "class": number} for number in classes]
    return json.dumps({"objects": objects, **more}).encode()


def decided(data: bytes, rules: Mapping[str, Any] = ORIGINAL) -> Decision:
    held = effective(files(rule=rules), "dev1")
    return decide(read_seen(data, "/dev1/1511891098.json"), held, "c0ffee", "dev1", "1511891098")


@given(
    st.lists(st.sampled_from(COCO_80), max_size=6),
    st.lists(st.sampled_from(COCO_80), max_size=6, unique=True),
)
def test_version_one_decides_as_the_original_any_object_of_a_threat_class(
    classes: list[int], threats: list[int]
) -> None:
    rules = ORIGINAL | {"threat_classes": threats}
    expected = any(number in threats for number in classes)
    assert (decided(seen_bytes(*classes), rules).verdict == "alert") is expected


def test_a_file_of_the_original_with_nothing_but_objects_is_judged() -> None:
    decision = decided(seen_bytes(18, 1))
    assert decision.verdict == "alert"
    assert decision.alert_key == "/dev1_1511891098.jpg"


def test_the_trace_shows_every_object_against_the_limit() -> None:
    decision = decided(seen_bytes(18, 3, image="/dev1_1511891098.png"))
    shown = [(s.object, s.step, s.field, s.value, s.limit, s.passed) for s in decision.trace]
    assert shown == [
        (0, "label", "class", 18, [1, 3, 4, 8], False),
        (1, "label", "class", 3, [1, 3, 4, 8], True),
    ]
    assert decision.first_failing_step is None
    assert decision.severity == "alert"
    assert decision.alert_key == "/dev1_1511891098.png"


def test_a_clean_picture_names_the_first_step_that_failed() -> None:
    assert decided(seen_bytes(18)).first_failing_step == "label"
    empty = decided(seen_bytes())
    assert (empty.verdict, empty.severity) == ("clean", None)
    assert empty.first_failing_step == "objects"
    assert [(s.object, s.value, s.passed) for s in empty.trace] == [(None, 0, False)]


def test_labels_mean_the_same_as_their_ids() -> None:
    rules = ORIGINAL | {"threat_classes": ["Person", "truck"]}
    assert decided(seen_bytes(8), rules).verdict == "alert"
    assert decided(seen_bytes(3), rules).verdict == "clean"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ([1, 12], "class id 12 is not in label map coco-90"),
        ([0], "class id 0 is not in label map coco-90 (1 person"),
        (["persn"], "label 'persn' is not in label map coco-90"),
        (["persn"], "did you mean 'person'?"),
    ],
)
def test_ids_and_labels_that_do_not_resolve_are_refused_in_one_line(
    wanted: list[Any], told: str
) -> None:
    with pytest.raises(RulesError) as caught:
        decided(seen_bytes(1), ORIGINAL | {"threat_classes": wanted})
    assert told in str(caught.value)
    assert "/rule.json: threat_classes" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ids_are_resolved_through_the_label_map_of_the_model() -> None:
    own = {"0": "heron", "1": "cat"}
    data = seen_bytes(0, labels="0" * 64, label_map=own)
    assert decided(data, ORIGINAL | {"threat_classes": ["heron"]}).verdict == "alert"
    with pytest.raises(RulesError, match="class id 3 is not in label map"):
        decided(data)


def test_an_unknown_label_map_is_no_result_of_ours() -> None:
    with pytest.raises(BadDetectionError, match="neither built in nor spelled out"):
        label_map(read_seen(seen_bytes(1, labels="f" * 64), "x"))
    assert label_map(read_seen(seen_bytes(1, labels=COCO.digest), "x")) is COCO


@pytest.mark.parametrize("data", [b"", b"[]", b'{"objects": 3}', b'{"objects": [{"score": "1"}]}'])
def test_what_object_detect_did_not_write_is_refused_by_path(data: bytes) -> None:
    with pytest.raises(BadDetectionError, match=r"/dev1/1\.json is not a result") as caught:
        read_seen(data, "/dev1/1.json")
    assert "\n" not in str(caught.value)


def test_layers_win_value_by_value_and_tell_who_set_what() -> None:
    found = effective(
        files(
            rule=ORIGINAL,
            users__anna={"devices": ["dev1", "dev2"], "to_email": ["anna@x.y", "b@x.y"]},
            users__bob={"devices": ["dev3"], "to_email": "bob@x.y"},
            devices__dev1={"threat_classes": ["person"]},
            devices__dev2={"threat_classes": []},
        ),
        "dev1",
    )
    assert found.from_email == "a@b.c"
    assert found.to_email == ("anna@x.y", "b@x.y")
    assert found.threat_classes == ("person",)
    assert found.user == "anna"
    assert found.layers == {
        "from_email": "/rule.json",
        "to_email": "/users/anna.json",
        "threat_classes": "/devices/dev1.json",
    }


def test_a_device_may_name_its_user_and_that_decides_between_two() -> None:
    documents = {
        "rule": ORIGINAL,
        "users__anna": {"devices": ["dev1"], "to_email": "anna@x.y"},
        "users__bob": {"devices": ["dev1"], "to_email": "bob@x.y"},
    }
    with pytest.raises(RulesError, match="device dev1 belongs to users anna, bob"):
        effective(files(**documents), "dev1")
    named = effective(files(**documents, devices__dev1={"user": "bob"}), "dev1")
    assert named.to_email == ("bob@x.y",)
    with pytest.raises(RulesError, match=r"no /users/eve\.json"):
        effective(files(**documents, devices__dev1={"user": "eve"}), "dev1")


def test_an_empty_list_is_a_value_and_not_a_gap() -> None:
    found = effective(files(rule=ORIGINAL, devices__dev2={"threat_classes": []}), "dev2")
    assert found.threat_classes == ()
    assert effective(files(rule=ORIGINAL | {"to_email": ""}), "d").to_email == ()


def test_the_digest_depends_on_values_and_not_on_who_set_them() -> None:
    one = effective(files(rule=ORIGINAL), "dev1")
    same = effective(files(rule=ORIGINAL, devices__dev1={"threat_classes": [1, 3, 4, 8]}), "dev1")
    other = effective(files(rule=ORIGINAL | {"threat_classes": [1]}), "dev1")
    assert one.digest == same.digest != other.digest


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (b"{", "rules /rule.json is not JSON"),
        (b'{"threat_classes": [1]}{"threat_classes": [1]}', "rules /rule.json is not JSON"),
        (b"[1]", "holds no object"),
        (b'{"threat_clases": [1]}', "unknown key 'threat_clases': did you mean 'threat_classes'?"),
        (b'{"zzz": 1}', "unknown key 'zzz': use version"),
        (b'{"threat_classes": 1}', "$.threat_classes"),
        (b'{"threat_classes": [1.5]}', "$.threat_classes[0]"),
        (b'{"version": 2, "threat_classes": [1]}', "version 2 is not known"),
    ],
)
def test_a_faulty_rule_file_is_refused_in_one_line(document: bytes, told: str) -> None:
    with pytest.raises(RulesError) as caught:
        parse("/rule.json", document)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_keys_of_the_users_own_are_let_through() -> None:
    assert parse("/rule.json", b'{"x-note": {"any": 1}, "threat_classes": [1]}')


def test_missing_rules_and_missing_classes_are_named() -> None:
    with pytest.raises(RulesError, match=r"no /rule.json among the files \(/rules.json\)"):
        effective(files(rules=ORIGINAL), "dev1")
    with pytest.raises(RulesError, match="no threat_classes for device dev1"):
        effective(files(rule={"to_email": "x@y.z"}), "dev1")


def test_the_stage_adds_one_key_and_leaves_the_rest_as_it_was() -> None:
    data = b'{"objects":[{"score":"0.93","class":1}],"image":"/dev1_1511891098.jpg","odd":1.50}'
    datum = Datum.of(
        inputs={
            "object": {"/dev1/1511891098.json": data},
            "rules": {"/rule.json": json.dumps(ORIGINAL).encode()},
        },
        commit="abc123",
    )
    judge(datum)
    written = datum.outputs["/dev1/1511891098.json"]
    assert written.startswith(data[:-1])
    decision = json.loads(written)["decision"]
    assert set(decision) == {
        "event", "device", "images", "model", "rules", "code", "profile", "verdict", "severity",
        "trace", "first_failing_step", "alert_key",
    }  # fmt: skip
    assert decision["rules"]["commit"] == "abc123"
    assert decision["rules"]["layers"]["threat_classes"] == "/rule.json"
    assert set(decision["trace"][0]) == {"object", "step", "field", "value", "limit", "pass"}


@pytest.mark.parametrize("rule", [b'{"threat_classes": [12]}', b"nonsense", b'{"threat_clases":1}'])
def test_rules_that_cannot_be_meant_make_the_stage_wait_for_better_ones(rule: bytes) -> None:
    datum = Datum.of(
        inputs={"object": {"/dev1/1511891098.json": seen_bytes(1)}, "rules": {"/rule.json": rule}}
    )
    with pytest.raises(NotReady, match=r"rules /rule\.json"):
        judge(datum)


def test_judging_twice_gives_equal_bytes() -> None:
    held = Effective(threat_classes=(1,), layers={"threat_classes": "/rule.json"})
    seen = read_seen(seen_bytes(1, 18), "x")
    one, two = (
        with_decision(seen_bytes(1, 18), decide(seen, held, "c", "d", "1")) for _ in range(2)
    )
    assert one == two


def test_coco_has_eighty_classes_of_ninety_numbers() -> None:
    assert len(COCO_90) == 80
    assert (min(COCO_90), max(COCO_90)) == (1, 90)
    assert [COCO_90[number] for number in (1, 3, 4, 8)] == ["person", "car", "motorcycle", "truck"]
    assert len(set(COCO_90.values())) == 80
    assert set(range(1, 91)) - set(COCO_90) == {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
