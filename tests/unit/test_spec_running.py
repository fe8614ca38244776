"""Pipeline specs: what bounds a command, and commands that run on and on (ENGINE R5, R10)."""

from __future__ import annotations

from typing import Any

import pytest

from vedette.model.errors import InvalidSpec
from vedette.model.inputs import leaves
from vedette.model.pipeline import DatumSet, Limits, Service, Spout
from vedette.model.spec import parse_spec


def spec(**more: Any) -> dict[str, Any]:
    return {
        "pipeline": {"name": "p"}, "transform": {"cmd": ["x"]},
        "input": {"pfs": {"repo": "r", "glob": "/*"}}, **more,
    }  # fmt: skip


def test_a_spout_has_no_input_and_its_words_have_their_values() -> None:
    """R10."""
    document = spec(spout={"overwrite": True, "marker": "m"})
    del document["input"]
    found = parse_spec(document).spec
    assert (found.spout, found.standing) == (Spout(overwrite=True, marker="m"), True)
    assert list(leaves(found.input)) == []


def test_a_service_is_reached_on_loopback_at_its_own_port_if_nothing_else_is_said() -> None:
    """R10."""
    found = parse_spec(spec(service={"internalPort": "8080"})).spec
    assert found.service == Service(internal_port=8080, external_port=8080, ip="127.0.0.1")


def test_limits_and_portions_have_their_values() -> None:
    """R5."""
    found = parse_spec(spec(
        resource_limits={"memory": "64Mi", "cpu": "500m"}, chunk_spec={"number": "7"}
    )).spec  # fmt: skip
    assert found.limits == Limits(memory=64 << 20, cpu=0.5)
    assert found.datum_set == DatumSet(number=7)
    with pytest.raises(InvalidSpec, match=r"resource_limits\.memory: 12 bytes are too few"):
        parse_spec(spec(resource_limits={"memory": 12}))


LEAF = {"pfs": {"repo": "r", "glob": "/"}}


@pytest.mark.parametrize(("given", "fault"), [
    ({"spout": {}, "input": {"pfs": {"repo": "r", "glob": "/"}}}, "a spout has no input"),
    ({"spout": {}, "service": {"internal_port": 80}}, "not both"),
    ({"service": {"external_port": 80}, "input": LEAF}, "internal_port"),
    ({"service": {"internal_port": 80}, "input": LEAF}, "external_port"),
    ({"spout": {"marker": "../x"}}, r"spout\.marker"),
])  # fmt: skip
def test_what_no_service_or_spout_can_be_is_refused(given: dict[str, Any], fault: str) -> None:
    """U6."""
    document = {"pipeline": {"name": "p"}, "transform": {"cmd": ["x"]}, **given}
    with pytest.raises(InvalidSpec, match=fault):
        parse_spec(document)
