"""The API's description is true: what it allows is answered, never by a fault of the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from vedette.client.operations import ENDPOINTS
from vedette.server import openapi
from vedette.wiring import running_server

# These wait or stream until something happens: they are asked elsewhere.
ENDLESS = {"events", "idle", "flush_commit", "logs"}
# The fuzzer knows no tar streams: tests/acceptance/test_api.py sends broken ones.
UNKNOWN = {"put_tar"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(tmp_path_factory.mktemp("server") / "data", apps=[]) as found:
        with httpx2.Client(base_url=found) as web:
            web.post("/v1/repos", json={"name": "images"})
            web.put("/v1/repos/images/branches/master/files/a.jpg", content=b"x")
        yield found


def test_the_description_is_served_and_names_every_operation(address: str) -> None:
    document = httpx2.get(f"{address}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    named = {
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    }
    assert named == {endpoint.name for endpoint in ENDPOINTS}
    text = str(document)
    for name in document["components"]["schemas"]:
        assert name in text


def operations() -> list[Any]:
    """Every operation that ends by itself, as the fuzzer sees it."""
    schema: Any = schemathesis.openapi.from_dict(openapi.document(ENDPOINTS, "0"))
    found = [each.ok() for each in schema.get_all_operations()]
    left_out = ENDLESS | UNKNOWN
    return [each for each in found if each.definition.raw["operationId"] not in left_out]


@pytest.mark.parametrize("operation", operations(), ids=lambda o: o.definition.raw["operationId"])
def test_whatever_fits_the_description_is_answered(address: str, operation: Any) -> None:
    @settings(
        max_examples=6, deadline=None, phases=[Phase.generate], database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def story(data: Any) -> None:
        case = data.draw(operation.as_strategy())
        answer = case.call(base_url=address)
        assert answer.status_code < 500, answer.text

    story()
