"""docs/reference/cameras.md names every setting, route and state."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from vedette.model.errors import Invalid
from vedette_cameras import settings
from vedette_cameras.alert.record import State
from vedette_cameras.api import OPERATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "cameras.md").read_text("utf-8")


def test_every_setting_is_in_the_reference() -> None:
    tables = {"smtp": settings.Smtp, "sendgrid": settings.SendGrid, "retries": settings.Retries}
    for name in settings.Settings.__struct_fields__:
        inner = (
            [f"{name}.{key}" for key in tables[name].__struct_fields__] if name in tables else []
        )
        for wanted in inner or [name]:
            assert f"`{wanted}`" in PAGE, wanted
    for key in settings.Watch.__struct_fields__:
        assert f"`{key}`" in PAGE


def test_every_route_and_state_is_in_the_reference() -> None:
    for operation in OPERATIONS:
        assert f"`{operation.method} {operation.path}`" in PAGE
    for state in typing.get_args(State):
        assert f"`{state}`" in PAGE


def test_later_settings_win_and_the_environment_leads_into_tables(tmp_path: Path) -> None:
    (tmp_path / "cameras.toml").write_text('max_age = 1\n[smtp]\nhost = "a"\nport = 25\n')
    found = settings.load(
        tmp_path,
        {"max_age": 2, "outbox": "o"},
        {"VEDETTE_CAMERAS_SMTP__HOST": "b", "VEDETTE_CAMERAS_WATCH": "/x:/y", "OTHER": "1"},
    )
    assert (found.max_age, found.outbox) == (2, "o")
    assert (found.smtp.host, found.smtp.port) == ("b", 25)
    assert [watch.folder for watch in found.watch] == ["/x", "/y"]


@pytest.mark.parametrize(
    ("text", "say"),
    [
        ("chanel = 1", "chanel"),
        ("max_age = 'x'", "max_age"),
        ("max_age = -1", "max_age"),
        ("=", ""),
    ],
)
def test_a_faulty_setting_is_named_with_its_file(tmp_path: Path, text: str, say: str) -> None:
    (tmp_path / "cameras.toml").write_text(text)
    with pytest.raises(Invalid, match=rf"cameras\.toml.*{say}"):
        settings.load(tmp_path, None, {})
