"""A server without a socket or workers, for tests of the API; and tar streams."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from starlette.testclient import TestClient
from tests.rig import OnePool

from vedette.metadata.sqlite import SqliteStore
from vedette.objects.local import LocalObjects
from vedette.scheduling.loop import Loop
from vedette.server.serving import application
from vedette.server.site import Limits, Site
from vedette.wiring import clock, new_id


@contextmanager
def site(folder: Path, limits: Limits | None = None) -> Iterator[Site]:
    """The parts of a server, with a scheduler that has no workers."""
    store, objects = SqliteStore(folder / "metadata.sqlite"), LocalObjects(folder)
    loop = Loop(store, objects, None, OnePool(), clock, new_id)
    loop.start()
    try:
        yield Site(loop, "0", datetime.now(UTC), limits)
    finally:
        loop.stop()
        objects.close()
        store.close()


def asking(
    parts: Site, *, peer: str = "127.0.0.1", host: str = "127.0.0.1:7650", loopback: bool = True
) -> TestClient:
    """A client of these parts that seems to be at `peer` and to have asked for `host`."""
    app = application(parts, [], loopback=loopback)
    return TestClient(app, base_url=f"http://{host}", client=(peer, 40000))


def tar_of(files: Mapping[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar stream as tools write it."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=format) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return held.getvalue()
