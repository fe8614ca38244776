"""A host that is told to stop while nobody answers."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vedette.model.errors import Unavailable
from vedette.model.hosts import Join
from vedette.worker.connection import Line
from vedette.worker.disk_cache import DiskCache
from vedette.worker.remote_source import UPLOADING, RemoteSource

PATIENCE = 30.0


@pytest.fixture
def source(tmp_path: Path) -> Iterator[RemoteSource]:
    """A source whose server takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        made = RemoteSource(
            lambda: Line([address], "token"),
            lambda: Join(name="h", host="h", slots=1, pipelines="*", version="1"),
            1 << 20, DiskCache(tmp_path / "objects"),
        )  # fmt: skip
        made.begin()
        made._session = "joined"
        yield made
        made.give_up()
        made.close(0.1)


def read(source: RemoteSource, _: int) -> None:
    source.read(b"n" * 32)


def fetch(source: RemoteSource, descriptor: int) -> None:
    source.fetch(b"n" * 32, 1 << 20, descriptor)


def put_file(source: RemoteSource, descriptor: int) -> None:
    source.put_file(descriptor)


def code(source: RemoteSource, _: int) -> None:
    source.code("pipeline-1")


@pytest.mark.parametrize("move", [read, fetch, put_file, code])
def test_who_waits_for_bytes_is_told_when_all_is_given_up(
    source: RemoteSource, tmp_path: Path, move: Callable[[RemoteSource, int], None]
) -> None:
    """Else a worker that is told to stop would try on for minutes, and be killed for it."""
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.pwrite(descriptor, b"x", (3 << 20) - 1)
    told = []

    def wait() -> None:
        try:
            move(source, descriptor)
        except Unavailable as error:
            told.append(error.message)

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    source.give_up()
    waiting.join(PATIENCE)
    os.close(descriptor)
    assert told == ["the worker is told to stop, and nothing moves"]
    with pytest.raises(Unavailable):
        source.read(b"m" * 32)


def test_outputs_that_wait_for_room_find_it_when_all_is_given_up(source: RemoteSource) -> None:
    data = bytes(1 << 20)

    def fill() -> None:
        for _ in range((UPLOADING >> 20) + 1):
            source.put(data)

    filling = threading.Thread(target=fill)
    filling.start()
    filling.join(0.5)
    assert filling.is_alive()
    source.give_up()
    filling.join(PATIENCE)
    assert not filling.is_alive()
