"""Secret values leave a spec before anything keeps it."""

from __future__ import annotations

from typing import Any

from vedette.server.pipelines import lift_secrets


def spec(env: dict[str, Any], **transform: Any) -> dict[str, Any]:
    return {"pipeline": {"name": "threat"}, "transform": {"env": env, **transform}}


def test_a_key_becomes_a_reference() -> None:
    document, values = lift_secrets(spec({"SGKEY": "SG.x", "LEVEL": "3"}))
    assert values == {"SGKEY": "SG.x"}
    assert document["transform"]["env"] == {"LEVEL": "3"}
    assert document["transform"]["secrets"] == [
        {"name": "pipeline-threat", "env_var": "SGKEY", "key": "SGKEY"}
    ]
    assert "SG.x" not in str(document)


def test_names_that_sound_secret_are() -> None:
    env = {"API_KEY": "a", "X_TOKEN": "b", "DB_PASSWORD": "c", "MY_SECRET": "d", "KEYBOARD": "e"}
    _, values = lift_secrets(spec(env))
    assert set(values) == {"API_KEY", "X_TOKEN", "DB_PASSWORD", "MY_SECRET"}


def test_an_empty_key_stays_for_it_means_none() -> None:
    given = spec({"SGKEY": ""})
    assert lift_secrets(given) == (given, {})


def test_other_references_stay_and_an_older_one_is_replaced() -> None:
    old = {"name": "pipeline-threat", "env_var": "SGKEY", "key": "SGKEY"}
    mine = {"name": "mine", "mount_path": "/secret"}
    document, _ = lift_secrets(spec({"SGKEY": "new"}, secrets=[mine, old]))
    assert document["transform"]["secrets"] == [mine, old]


def test_what_is_no_spec_is_left_to_the_parser() -> None:
    for odd in ({}, {"transform": 3}, {"transform": {"env": []}, "pipeline": {"name": "x"}}):
        assert lift_secrets(odd) == (odd, {})
