"""What every object store keeps, and what the one on disk survives."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.object_servers import ObjectServer, remote

from vedette.model.errors import Corrupt, NoSpace, TooLarge, Unavailable
from vedette.model.ids import ObjectId, object_id
from vedette.objects.local import LocalObjects
from vedette.objects.memory import MemoryObjects
from vedette.objects.store import ObjectStore, Place

SIZES = [0, 1, 100, 1000, 1001, 5000]


def pieces(data: bytes, size: int = 300) -> Iterator[bytes]:
    yield from (data[i : i + size] for i in range(0, len(data), size))


class ObjectStoreTests:
    """The contract. A subclass provides the fixture `store`, with packs up to 1,000 bytes."""

    @pytest.mark.parametrize("size", SIZES)
    def test_staged_bytes_are_read_back_before_and_after_sync(
        self, store: ObjectStore, size: int
    ) -> None:
        data = os.urandom(size)
        place = store.stage(object_id(data), data)
        assert store.read(object_id(data), size, place) == data
        store.sync()
        assert store.read(object_id(data), size, place) == data

    @pytest.mark.parametrize("size", SIZES)
    def test_a_stream_gives_the_object_that_its_bytes_give(
        self, store: ObjectStore, size: int
    ) -> None:
        data = os.urandom(size)
        name, length, place = store.stage_stream(pieces(data), size)
        assert (name, length) == (object_id(data), size)
        store.sync()
        assert store.read(name, size, place) == data

    @pytest.mark.parametrize("size", [1, 1000, 5000])
    def test_a_stream_over_its_limit_is_refused(self, store: ObjectStore, size: int) -> None:
        with pytest.raises(TooLarge, match=f"more than {size - 1} bytes"):
            store.stage_stream(pieces(b"x" * size), size - 1)

    @pytest.mark.parametrize("size", [900, 5000])
    def test_a_part_is_read_without_the_rest(self, store: ObjectStore, size: int) -> None:
        data = os.urandom(size)
        name = object_id(data)
        place = store.stage(name, data)
        for offset, length in [(0, 10), (10, 20), (size - 5, 50), (size, 1), (7, None), (3, 0)]:
            end = None if length is None else offset + length
            assert store.read(name, size, place, offset, length) == data[offset:end]

    def test_equal_bytes_may_be_staged_again(self, store: ObjectStore) -> None:
        for size in (10, 5000):
            data = b"y" * size
            for place in [store.stage(object_id(data), data) for _ in range(3)]:
                store.sync()
                assert store.read(object_id(data), size, place) == data

    def test_an_object_that_was_never_staged_is_corrupt_not_empty(self, store: ObjectStore) -> None:
        with pytest.raises(Corrupt):
            store.read(object_id(b"never"), 5, Place())

    def test_threads_stage_and_sync_at_the_same_time(self, store: ObjectStore) -> None:
        kept: list[tuple[bytes, Place]] = []

        def work(seed: int) -> None:
            for n in range(40):
                data = bytes([seed, n]) * (5 + 97 * (n % 8))
                kept.append((data, store.stage(object_id(data), data)))
                if n % 5 == seed:
                    store.sync()

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        store.sync()
        assert len(kept) == 160
        for data, place in kept:
            assert store.read(object_id(data), len(data), place) == data

    def test_what_is_held_is_listed_and_an_old_file_can_be_removed(
        self, store: ObjectStore
    ) -> None:
        """K3: what was staged again meanwhile stays."""
        small, large = b"s" * 500, os.urandom(5000)
        places = {data: store.stage(object_id(data), data) for data in (small, large)}
        store.sync()
        assert all(store.holds(object_id(d), len(d), place) for d, place in places.items())
        assert not store.holds(object_id(large), 5001, places[large])
        assert not store.holds(object_id(b"never"), 5, Place())
        files = {held.id: held for held in store.held() if held.id is not None}
        packs = {held.pack: held for held in store.held() if held.pack is not None}
        assert files[object_id(large)].size == 5000
        where = places[small].pack
        assert where is None or packs[where].size >= 500
        assert not store.remove_file(object_id(large), files[object_id(large)].changed)
        assert store.read(object_id(large), 5000, places[large]) == large
        assert store.remove_file(object_id(b"never" * 1000), 0), "what is not there is gone"

    def test_after_a_seal_small_objects_go_to_another_pack_and_the_old_one_can_go(
        self, store: ObjectStore
    ) -> None:
        one, two = b"1" * 500, b"2" * 500
        first = store.stage(object_id(one), one)
        store.sync()
        store.seal()
        second = store.stage(object_id(two), two)
        store.sync()
        if first.pack is None:
            return  # a store without packs
        assert second.pack != first.pack
        assert store.read(object_id(one), 500, first) == one
        store.remove_pack(first.pack)
        store.remove_pack(first.pack)
        assert first.pack not in {held.pack for held in store.held()}
        with pytest.raises(Corrupt):
            store.read(object_id(one), 500, first)
        assert store.read(object_id(two), 500, second) == two


class TestMemoryObjects(ObjectStoreTests):
    @pytest.fixture
    def store(self) -> Iterator[ObjectStore]:
        made = MemoryObjects()
        yield made
        made.close()


class TestLocalObjects(ObjectStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ObjectStore]:
        made = LocalObjects(tmp_path, packed_limit=1000, pack_size=4000)
        yield made
        made.close()


class TestRemoteObjectsOnSeaweed(ObjectStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path, weed: ObjectServer) -> Iterator[ObjectStore]:
        made = remote(weed, weed.place(), tmp_path)
        yield made
        made.close()


class TestRemoteObjectsOnMoto(ObjectStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path, moto: ObjectServer) -> Iterator[ObjectStore]:
        made = remote(moto, moto.place(), tmp_path)
        yield made
        made.close()


class TestRemoteObjectsWithoutCache(ObjectStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path, weed: ObjectServer) -> Iterator[ObjectStore]:
        made = remote(weed, weed.place(), tmp_path, cache_size=0)
        yield made
        made.close()


def keep(store: LocalObjects, data: bytes) -> tuple[ObjectId, int, Place]:
    place = store.stage(object_id(data), data)
    store.sync()
    return object_id(data), len(data), place


def test_objects_outlive_the_store_that_wrote_them(tmp_path: Path) -> None:
    first = LocalObjects(tmp_path, packed_limit=1000, pack_size=4000)
    kept = [(d, *keep(first, d)) for d in (os.urandom(900) for _ in range(20))]
    kept += [(d, *keep(first, d)) for d in (os.urandom(3000) for _ in range(3))]
    first.close()
    again = LocalObjects(tmp_path, packed_limit=1000, pack_size=4000)
    for data, name, size, place in kept:
        assert again.read(name, size, place) == data
    again.close()


def test_each_start_opens_a_new_pack_and_packs_have_a_bounded_size(tmp_path: Path) -> None:
    packs = []
    for _ in range(3):
        store = LocalObjects(tmp_path, packed_limit=1000, pack_size=2000)
        packs += [keep(store, os.urandom(900))[2].pack for _ in range(3)]
        store.close()
    assert packs == [1, 1, 2, 3, 3, 4, 5, 5, 6]
    assert max(file.stat().st_size for file in (tmp_path / "packs").iterdir()) <= 2000


def test_a_file_goes_when_it_is_older_than_asked_and_an_upload_makes_it_young(
    tmp_path: Path,
) -> None:
    """K3: the race of a put that finds an object with the collector that takes it away."""
    store = LocalObjects(tmp_path, packed_limit=1000)
    data = os.urandom(5000)
    kept = keep(store, data)
    (held,) = store.held()
    later = held.changed + 1_000_000
    os.utime(store._target(kept[0]), ns=(0, 0))
    assert store.stage(kept[0], data) == kept[2]
    assert not store.remove_file(kept[0], held.changed), "it was staged again"
    os.utime(store._target(kept[0]), ns=(0, 0))
    assert store.remove_file(kept[0], later)
    assert list(store.held()) == []
    keep(store, data)
    assert store.read(*kept) == data
    store.close()


def test_a_torn_tail_of_a_pack_harms_nothing_that_was_synced(tmp_path: Path) -> None:
    """C1: the tail of a pack after a crash is half an object that no row names."""
    store = LocalObjects(tmp_path)
    name, size, place = keep(store, b"whole" * 1000)
    torn = store.stage(object_id(b"torn" * 1000), b"torn" * 1000)
    store.close()
    pack = tmp_path / "packs" / "00000001.pack"
    os.truncate(pack, pack.stat().st_size - 1234)
    store = LocalObjects(tmp_path)
    assert store.read(name, size, place) == b"whole" * 1000
    with pytest.raises(Corrupt, match="has lost bytes"):
        store.read(object_id(b"torn" * 1000), 4000, torn)
    assert keep(store, b"next" * 1000)[2] == Place(2, 0)
    store.close()


@pytest.mark.parametrize("size", [500, 5000])
def test_changed_bytes_are_noticed_when_the_whole_is_read(tmp_path: Path, size: int) -> None:
    store = LocalObjects(tmp_path, packed_limit=1000)
    name, _, place = keep(store, b"a" * size)
    (file,) = [f for f in tmp_path.rglob("*") if f.is_file()]
    file.write_bytes(b"a" * (size - 1) + b"b")
    with pytest.raises(Corrupt, match="other bytes"):
        store.read(name, size, place)
    assert store.read(name, size, place, length=10) == b"a" * 10
    store.close()


def test_an_upload_that_was_cut_off_leaves_nothing_after_a_restart(tmp_path: Path) -> None:
    store = LocalObjects(tmp_path, packed_limit=1000)

    def cut() -> Iterator[bytes]:
        yield b"x" * 5000
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        store.stage_stream(cut(), 10_000)
    (tmp_path / "objects" / "new" / "left-by-a-crash").write_bytes(b"half")
    store.close()
    LocalObjects(tmp_path).close()
    assert [f for f in tmp_path.rglob("*") if f.is_file()] == []


@pytest.mark.parametrize("size", [60_000, 200_000])
def test_a_full_disk_is_told_and_the_store_works_again_when_there_is_room(
    tmp_path: Path, size: int
) -> None:
    store = LocalObjects(tmp_path, packed_limit=100_000)
    kept = keep(store, b"before" * 1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        for _ in range(3):
            with pytest.raises(NoSpace, match="make room"):
                store.stage(object_id(b"x" * size), b"x" * size)
            with pytest.raises(NoSpace):
                store.stage_stream(pieces(b"x" * size, 10_000), size)
        small = keep(store, b"small")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.read(*small) == b"small"
    name, length, place = keep(store, b"x" * size)
    assert store.read(name, length, place) == b"x" * size
    assert store.read(*kept) == b"before" * 1000
    assert list((tmp_path / "objects" / "new").iterdir()) == []
    assert place.offset in (None, 6005), "failed uploads leave no holes in a pack"
    store.close()


def test_after_a_failed_fsync_nothing_is_called_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalObjects(tmp_path)
    store.stage(object_id(b"x"), b"x")

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", failing)
        with pytest.raises(Unavailable, match="Input/output error"):
            store.sync()
    with pytest.raises(Unavailable):
        store.sync()
    with pytest.raises(Unavailable):
        store.stage(object_id(b"y"), b"y")
    store.close()
