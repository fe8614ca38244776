"""kill -9 at any instant: no alert is lost, and none is doubled but where the provider's yes came
and its record did not (CAMERAS 6)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from tests.cameras import Cameras, picture, until
from tests.sendgrid import SendGridStub, sendgrid

KILLS = 4
A_LIFE = 12
SENDERS = 2


@contextmanager
def served(data: Path, stub: SendGridStub) -> Iterator[tuple[Cameras, subprocess.Popen[bytes]]]:
    environ = {
        **os.environ,
        "VEDETTE_CAMERAS_SENDGRID__HOST": stub.address,
        "VEDETTE_CAMERAS_SENDGRID__KEY": "k",
        "VEDETTE_CAMERAS_RETRIES__FIRST": "0.05",
        "VEDETTE_CAMERAS_SENDERS": str(SENDERS),
    }
    command = [str(Path(sys.executable).with_name("vedette")), "serve"]
    process = subprocess.Popen(
        [*command, "--data", str(data), "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        server = Cameras("http://" + line.partition("http://")[2].split()[0])
        yield server, process
        server.http.close()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_killed_again_and_again_it_tells_everything_at_least_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    images = [f"/gate_15118{life}{n:04d}.jpg" for life in range(KILLS) for n in range(A_LIFE)]
    rules = ""
    with sendgrid() as stub:
        stub.delay = 0.02
        for life in range(KILLS):
            with served(tmp_path, stub) as (server, process):
                rules = rules or server.judging()
                taken = len(stub.asked)
                for image in images[life * A_LIFE : (life + 1) * A_LIFE]:
                    server.send("-", picture(), filename=image[1:])
                    server.judged(image, rules)
                # At some instant while messages are leaving.
                until(lambda taken=taken: len(stub.asked) > taken)  # type: ignore[misc]
                time.sleep(chance.uniform(0, 0.3))
                process.send_signal(signal.SIGKILL)
                process.wait()
        with served(tmp_path, stub) as (server, _):
            server.idle()
            sent = stub.ids()
            records = [server.delivery(image) for image in images]
            assert [record["state"] for record in records] == ["accepted"] * len(images)
            assert server.get("/v1/cameras/summary")["alerted"] == len(images)
            again = len(stub.asked)
            server.idle()
            assert len(stub.asked) == again
    assert {record["message_id"] for record in records} == set(sent)
    assert len({record["message_id"] for record in records}) == len(images)
    # Twice only what was under way at a kill: as many as can be under way at once.
    assert sum(sent.values()) - len(sent) <= KILLS * SENDERS
    numbers = [record["number"] for record in records]
    assert len(set(numbers)) == len(numbers)


def test_a_second_server_on_the_folder_sends_nothing(tmp_path: Path) -> None:
    with sendgrid() as stub, served(tmp_path, stub) as (server, _):
        server.repo("images")
        command = [sys.executable, "-m", "vedette", "serve", "--data", str(tmp_path)]
        second = subprocess.run(
            [*command, "--listen", "127.0.0.1:0"], capture_output=True, timeout=60, check=False
        )
        assert second.returncode != 0
        assert httpx2.get(f"{server.address}/v1/health", trust_env=False).status_code == 200
        assert stub.asked == []
