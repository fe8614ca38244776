"""The picture of a message, drawn beside the server's work and after it."""

from __future__ import annotations

import os
import threading
from asyncio import get_running_loop
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from vedette_cameras.alert.message import Message, compose, to_mime
from vedette_cameras.alert.record import Record

_NICE = 10


class Studio:
    """One thread of low priority that draws and puts messages together."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "cameras-mail", initializer=_be_nice)

    async def compose(self, record: Record, address: str, data: bytes) -> Message:
        """The message of a delivery, with the picture (`data`, empty for none) drawn in."""
        return await get_running_loop().run_in_executor(
            self._pool, lambda: compose(record, address, drawn(record, data))
        )

    async def mime(self, message: Message) -> bytes:
        """A message as the bytes of an e-mail."""
        return await get_running_loop().run_in_executor(self._pool, to_mime, message)

    def close(self) -> None:
        """End the thread when it has done what it does."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def drawn(record: Record, data: bytes) -> bytes:
    """A JPEG of at most 200 KB with the threats' boxes; empty for what cannot be decoded."""
    if not data:
        return b""
    # Loaded on the first alert: a server that has none does without 40 MB.
    from vedette_cameras.annotate.draw import MAIL_BYTES, Mark, draw
    from vedette_cameras.pictures import PictureError, decode

    try:
        pixels = decode(data)
    except PictureError:
        return b""
    marks = [
        Mark(label=t.label, score=f"{t.score:.2f}", box=_four(t.box), threat=True)
        for t in record.threats
        if len(t.box) == 4
    ]
    return draw(pixels, marks, MAIL_BYTES)


def _four(box: tuple[float, ...]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return left, top, right, bottom


def _be_nice() -> None:
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
