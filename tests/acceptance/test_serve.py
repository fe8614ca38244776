"""`vedette serve`: starting, refusing to start, and ending."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from vedette.client import Client, HttpTransport

PROGRAM = [sys.executable, "-c", "from vedette.cli.main import run; run()"]


@contextmanager
def serving(data: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--data", str(data), "--listen", "127.0.0.1:0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(f"vedette serves {data} at http://127.0.0.1:"), line
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


def refused(*options: str) -> str:
    """The one line of a server that does not start."""
    done = subprocess.run(
        [*PROGRAM, "serve", *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0 and done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("vedette: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_with_0_when_it_is_asked_to(tmp_path: Path, number: int) -> None:
    with serving(tmp_path / "data") as (process, _):
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors


def test_a_server_ends_although_somebody_listens(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as (process, address):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as listener:
            listener.sendall(f"GET /v1/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            assert b"200 OK" in listener.recv(4096)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            assert process.returncode == 0


def test_a_second_server_on_one_data_folder_is_told_who_holds_it(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as (process, _):
        line = refused("--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
        assert str(process.pid) in line and "--data" in line


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused("--data", str(tmp_path / "data"), "--listen", f"127.0.0.1:{port}")
        assert str(port) in line and "--listen" in line


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--listen", "nonsense"], "HOST:PORT"),
        (["--listen", "no.such.host.invalid:1"], "no.such.host.invalid"),
        (["--listen", "127.0.0.1:0", "--runtimes", "/nowhere.toml"], "/nowhere.toml"),
        (["--workers", "-1"], "workers"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(
    tmp_path: Path, options: list[str], part: str
) -> None:
    assert part in refused("--data", str(tmp_path / "data"), *options)


def test_a_data_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refused("--data", str(tmp_path / "file"))


def test_what_was_accepted_is_there_after_kill_9(tmp_path: Path) -> None:
    """C1: the answer leaves after the commit is durable."""

    async def put(address: str) -> None:
        async with Client(HttpTransport(address)) as client:
            await client.create_repo("images")
            for number in range(20):
                data = bytes([number]) * 60_000
                await client.put_file("images", "master", f"/{number}", data)

    async def look(address: str) -> None:
        async with Client(HttpTransport(address)) as client:
            for number in range(20):
                found = await client.get_file("images", "master", f"/{number}")
                assert found == bytes([number]) * 60_000

    with serving(tmp_path / "data") as (process, address):
        asyncio.run(put(address))
        os.kill(process.pid, signal.SIGKILL)
    with serving(tmp_path / "data") as (_, address):
        asyncio.run(look(address))


def test_off_loopback_the_first_token_lies_in_the_data_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, "--listen", "0.0.0.0:0") as (_, address):
        token = (data / "admin.token").read_text().strip()
        assert (data / "admin.token").stat().st_mode & 0o077 == 0
        done = subprocess.run(
            [*PROGRAM, "--address", address, "list-repo"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 6 and "--token" in done.stderr
        done = subprocess.run(
            [*PROGRAM, "--address", address, "list-repo"],
            env={**os.environ, "VEDETTE_TOKEN": token},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_output_into_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as (_, address):

        async def fill() -> None:
            async with Client(HttpTransport(address)) as client:
                await client.create_repo("images")
                await client.put_file("images", "master", "/a", bytes(3_000_000))

        asyncio.run(fill())
        process = subprocess.Popen(
            [*PROGRAM, "--address", address, "get-file", "images", "master", "a"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(timeout=30) == 1


def test_a_head_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as (_, address):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as caller:
            caller.sendall(b"GET / HTTP/1.1\r\nX: ")
            with pytest.raises(OSError):
                while True:
                    caller.sendall(b"y" * 65_536)


def test_logs_are_followed_as_they_come(tmp_path: Path) -> None:
    spec = {
        "pipeline": {"name": "p"},
        "transform": {"cmd": ["sh"], "stdin": ["cat $images"]},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
    }

    async def story(address: str) -> list[str]:
        async with Client(HttpTransport(address)) as client:
            await client.create_repo("images")
            await client.create_pipeline(spec)
            await client.put_file("images", "master", "/a", b"first\n")
            async with aclosing(client.logs(pipeline="p", follow=True)) as lines:
                found = [(await anext(lines)).text]
                await client.put_file("images", "master", "/b", b"second\n")
                found.append((await anext(lines)).text)
            return found

    with serving(tmp_path / "data") as (_, address):
        assert asyncio.run(story(address)) == ["first", "second"]


def test_help_is_quick_to_load() -> None:
    """Nothing heavy is imported to list the commands (STYLE habit 12)."""
    code = (
        "import sys; from vedette.cli.main import outcome; code = outcome(['--help']);"
        "heavy = {'httpx2', 'asyncio', 'starlette', 'uvicorn', 'numpy', 'openvino', 'rich.table'};"
        "print('LOADED', sorted(heavy & set(sys.modules)), code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED [] 0" in done.stdout
    assert "put-file" in done.stdout
