"""What a spout writes to its pipe: whole archives are commits, the rest is dropped and said."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vedette.model.work import Emitted
from vedette.worker.spout_output import Emitting


def archive(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


GOOD = archive(a=b"1")


@pytest.mark.parametrize(("written", "commits", "said"), [
    ([GOOD, GOOD], 2, []),
    ([GOOD[:700]], 0, ["ends in the middle of a file"]),
    ([GOOD[:100]], 0, ["ends in the middle of a file"]),
    ([GOOD, b"oops"], 1, ["ends in the middle of a file"]),
    ([b"x" * 512 + GOOD], 0, [f"; {len(GOOD):,} bytes that followed at once went with it"]),
    ([b""], 0, []),
])  # fmt: skip
def test_r10_what_is_no_whole_archive_is_dropped_and_never_in_silence(
    tmp_path: Path, written: list[bytes], commits: int, said: list[str]
) -> None:
    """R10: also what is not even a header."""
    pipe = tmp_path / "out"
    os.mkfifo(pipe)
    emitted: list[list[Emitted]] = []
    remarks: list[str] = []

    def store(name: str, chunks: Iterator[bytes]) -> Emitted:
        data = b"".join(chunks)
        return Emitted(path=f"/{name}", prepared=data)

    emitting = Emitting(pipe, tmp_path, store, emitted.append, remarks.append)
    with pipe.open("wb", buffering=0) as out:
        for data in written:
            out.write(data)
    emitting.start()
    emitting.finish()
    assert len(emitted) == commits
    assert len(remarks) == len(said)
    for remark, words in zip(remarks, said, strict=True):
        assert remark.startswith("an archive on /pfs/out was dropped: ")
        assert words in remark
