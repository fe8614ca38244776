"""A store that cannot be reached from a host: everything goes through the server."""

from __future__ import annotations

import asyncio
import socket
import tempfile

import pytest
import structlog.testing

from vedette.model.hosts import Direct
from vedette.worker.direct import DirectStore


def test_a_store_that_does_not_answer_is_told_once_and_left_alone() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/bucket/key?signature=secret"
        got: list[bytes] = []

        async def take(piece: bytes) -> None:
            got.append(piece)

        async def ask() -> list[bool]:
            store = DirectStore()
            with tempfile.TemporaryFile() as file:
                found = [
                    await store.get(Direct(url, 0, 3), take),
                    await store.put(url, file.fileno(), 0),
                ]
            await store.close()
            return found

        with structlog.testing.capture_logs() as said:
            assert asyncio.run(ask()) == [False, False]
    assert got == []
    assert len(said) == 1
    assert "secret" not in str(said)


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "404 Not Found"])
def test_what_is_no_part_of_an_object_is_not_taken(status: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 3\r\n\r\nabc".encode())
        await writer.drain()
        writer.close()

    async def ask() -> bool:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            store = DirectStore()
            try:
                link = Direct(f"http://127.0.0.1:{port}/key", 0, 3)
                return await store.get(link, lambda piece: asyncio.sleep(0))
            finally:
                await store.close()

    assert asyncio.run(ask()) is False
