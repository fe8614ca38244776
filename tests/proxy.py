"""A bad network between a client and a server on this machine: slow, or one that breaks off."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Proxy:
    """Passes bytes on from `listen` to `host` and `port`, `delay` seconds late each way.

    `lives` says, for each connection, after how many bytes (both ways) it breaks; None is never.
    `passed` counts bytes, `broken` the connections that broke. `tls` has the files of a certificate
    and its key: then clients must speak TLS, to a server that does not.
    """

    def __init__(
        self, host: str, port: int, delay: float, lives: Callable[[], int | None], listen: str,
        tls: tuple[Path, Path] | None = None,
    ) -> None:  # fmt: skip
        self.address = ""
        self.broken = 0
        self.passed = 0
        self._listen = listen
        self._tls: ssl.SSLContext | None = None
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*tls)
        self._to = (host, port)
        self._delay = delay
        self._lives = lives
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        starting = asyncio.start_server(self._serve, self._listen, 0, ssl=self._tls)
        server = self._loop.run_until_complete(starting)
        scheme = "http" if self._tls is None else "https"
        self.address = f"{scheme}://{self._listen}:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        rest = asyncio.all_tasks(self._loop)
        for task in rest:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        self._loop.close()

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            far, forth = await asyncio.open_connection(*self._to)
        except OSError:
            back.close()
            return
        left = self._lives()

        async def passed_on(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            nonlocal left
            while data := await source.read(65536):
                if left is not None and len(data) >= left:
                    self.broken += 1
                    to.write(data[:left])
                    await to.drain()
                    return
                left = None if left is None else left - len(data)
                self.passed += len(data)
                self._loop.call_later(self._delay, self._write, to, data)

        ways = [asyncio.ensure_future(passed_on(near, forth)),
                asyncio.ensure_future(passed_on(far, back))]  # fmt: skip
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(self._delay)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for writer in (back, forth):
                with suppress(OSError):
                    writer.close()

    def _write(self, to: asyncio.StreamWriter, data: bytes) -> None:
        if not to.is_closing():
            to.write(data)

    def close(self) -> None:
        """Break every connection and end."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@contextmanager
def proxied(
    address: str, delay: float = 0.0, lives: Callable[[], int | None] = lambda: None,
    listen: str = "127.0.0.1", tls: tuple[Path, Path] | None = None,
) -> Iterator[Proxy]:  # fmt: skip
    """A proxy before a server's address, HOST:PORT with or without a scheme."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    proxy = Proxy(host, int(port), delay, lives, listen, tls)
    try:
        yield proxy
    finally:
        proxy.close()
