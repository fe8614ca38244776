"""Addresses find their operations, and parameters are decoded once."""

from __future__ import annotations

import pytest

from vedette.client.operations import ENDPOINTS
from vedette.model.errors import InvalidPath, WrongMethod
from vedette.server.routes import handlers, table


def found(method: str, path: str) -> tuple[str, dict[str, str]]:
    answer = table().find(method, path)
    assert answer is not None
    return answer[0].endpoint.name, answer[1]


def test_every_operation_has_a_handler_and_is_found_at_its_address() -> None:
    assert set(handlers()) == {endpoint.name for endpoint in ENDPOINTS}
    for endpoint in ENDPOINTS:
        path = endpoint.path.format(
            repo="r",
            branch="b",
            ref="c",
            path="d/e",
            name="n",
            id="i",
            key="k",
            session="s",
            worker="w",
            version="1",
        )
        assert found(endpoint.method, path)[0] == endpoint.name


def test_a_path_takes_all_that_follows() -> None:
    assert found("GET", "/v1/repos/images/commits/master/files/a/b/c.jpg") == (
        "get_file",
        {"repo": "images", "ref": "master", "path": "a/b/c.jpg"},
    )


def test_a_path_may_be_empty() -> None:
    for path in ("/v1/repos/images/commits/master/list", "/v1/repos/images/commits/master/list/"):
        assert found("GET", path)[1]["path"] == ""


def test_parameters_are_decoded_once() -> None:
    _, params = found("GET", "/v1/repos/a%2Fb/commits/m/files/100%2525/%C3%BC%20x")
    assert params == {"repo": "a/b", "ref": "m", "path": "100%25/ü x"}


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidPath, match="UTF-8"):
        table().find("GET", "/v1/repos/%FF")


def test_a_wrong_method_is_told_which_are_right() -> None:
    with pytest.raises(WrongMethod, match="GET, POST"):
        table().find("PATCH", "/v1/repos")


def test_an_unknown_address_is_left_to_others() -> None:
    assert table().find("GET", "/v1/devices/dev1/images") is None
    assert table().find("GET", "/") is None
