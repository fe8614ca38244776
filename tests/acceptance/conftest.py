"""What the tests of commands share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vedette.wiring import running_server


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without applications, one for all tests of a file."""
    with running_server(tmp_path_factory.mktemp("server") / "data", apps=[]) as found:
        yield found
