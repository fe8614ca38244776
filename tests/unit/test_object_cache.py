"""The cache of remote bytes: bounded, compared with its hashes, and never needed."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import pytest

from vedette.objects.cache import BLOCK, GROUP, Cache

LIMIT = 16 * BLOCK


class Far:
    """Where bytes come from: keys with random bytes; every fetch is noted."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.fetched: list[tuple[str, int, int]] = []

    def add(self, key: str, size: int) -> bytes:
        self.keys[key] = os.urandom(size)
        return self.keys[key]

    def fetch(self, key: str, first: int, end: int) -> bytes:
        self.fetched.append((key, first, end))
        return self.keys[key][first:end]


@pytest.fixture
def far() -> Far:
    return Far()


def files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file())


def room(folder: Path) -> int:
    return sum(each.stat().st_size for each in files(folder))


def test_every_part_of_a_key_is_what_was_put_there(tmp_path: Path, far: Far) -> None:
    size = 11 * BLOCK + 777
    data = far.add("packs/1", size)
    cache = Cache(tmp_path, LIMIT, far.fetch)
    cuts = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 7 * BLOCK + 5, 8 * BLOCK, 10 * BLOCK, size - 1, size]
    for again in range(2):
        for first in cuts:
            for end in cuts:
                found = cache.read("packs/1", first, end - first)
                assert found == (data[first:end] if end > first else b""), (again, first, end)
    assert cache.read("packs/1", size - 5, 50, size) == data[-5:]


def test_what_lies_close_together_comes_in_one_request(tmp_path: Path, far: Far) -> None:
    data = far.add("packs/1", 3 * BLOCK)
    cache = Cache(tmp_path, LIMIT, far.fetch)
    for n in range(20):
        assert cache.read("packs/1", n * 20_000, 20_000) == data[n * 20_000 :][:20_000]
    assert len(far.fetched) == 1


def test_what_is_read_in_order_is_fetched_in_large_pieces(tmp_path: Path, far: Far) -> None:
    data = far.add("objects/a", 4 * GROUP * BLOCK)
    cache = Cache(tmp_path, 5 * GROUP * BLOCK, far.fetch)
    step = 100_000
    read = [cache.read("objects/a", at, step, len(data)) for at in range(0, len(data), step)]
    assert b"".join(read) == data
    assert len(far.fetched) <= 2 * 4, "two a group: its first block, then the rest"


def test_of_many_who_miss_the_same_bytes_one_fetches(tmp_path: Path, far: Far) -> None:
    data = far.add("packs/1", BLOCK)
    inside, go = threading.Event(), threading.Event()

    def slow(key: str, first: int, end: int) -> bytes:
        inside.set()
        assert go.wait(60)
        return far.fetch(key, first, end)

    cache = Cache(tmp_path, LIMIT, slow)
    found: list[bytes] = []

    def read() -> None:
        found.append(cache.read("packs/1", 10, 1000))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert inside.wait(60)
    go.set()
    for thread in threads:
        thread.join()
    assert found == [data[10:1010]] * 8 and len(far.fetched) == 1


def test_it_never_takes_more_than_its_limit_and_keeps_what_was_used_last(
    tmp_path: Path, far: Far
) -> None:
    cache = Cache(tmp_path, 5 * BLOCK, far.fetch)
    kept = {f"objects/{n}": far.add(f"objects/{n}", BLOCK - 100) for n in range(12)}
    for key, data in kept.items():
        assert cache.read(key, 0, len(data)) == data
        assert cache.read("objects/0", 0, 10) == kept["objects/0"][:10]
        assert room(tmp_path) <= 5 * BLOCK
    assert len(files(tmp_path)) == 5
    assert [key for key, _, _ in far.fetched].count("objects/0") == 1


@pytest.mark.parametrize("harm", ["torn", "changed", "emptied", "gone"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_damaged_block_is_fetched_again(
    tmp_path: Path, far: Far, harm: str, restart: bool
) -> None:
    """C1: nothing here is synced, so a crash may leave any of these."""
    data = far.add("objects/a", BLOCK + 500)
    cache = Cache(tmp_path, LIMIT, far.fetch)
    assert cache.read("objects/a", 0, len(data)) == data
    for file in files(tmp_path):
        if harm == "gone":
            file.unlink()
        elif harm == "changed":
            held = bytearray(file.read_bytes())
            held[40] ^= 1
            file.write_bytes(held)
        else:
            os.truncate(file, 0 if harm == "emptied" else file.stat().st_size // 2)
    if restart:
        cache = Cache(tmp_path, LIMIT, far.fetch)
    assert cache.read("objects/a", 30, len(data) - 30) == data[30:]
    fetches = len(far.fetched)
    assert cache.read("objects/a", 0, len(data)) == data
    assert len(far.fetched) == fetches, "and kept again"


def test_it_outlives_its_process_with_the_order_of_use(tmp_path: Path, far: Far) -> None:
    kept = {f"objects/{n}": far.add(f"objects/{n}", BLOCK - 100) for n in range(4)}
    cache = Cache(tmp_path, 4 * BLOCK, far.fetch)
    for n, (key, data) in enumerate(kept.items()):
        cache.read(key, 0, len(data))
        for file in files(tmp_path):
            if key.replace("/", "-") in file.name:
                os.utime(file, (n, n))
    (tmp_path / "aa").mkdir(exist_ok=True)
    (tmp_path / "aa" / "left.0.new1").write_bytes(b"half")
    far.fetched.clear()
    again = Cache(tmp_path, 2 * BLOCK, far.fetch)
    assert room(tmp_path) <= 2 * BLOCK and len(files(tmp_path)) == 2
    for key in ("objects/2", "objects/3"):
        assert again.read(key, 5, 50) == kept[key][5:55]
    assert far.fetched == []


def test_a_full_disk_costs_requests_and_nothing_else(tmp_path: Path, far: Far) -> None:
    data = far.add("packs/1", BLOCK)
    cache = Cache(tmp_path, LIMIT, far.fetch)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        for _ in range(3):
            assert cache.read("packs/1", 0, BLOCK) == data
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == [] and len(far.fetched) == 3
    assert cache.read("packs/1", 0, BLOCK) == data
    assert cache.read("packs/1", 0, BLOCK) == data
    assert len(far.fetched) == 4


def test_a_folder_that_cannot_be_used_is_done_without(tmp_path: Path, far: Far) -> None:
    data = far.add("packs/1", 100)
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file", LIMIT, far.fetch)
    assert cache.read("packs/1", 0, 100) == data


def test_a_file_that_was_sent_is_kept_if_it_is_not_too_large(tmp_path: Path, far: Far) -> None:
    small, large = far.add("packs/1", BLOCK + 9), far.add("objects/l", LIMIT // 4 + 1)
    cache = Cache(tmp_path / "cache", LIMIT, far.fetch)
    for key, data in (("packs/1", small), ("objects/l", large)):
        (tmp_path / "sent").write_bytes(data)
        cache.keep(key, tmp_path / "sent")
        assert cache.read(key, 0, len(data)) == data
    assert {key for key, _, _ in far.fetched} == {"objects/l"}


def test_bytes_that_are_forgotten_are_fetched_again(tmp_path: Path, far: Far) -> None:
    far.add("packs/1", 2 * BLOCK)
    cache = Cache(tmp_path, LIMIT, far.fetch)
    cache.read("packs/1", 0, 2 * BLOCK)
    cache.drop("packs/1", BLOCK + 5, 10)
    changed = far.add("packs/1", 2 * BLOCK)
    assert cache.read("packs/1", BLOCK, 10) == changed[BLOCK:][:10]


def test_threads_read_and_evict_at_the_same_time(tmp_path: Path, far: Far) -> None:
    kept = {f"objects/{n}": far.add(f"objects/{n}", BLOCK // 2) for n in range(20)}
    cache = Cache(tmp_path, 4 * BLOCK, far.fetch)
    wrong: list[str] = []

    def read(seed: int) -> None:
        for n in range(100):
            key = f"objects/{(seed * 7 + n * n) % 20}"
            if cache.read(key, n, 1000) != kept[key][n : n + 1000]:
                wrong.append(key)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and room(tmp_path) <= 4 * BLOCK
    assert not [each for each in files(tmp_path) if ".new" in each.name]
