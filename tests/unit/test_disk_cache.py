"""Large inputs that a host keeps in files (`vedette.worker.disk_cache`)."""

from __future__ import annotations

import os
from pathlib import Path

from vedette.model.ids import object_id
from vedette.worker.disk_cache import DiskCache


def keep(kept: DiskCache, data: bytes) -> bytes:
    name = object_id(data)
    keeping = kept.begin(name, len(data))
    keeping.write(data[:3])
    keeping.write(data[3:])
    keeping.done()
    return name


def copied(kept: DiskCache, name: bytes, folder: Path) -> bytes | None:
    target = folder / "copy"
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        found = kept.copy(name, descriptor)
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == target.stat().st_size
    finally:
        os.close(descriptor)
    assert found or target.read_bytes() == b""
    return target.read_bytes() if found else None


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_longest_unused_go_first_and_the_limit_holds(tmp_path: Path) -> None:
    kept = DiskCache(tmp_path / "k", 4000)
    first, second, *others = (keep(kept, bytes([n]) * 1000) for n in range(4))
    assert copied(kept, first, tmp_path) == bytes(1000)
    last = keep(kept, b"x" * 1000)
    assert copied(kept, second, tmp_path) is None
    assert all(copied(kept, name, tmp_path) for name in [first, *others, last])
    assert on_disk(tmp_path / "k") == 4000


def test_one_that_would_fill_a_quarter_by_itself_is_not_kept(tmp_path: Path) -> None:
    kept = DiskCache(tmp_path / "k", 4000)
    assert (kept.takes(1000), kept.takes(1001)) == (True, False)
    assert copied(kept, keep(kept, b"x" * 1001), tmp_path) is None
    assert on_disk(tmp_path / "k") == 0


def test_what_an_earlier_process_kept_is_used_and_what_it_left_half_done_goes(
    tmp_path: Path,
) -> None:
    kept = DiskCache(tmp_path / "k", 4000)
    old, new = keep(kept, b"old" * 300), keep(kept, b"new" * 300)
    os.utime(tmp_path / "k" / old.hex()[:2] / old.hex()[2:], (1, 1))
    kept.begin(object_id(b"half"), 4).write(b"ha")
    (tmp_path / "k" / "zz").mkdir()
    (tmp_path / "k" / "zz" / "note").write_text("none of ours")
    again = DiskCache(tmp_path / "k", 4000)
    assert copied(again, new, tmp_path) == b"new" * 300
    assert on_disk(tmp_path / "k") == 1800 + len("none of ours")
    smaller = DiskCache(tmp_path / "k", 1000)
    assert copied(smaller, old, tmp_path) is None
    assert copied(smaller, new, tmp_path) == b"new" * 300


def test_what_is_torn_or_gone_is_not_given_out(tmp_path: Path) -> None:
    kept = DiskCache(tmp_path / "k", 4000)
    for damage in (lambda p: p.write_bytes(b"x" * 900), lambda p: os.truncate(p, 5), Path.unlink):
        name = keep(kept, b"abc" * 300)
        damage(tmp_path / "k" / name.hex()[:2] / name.hex()[2:])
        assert copied(kept, name, tmp_path) is None
        assert copied(kept, name, tmp_path) is None
        assert on_disk(tmp_path / "k") == 0


def test_a_folder_that_cannot_be_used_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("a file")
    kept = DiskCache(tmp_path / "k", 4000)
    assert not kept.takes(1)
    assert copied(kept, keep(kept, b"abc"), tmp_path) is None
