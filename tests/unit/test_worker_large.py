"""Large logs and datums of many files, in bounded memory (ENGINE R7)."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_bench import Bench, Inputs, bench_in, outputs

from vedette.stage.output import MAX_BYTES, MAX_LINES


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from bench_in(tmp_path)


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def flood(bench: Bench, count: int) -> None:
    before = peak()
    result = bench.sh(f"yes {'x' * 99} | head -c {count}; echo done >/pfs/out/x")
    assert outputs(result, bench) == {"/x": b"done\n"}
    assert len(result.logs) <= MAX_LINES + 1
    assert sum(len(entry.text) + 1 for entry in result.logs) <= MAX_BYTES + 200
    assert "log cut" in result.logs[-1].text
    assert peak() - before < 64 << 20


def test_r7_a_log_of_100_mb_is_cut_and_the_command_goes_on(bench: Bench) -> None:
    flood(bench, 100 << 20)


@pytest.mark.slow
def test_r7_a_log_of_1_gb_is_cut_and_the_command_goes_on(bench: Bench) -> None:
    flood(bench, 1 << 30)


def many(bench: Bench, count: int) -> None:
    inputs: Inputs = {"images": ("/", {f"/{n // 1000:03}/{n:06}": b"%d" % n for n in range(count)})}
    before = peak()
    script = (
        "find /pfs/images -type f | wc -l; cp -r /pfs/images /pfs/out/copied; "
        "ln -s /pfs/images /pfs/out/linked"
    )
    task = bench.source.task(bench.code("/bin/sh", "-c", script), inputs)
    bench.source.submit(task)
    (result,) = bench.source.wait(1, seconds=600)
    assert [entry.text for entry in result.logs] == [str(count)]
    found = outputs(result, bench)
    assert len(found) == 2 * count
    assert found[f"/copied/000/{7:06}"] == found[f"/linked/000/{7:06}"] == b"7"
    assert peak() - before < 4096 * count + (32 << 20)


def test_a_datum_of_2_000_files_in_and_4_000_out(bench: Bench) -> None:
    many(bench, 2_000)


@pytest.mark.slow
def test_a_datum_of_100_000_files_in_and_200_000_out(bench: Bench) -> None:
    """Memory is a few kilobytes a file: names and results, never the bytes of all."""
    many(bench, 100_000)
