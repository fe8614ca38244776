"""Python stages that the tests of workers run in real stage processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from vedette.stage import Datum, File, NotReady, warm


def upper(datum: Datum, suffix: str = "") -> None:
    file = datum.inputs["images"].file
    print("looked at", file.path)
    datum.write("/upper" + file.path, file.read().upper() + suffix.encode())


def link(datum: Datum) -> None:
    for file in datum.inputs["images"].files:
        datum.link("/same" + file.path, file)


def nothing(datum: Datum) -> None:
    pass


def pid(datum: Datum) -> None:
    print(os.getpid())


def hungry(datum: Datum) -> None:
    print(len(bytearray(500 << 20)))


def sizes(datum: Datum) -> None:
    for file in datum.inputs["images"].files:
        print(file.path, file.size, file.read())
        datum.link("/same" + file.path, file)


def fail_twice(datum: Datum) -> None:
    sys.stderr.write(f"attempt {datum.attempt}\n")
    if datum.attempt < 3:
        raise ValueError(f"no luck at attempt {datum.attempt}")
    datum.write("/done", b"")


def die(datum: Datum) -> None:
    if datum.inputs["images"].file.read() == b"poison":
        print("about to die")
        os.kill(os.getpid(), signal.SIGKILL)
    datum.write("/alive", b"")


def sleep(datum: Datum) -> None:
    if datum.inputs["images"].file.read() == b"slow":
        print("going to sleep")
        time.sleep(60)
    datum.write("/awake", b"")


def not_ready(datum: Datum) -> None:
    raise NotReady("model m.onnx: cannot be read")


def twice(datum: Datum) -> None:
    datum.write("/a", b"1")
    datum.write("/a", b"2")


def pretend(datum: Datum) -> None:
    datum.link("/stolen", File("/x", 3, lambda: b"", "00" * 32))


def chatter(datum: Datum) -> None:
    for number in range(20_000):
        print(number)
    os.write(1, b"from native code\n")


def native(datum: Datum) -> None:
    print("first")
    os.write(1, b"from native code\n")
    print("umlaut ä \udcff")


def look_around(datum: Datum) -> None:
    found = {}
    for path in datum.env["LOOK"].split(":"):
        found[path] = Path(path).exists()
    datum.write("/seen", repr(found).encode())
    datum.write("/secret", datum.env["MAIL_KEY"].encode())
    datum.write("/threads", os.environ["OMP_NUM_THREADS"].encode())


def remember(datum: Datum) -> None:
    file = datum.inputs["images"].file
    made: list[int] = []

    def measure() -> int:
        made.append(1)
        return len(file.read())

    warm.get("length", file.object, measure)
    datum.write("/made", str(len(made)).encode())
    datum.write("/pid", str(os.getpid()).encode())
