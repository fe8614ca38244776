"""Run one datum of a command stage and print its log: for a test that runs it as another user."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from fake_source import FakeSource, spec

from vedette.model.runtime import Runtime
from vedette.worker.command_slot import CommandSlot


def main() -> None:
    assert os.geteuid() != 0
    script = (
        "echo uid=$(id -u); cat $images; echo; ln -s $images /pfs/out/x; "
        "test -e /etc/shadow || echo no passwords"
    )
    source = FakeSource()
    key = source.add_code(spec("test", "sh", stdin=(script,)), "command:test")
    task = source.task(key, {"images": ("/a", {"/a": b"picture"})})
    with tempfile.TemporaryDirectory() as folder:
        slot = CommandSlot(source, source.codes[key], Runtime(), Path(folder) / "slot", [folder])
        try:
            result = slot.run(task)
        finally:
            slot.close()
    print(result.state)
    for entry in result.logs:
        print(entry.text)
    if result.reason:
        print(result.reason)


if __name__ == "__main__":
    main()
