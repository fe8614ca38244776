"""What an object store in a bucket survives, and what it asks of the bucket (ENGINE C1)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.object_proxy import before
from tests.object_servers import ObjectServer, Weed, at, one_line, remote, running

from vedette.model.errors import Corrupt, NoSpace, Unavailable
from vedette.model.ids import object_id
from vedette.objects.bucket import SINGLE_LIMIT, Bucket, Taken
from vedette.objects.remote import RemoteObjects, pack_number
from vedette.objects.store import Held, Place


@pytest.fixture
def store(tmp_path: Path, weed: ObjectServer) -> Iterator[RemoteObjects]:
    made = remote(weed, weed.place(), tmp_path)
    yield made
    made.close()


def test_a_thousand_small_files_are_one_put(tmp_path: Path, weed: ObjectServer) -> None:
    store = RemoteObjects(Bucket(weed.place(), weed.environ), tmp_path)
    kept = [os.urandom(3000) for _ in range(1000)]
    places = [store.stage(object_id(data), data) for data in kept]
    assert list(store.held()) == []
    store.sync()
    assert [(held.pack is not None, held.size) for held in store.held()] == [(True, 3_000_000)]
    for data, place in zip(kept, places, strict=True):
        assert store.read(object_id(data), 3000, place) == data
    store.close()


def test_packs_of_two_servers_never_meet(tmp_path: Path, weed: ObjectServer) -> None:
    numbers = {pack_number() for _ in range(1000)}
    assert len(numbers) > 990 and max(numbers) < 2**63
    place = weed.place()
    one, two = remote(weed, place, tmp_path / "1"), remote(weed, place, tmp_path / "2")
    kept = []
    for n in range(8):
        data = bytes([n]) * 600
        kept.append((data, (one, two)[n % 2].stage(object_id(data), data)))
        one.sync()
        two.sync()
    for data, where in kept:
        assert (
            one.read(object_id(data), 600, where) == two.read(object_id(data), 600, where) == data
        )
    one.close()
    two.close()


def test_an_object_outlives_the_server_that_stored_it_and_its_cache(
    tmp_path: Path, weed: ObjectServer
) -> None:
    place = weed.place()
    store = remote(weed, place, tmp_path / "1")
    small, large = os.urandom(700), os.urandom(300_000)
    where = store.stage(object_id(small), small)
    assert store.stage(object_id(large), large) == Place()
    store.sync()
    store.close()
    again = remote(weed, place, tmp_path / "2")
    assert again.read(object_id(small), 700, where) == small
    assert again.read(object_id(large), 300_000, Place()) == large
    assert again.read(object_id(large), 300_000, Place(), 299_000, 5000) == large[299_000:]
    again.close()


def test_what_a_crash_left_on_its_way_is_gone_at_the_next_start(
    tmp_path: Path, weed: ObjectServer
) -> None:
    place = weed.place()
    left = remote(weed, place, tmp_path)
    where = left.stage(object_id(b"never synced"), b"never synced")
    assert len(list((tmp_path / "staging").iterdir())) == 1
    again = remote(weed, place, tmp_path)
    assert list((tmp_path / "staging").iterdir()) == []
    with pytest.raises(Corrupt, match="has lost bytes"):
        again.read(object_id(b"never synced"), 12, where)
    left.close()
    again.close()


def test_a_put_whose_answer_was_lost_is_not_taken_for_a_conflict(
    tmp_path: Path, weed: ObjectServer
) -> None:
    place = weed.place()
    with before(weed.endpoint) as proxy:
        store = RemoteObjects(at(proxy.endpoint, weed, place), tmp_path, packed_limit=1000)
        proxy.lose = 2
        where = store.stage(object_id(b"x" * 500), b"x" * 500)
        large = os.urandom(50_000)
        store.stage(object_id(large), large)
        store.sync()
        assert proxy.lost == 2
        assert sorted(held.size for held in store.held()) == [500, 50_000]
        assert store.read(object_id(b"x" * 500), 500, where) == b"x" * 500
        store.close()


def test_a_pack_that_is_taken_is_refused_and_not_overwritten(weed: ObjectServer) -> None:
    bucket = Bucket(weed.place(), weed.environ)
    bucket.create("packs/1", b"first")
    bucket.create("packs/1", b"first")
    with pytest.raises(Taken):
        bucket.create("packs/1", b"other")
    assert bucket.read("packs/1", 0, 100) == b"first"


def test_a_torn_upload_in_parts_leaves_nothing_and_is_tried_again(
    tmp_path: Path, weed: ObjectServer
) -> None:
    place, size = weed.place(), 2 * SINGLE_LIMIT + 12345
    data = os.urandom(1 << 20) * (size >> 20) + b"end" * 10
    with before(weed.endpoint) as proxy:
        store = RemoteObjects(at(proxy.endpoint, weed, place, patience=0.5), tmp_path)
        proxy.cut = SINGLE_LIMIT + 1_000_000
        name, length, where = store.stage_stream(iter([data]), len(data))
        with pytest.raises(Unavailable) as caught:
            store.sync()
        assert f"cannot write {place}/objects/" in one_line(caught.value)
        proxy.cut = None
        assert list(store.held()) == []
        assert store.read(name, length, where, 5, 10) == data[5:15], "it is still here"
        store.sync()
        store.close()
    again = RemoteObjects(Bucket(place, weed.environ), tmp_path / "2", cache_size=0)
    assert again.read(name, length, where) == data
    again.close()


def test_slow_answers_cost_time_only_and_none_at_all_is_told(
    tmp_path: Path, weed: ObjectServer
) -> None:
    place = weed.place()
    with before(weed.endpoint) as proxy:
        proxy.delay = 0.05
        bucket = at(proxy.endpoint, weed, place, patience=0.5, timeout=1.0)
        store = RemoteObjects(bucket, tmp_path, cache_size=0)
        where = store.stage(object_id(b"slow"), b"slow")
        store.sync()
        assert store.read(object_id(b"slow"), 4, where) == b"slow"
        proxy.delay = 30.0
        with pytest.raises(Unavailable) as caught:
            store.read(object_id(b"slow"), 4, where)
        assert "no answer: look at the object store" in one_line(caught.value)
        proxy.delay = 0.0
        proxy.drop()
        assert store.read(object_id(b"slow"), 4, where) == b"slow"
        store.close()


@pytest.mark.slow  # SeaweedFS may take 18 seconds to come back
def test_a_store_that_was_killed_gets_everything_when_it_is_back(tmp_path: Path) -> None:
    """C1: what was staged waits here, and the sync that succeeds has all of it."""
    with running(Weed) as server:
        bucket = Bucket(server.place(), server.environ, patience=0.5)
        store = RemoteObjects(bucket, tmp_path, packed_limit=1000, cache_size=0)
        first = store.stage(object_id(b"first"), b"first")
        store.sync()
        server.kill()
        second = store.stage(object_id(b"second"), b"second")
        large = os.urandom(5000)
        store.stage(object_id(large), large)
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                store.sync()
            assert "no answer" in one_line(caught.value)
        assert store.read(object_id(b"second"), 6, second) == b"second"
        with pytest.raises(Unavailable):
            store.read(object_id(b"first"), 5, first)
        server.again()
        store.sync()
        assert store.read(object_id(b"first"), 5, first) == b"first"
        assert sorted(held.size for held in store.held()) == [5, 6, 5000]
        store.close()


def test_only_so_much_waits_for_a_store_that_is_away(tmp_path: Path, weed: ObjectServer) -> None:
    bucket = at("http://127.0.0.1:9", weed, weed.place(), patience=0.0)
    store = RemoteObjects(bucket, tmp_path, staged_limit=10_000)
    for n in range(10):
        store.stage(object_id(bytes([n]) * 1000), bytes([n]) * 1000)
    with pytest.raises(Unavailable) as caught:
        store.stage(object_id(b"more"), b"more")
    assert "10000 bytes wait for s3://" in one_line(caught.value)
    store.close()


def test_a_full_staging_disk_is_told_and_the_store_works_again_when_there_is_room(
    tmp_path: Path, weed: ObjectServer
) -> None:
    import resource

    store = RemoteObjects(Bucket(weed.place(), weed.environ), tmp_path, packed_limit=100_000)
    kept = store.stage(object_id(b"before"), b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        for size in (60_000, 200_000):
            with pytest.raises(NoSpace, match="make room"):
                store.stage(object_id(b"x" * size), b"x" * size)
            with pytest.raises(NoSpace):
                store.stage_stream(iter([b"x" * size]), size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    after = store.stage(object_id(b"after" * 9000), b"after" * 9000)
    store.sync()
    assert store.read(object_id(b"before"), 6, kept) == b"before"
    assert store.read(object_id(b"after" * 9000), 45_000, after) == b"after" * 9000
    assert list((tmp_path / "staging").iterdir()) == []
    store.close()


def test_bytes_that_the_bucket_changed_are_noticed(tmp_path: Path, weed: ObjectServer) -> None:
    place = weed.place()
    store = remote(weed, place, tmp_path, cache_size=0)
    data = b"a" * 5000
    store.stage(object_id(data), data)
    store.sync()
    (held,) = store.held()
    assert held.id == object_id(data)
    changed = tmp_path / "changed"
    changed.write_bytes(b"b" * 5000)
    name = object_id(data).hex()
    Bucket(place, weed.environ).put(f"objects/{name[:2]}/{name[2:]}", changed, 5000)
    with pytest.raises(Corrupt, match="other bytes"):
        store.read(object_id(data), 5000, Place())
    store.close()


def test_an_upload_waits_for_the_removal_of_the_same_bytes(
    tmp_path: Path, weed: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K3: an object that is staged again while it is collected is there afterwards."""
    place, data = weed.place(), os.urandom(5000)
    first = remote(weed, place, tmp_path / "1")
    first.stage(object_id(data), data)
    first.sync()
    first.close()
    monkeypatch.setattr("vedette.objects.remote.FRESH_SECONDS", -10.0)
    store = remote(weed, place, tmp_path / "2", cache_size=0)
    inside, go = threading.Event(), threading.Event()
    remove = Bucket.remove

    def slowly(bucket: Bucket, key: str) -> None:
        inside.set()
        assert go.wait(60)
        remove(bucket, key)

    monkeypatch.setattr(Bucket, "remove", slowly)
    removed: list[bool] = []
    later = int((time.time() + 60) * 1e6)
    collector = threading.Thread(
        target=lambda: removed.append(store.remove_file(object_id(data), later))
    )
    collector.start()
    assert inside.wait(60)
    store.stage(object_id(data), data)
    go.set()
    store.sync()
    collector.join()
    assert removed == [True] and store.read(object_id(data), 5000, Place()) == data
    store.close()


def test_a_worker_gets_and_puts_objects_by_itself(store: RemoteObjects) -> None:
    small, large = b"small" * 20, os.urandom(5000)
    places = [(data, store.stage(object_id(data), data)) for data in (b"first" * 9, small, large)]
    assert all(store.link(object_id(data), len(data), where) is None for data, where in places[:2])
    store.sync()
    for data, where in places:
        link = store.link(object_id(data), len(data), where)
        assert link is not None
        span = {"Range": f"bytes={link.offset}-{link.offset + link.length - 1}"}
        assert httpx2.get(link.url, headers=span, trust_env=False).content == data
    made = os.urandom(7000)
    address = store.accept(object_id(made), 7000)
    assert address is not None and not store.arrived(object_id(made), 7000)
    httpx2.put(address, content=made[:-1] + b"?", trust_env=False).raise_for_status()
    assert not store.arrived(object_id(made), 7000), "other bytes of the same size"
    httpx2.put(address, content=made, trust_env=False).raise_for_status()
    assert store.arrived(object_id(made), 7000)
    assert store.read(object_id(made), 7000, Place()) == made
    assert store.accept(object_id(made), 6 * 1024**3) is None


def test_held_says_what_and_when_and_passes_over_what_is_not_ours(
    tmp_path: Path, store: RemoteObjects, weed: ObjectServer
) -> None:
    data = b"h" * 3000
    store.stage(object_id(data), data)
    store.sync()
    other = Bucket(str(store.bucket), weed.environ)
    other.create("packs/README", b"somebody wrote this")
    other.create("objects/ab/cd", b"and this")
    (held,) = store.held()
    assert held == Held(id=object_id(data), size=3000, changed=held.changed)
    assert held.changed > 1_700_000_000_000_000


def test_a_large_object_is_sent_before_its_stage_ends_and_none_waits_without_bound(
    tmp_path: Path, weed: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sync` holds a transaction open: what takes long is over by then."""
    monkeypatch.setattr("vedette.objects.remote.WAITING_SIZE", 20_000)
    monkeypatch.setattr("vedette.objects.remote.WAITING_LIMIT", 50_000)
    store = RemoteObjects(Bucket(weed.place(), weed.environ), tmp_path, packed_limit=1000)
    large = os.urandom(30_000)
    store.stage(object_id(large), large)
    assert [held.id for held in store.held()] == [object_id(large)]
    store.close()
    away = at("http://127.0.0.1:9", weed, weed.place(), patience=0.0)
    store = RemoteObjects(away, tmp_path, packed_limit=1000)
    refused = 0
    for n in range(20):
        data = bytes([n]) * 10_000
        try:
            store.stage(object_id(data), data)
        except Unavailable:
            refused += 1
    assert refused == 15
    assert sum(file.stat().st_size for file in (tmp_path / "staging").iterdir()) == 50_000
    store.close()


@pytest.mark.slow
def test_a_gigabyte_goes_in_and_out_in_bounded_memory(tmp_path: Path, weed: ObjectServer) -> None:
    script = """
import resource, sys
from pathlib import Path
from vedette.objects.bucket import Bucket
from vedette.objects.remote import RemoteObjects
store = RemoteObjects(Bucket(sys.argv[1]), Path(sys.argv[2]), cache_size=64 << 20)
piece = bytes(range(256)) * 4096
name, size, place = store.stage_stream((piece for _ in range(1024)), 1 << 30)
store.sync()
assert size == 1 << 30
for first in range(0, size, 1 << 20):
    assert store.read(name, size, place, first, 1 << 20) == piece
store.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, weed.place(), str(tmp_path)],
        env={**os.environ, **weed.environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300_000, "kilobytes"
