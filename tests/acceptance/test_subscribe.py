"""subscribe-commit, and sources on the web, as typed."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import aclosing, closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.program import PATIENCE, PROGRAM, Server, environment, serving

from vedette.client import Client, HttpTransport


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "data") as found:
        yield found


def test_a_subscriber_sees_every_finished_commit_in_order_once(server: Server) -> None:
    server("create-repo", "images")
    first = server.put("images", "a", b"1")
    words = [str(PROGRAM), "subscribe-commit", "images@master", "--raw"]
    env = environment({"VEDETTE_ADDRESS": server.address})
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=env) as reader:
        assert reader.stdout is not None
        assert json.loads(reader.stdout.readline())["id"] == first
        made = [server.put("images", f"b{at}", b"2") for at in range(5)]
        seen = [json.loads(reader.stdout.readline())["id"] for _ in made]
        assert seen == made
        open_id = server("start-commit", "images", "master").out.strip()
        server.put("images", "c", b"3")
        server("finish-commit", "images", "master")
        assert json.loads(reader.stdout.readline())["id"] == open_id
        reader.send_signal(signal.SIGINT)
        assert reader.wait(PATIENCE) == 130
    later = server.put("images", "d", b"4")
    assert later not in made


def test_a_subscriber_outlives_the_server(tmp_path: Path) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving(tmp_path / "data", "--listen", f"127.0.0.1:{port}") as server:
        server("create-repo", "images")
        made = [server.put("images", "a", b"1")]

        async def follow() -> list[str]:
            found: list[str] = []
            async with (
                Client(HttpTransport(server.address)) as client,
                aclosing(client.subscribe_commit("images")) as commits,
            ):
                async for commit in commits:
                    found.append(commit.id)
                    if len(found) == 1:
                        await asyncio.to_thread(server.kill)
                        await asyncio.to_thread(server.again)
                        made.append(await asyncio.to_thread(server.put, "images", "b", b"2"))
                    if len(found) == 2:
                        return found
            return found

        assert asyncio.run(follow()) == made


def test_subscribing_to_no_repo_is_one_line(server: Server) -> None:
    done = server.tell("subscribe-commit", "nowhere@master")
    assert done.code != 0
    assert len(done.err.splitlines()) == 1
    assert "nowhere" in done.err


def test_p3_addresses_are_read_several_at_a_time(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_bytes(b"%d" % number * 1000)

    # Every answer waits for three requests to have come: one at a time would wait for ever.
    together = threading.Barrier(3, timeout=PATIENCE)

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            together.wait()
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{site.server_port}"
        try:
            server("create-repo", "pages")
            listed = tmp_path / "list"
            listed.write_text("".join(f"{base}/{number}.txt\n" for number in range(6)))
            server("put-file", "pages", "master", "-i", listed, "-p", "3")
        finally:
            site.shutdown()
            thread.join()
    for number in range(6):
        assert server.content("pages", f"{number}.txt") == b"%d" % number * 1000
