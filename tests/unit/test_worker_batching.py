"""One process that serves many datums: `next datum` (ENGINE R8)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_bench import Bench, Inputs, bench_in, outputs, texts
from tests.processes import below, keepers, kill, words

from vedette.model.inputs import Pfs
from vedette.model.work import Result
from vedette.worker.batch_slot import AHEAD_BYTES

ASK = "pachctl next datum"
COPY = """
echo $$ >/tmp/started
while pachctl next datum; do
  . /pfs/.env
  cat $images >/pfs/out/copy
  echo "pid=$$ $PACH_DATUM_ID $(find /pfs -type f | sort | tr '\\n' ' ')"
done
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from bench_in(tmp_path)


def given(*names: str) -> list[Inputs]:
    return [{"images": (f"/{name}", {f"/{name}": name.encode()})} for name in names]


def run(bench: Bench, script: str, *names: str, **fields: object) -> list[Result]:
    fields.setdefault("datum_tries", 1)
    code = bench.code("/bin/sh", "-c", script, datum_batching=True, **fields)
    return bench.run(code, *given(*names))


def pid_of(result: Result) -> str:
    return next(text.split()[0] for text in texts(result, "stdout") if text.startswith("pid="))


def test_one_process_serves_many_datums_each_with_its_own_files(bench: Bench) -> None:
    """R8: and R1 for each of them: files, variables, log."""
    results = run(bench, COPY, "a", "b", "c")
    assert [outputs(result, bench) for result in results] == [
        {"/copy": b"a"}, {"/copy": b"b"}, {"/copy": b"c"}
    ]  # fmt: skip
    assert len({pid_of(result) for result in results}) == 1
    for result, name in zip(results, "abc", strict=True):
        assert texts(result, "stdout")[0].endswith(f"/pfs/.env /pfs/images/{name} /pfs/out/copy ")


def test_the_process_waits_for_datums_that_come_later(bench: Bench) -> None:
    """R8: and `vedette next datum` says the same, as does 1.x's spelling."""
    script = COPY.replace("pachctl next datum", "vedette next-datum")
    code = bench.code("/bin/sh", "-c", script, datum_batching=True)
    (first,) = bench.run(code, *given("a"))
    (second,) = bench.run(code, *given("b"))
    assert pid_of(first) == pid_of(second)


def test_an_error_fails_the_datum_and_not_the_process(bench: Bench) -> None:
    """R8, R3: the datum has its tries, and the others are served by the same process."""
    script = """
    said=
    while pachctl next datum --error "$said"; do
      . /pfs/.env; cat $images; echo; echo x >/pfs/out/left; echo pid=$$
      said=; grep -q bad $images && said="no
      *good*"
    done
    """
    first, second = run(bench, script, "bad", "fine", datum_tries=2)
    assert (first.state, first.tries) == ("failed", 2)
    assert first.reason == "the command said: no *good*"
    assert [entry.attempt for entry in first.logs if entry.text == "bad"] == [1, 2]
    assert outputs(second, bench) == {"/left": b"x\n"}
    assert pid_of(first) == pid_of(second)


def test_a_process_that_dies_fails_the_try_of_its_datum_only(bench: Bench) -> None:
    """R8, C2: the next try and the next datum have another process."""
    script = """
    while pachctl next datum; do
      . /pfs/.env; echo pid=$$; grep -q bad $images && kill -9 $$; echo 1 >/pfs/out/x
    done
    """
    first, second, third = run(bench, script, "a", "bad", "c", datum_tries=2)
    assert [result.state for result in (first, second, third)] == ["success", "failed", "success"]
    assert (second.tries, second.reason) == (2, "the command was killed by signal 9")
    pids = {text for result in (first, second, third) for text in texts(result, "stdout")}
    assert len(pids) <= 3


def test_a_process_killed_while_it_waits_costs_no_try(bench: Bench) -> None:
    """C2: only a death during a datum counts."""
    code = bench.code("/bin/sh", "-c", COPY, datum_batching=True, datum_tries=1)
    bench.run(code, *given("a"))
    shells = [pid for pid in below(os.getpid()) if words(pid)[:2] == [b"/bin/sh", b"-c"]]
    assert shells
    kill(shells)
    (second,) = bench.run(code, *given("b"))
    assert (second.state, second.tries) == ("success", 1), second.reason


def test_a_root_killed_while_its_process_waits_costs_no_try(bench: Bench) -> None:
    """C2: what was not begun is given to another process."""
    code = bench.code("/bin/sh", "-c", COPY, datum_batching=True, datum_tries=1)
    (first,) = bench.run(code, *given("a"))
    kill(keepers())
    (second,) = bench.run(code, *given("b"))
    assert (second.state, second.tries) == ("success", 1), second.reason
    assert pid_of(first) and outputs(second, bench) == {"/copy": b"b"}


def test_a_process_that_asks_and_dies_has_used_a_try(bench: Bench) -> None:
    """C2: it is not started again for ever."""
    (result,) = run(bench, "echo next >/run/vedette/next/ask; kill -9 $$", "a", datum_tries=2)
    assert (result.state, result.tries) == ("failed", 2)
    assert "ended between asking" in result.reason or "signal 9" in result.reason


@pytest.mark.parametrize("size", [3, AHEAD_BYTES + 1])
def test_the_next_datum_is_made_ready_out_of_sight(bench: Bench, tmp_path: Path, size: int) -> None:
    """R8, R1: if it is small; no process of the one before sees it."""
    script = """
    while pachctl next datum; do
      . /pfs/.env
      until [ -e /pfs/go ]; do sleep 0.01; done
      echo $(find /pfs -type f | sort)
    done
    """
    code = bench.code("/bin/sh", "-c", script, datum_batching=True, datum_tries=1)
    second = {"images": ("/b", {"/b": b"x" * size})}
    bench.source.submit(*(bench.source.task(code, each) for each in (*given("a"), second)))
    appear(tmp_path, "pfs/images/a")
    if size <= AHEAD_BYTES:
        appear(tmp_path, "next/images/b")
    appear(tmp_path, "pfs").joinpath("go").touch()
    (first,) = bench.source.wait(1)
    appear(tmp_path, "pfs/images/b").parent.parent.joinpath("go").touch()
    results = bench.source.wait(2)
    assert results[0] == first
    assert [texts(result, "stdout") for result in results] == [
        [f"/pfs/.env /pfs/go /pfs/images/{name}"] for name in "ab"
    ]


def appear(scratch: Path, path: str) -> Path:
    """A file of the worker's folder, once it is there."""
    deadline = time.monotonic() + 20
    while not (found := list(scratch.glob(f"scratch/*/{path}"))):
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.002)
    return found[0]


def test_datums_of_two_versions_follow_one_another(bench: Bench) -> None:
    """R8: nothing is made ready for the wrong process."""
    codes = [
        bench.code("/bin/sh", "-c", f"while {ASK}; do echo {word} >/pfs/out/x; done",
                   datum_batching=True)
        for word in ("old", "new")
    ]  # fmt: skip
    each = zip((codes[0], codes[0], codes[1], codes[0]), given(*"abcd"), strict=True)
    bench.source.submit(*(bench.source.task(code, inputs) for code, inputs in each))
    found = [outputs(result, bench)["/x"] for result in bench.source.wait(4)]
    assert found == [b"old\n", b"old\n", b"new\n", b"old\n"]


def test_lazy_files_of_a_batch_are_fetched_when_opened(bench: Bench) -> None:
    """R8: those of the datum that lies ready too, and no other."""
    leaf = Pfs(name="images", repo="images", glob="/*", lazy=True)
    script = f"while {ASK}; do . /pfs/.env; ls -p /pfs/images | cat; cat $images/b; echo; done"
    code = bench.code("/bin/sh", "-c", script, datum_batching=True, input=leaf)
    each: list[Inputs] = [
        {"images": (f"/{d}", {f"/{d}/a": b"never", f"/{d}/b": d.encode()})} for d in ("x", "y")
    ]
    results = bench.run(code, *each)
    assert [texts(result, "stdout") for result in results] == [["x/", "x"], ["y/", "y"]]
    assert [result.download for result in results] == [1, 1]


@pytest.mark.parametrize("batching", [False, True])
def test_who_is_told_too_late_to_stop_does_not_stop_what_comes_next(
    bench: Bench, batching: bool
) -> None:
    """C2: a datum may end while its lease is taken away."""
    code = bench.code(
        "sh", "-c", f"while {ASK}; do echo a; done" if batching else "echo a",
        datum_batching=batching,
    )  # fmt: skip
    bench.run(code, *given("a"))
    (worker,) = bench.agent._workers
    assert worker._slot is not None
    worker._slot.abandon()
    (result,) = bench.run(code, *given("b"))
    assert texts(result, "stdout") == ["a"]


def test_exit_zero_in_a_datum_ends_it_well(bench: Bench) -> None:
    script = f"{ASK}; . /pfs/.env; cp $images /pfs/out/x; echo pid=$$"
    first, second = run(bench, script, "a", "b")
    assert [outputs(r, bench) for r in (first, second)] == [{"/x": b"a"}, {"/x": b"b"}]


@pytest.mark.parametrize(("script", "why"), [
    ("exit 3", "exit code 3 without having called `next datum`"),
    ("true", "exit code 0 without having called `next datum`"),
    ("pachctl list repo; exit 4", "exit code 4 without"),
    ("pachctl next datum; exit 5", "the command ended with exit code 5"),
])  # fmt: skip
def test_a_command_that_ends_early_says_so(bench: Bench, script: str, why: str) -> None:
    (result,) = run(bench, script, "a", datum_tries=2)
    assert (result.state, result.tries) == ("failed", 2)
    assert why in result.reason


def test_a_batched_datum_over_its_time_is_killed(bench: Bench) -> None:
    """R5."""
    script = f"while {ASK}; do . /pfs/.env; grep -q slow $images && sleep 100; done"
    names = ("slow", "quick", "slow", "last")
    results = run(bench, script, *names, datum_timeout=0.7)
    assert [result.state for result in results] == ["failed", "success", "failed", "success"]
    assert all("datum_timeout of 0.7 s" in results[number].reason for number in (0, 2))


def test_err_cmd_recovers_a_batched_datum(bench: Bench) -> None:
    """R3: it sees the same files, in a process of its own."""
    script = f'{ASK}; while {ASK} --error "always"; do :; done'
    (result,) = run(bench, script, "a", err_cmd=("sh", "-c", "cat $images"))
    assert result.state == "recovered"
    assert "a" in texts(result, "stdout")


def test_links_to_inputs_are_stored_by_reference_in_a_batch(bench: Bench) -> None:
    """R4."""
    script = (
        f"while {ASK}; do . /pfs/.env; ln -s $images /pfs/out/x; ln -s ../images /pfs/out/d; done"
    )
    (result,) = run(bench, script, "a")
    assert outputs(result, bench) == {"/x": b"a", "/d/a": b"a"}
    assert result.upload == 0


def test_a_process_left_behind_cannot_lead_the_worker_astray(bench: Bench, tmp_path: Path) -> None:
    """R6: a batch lives while its files are read; folders swapped for links are not followed."""
    target = tmp_path / "host"
    target.mkdir()
    (target / "secret").write_text("host")
    script = f"""
    {ASK}
    mkdir -p /pfs/out/d
    (while :; do rm -rf /pfs/out/d; ln -s {target} /pfs/out/d; rm -f /pfs/out/d
                 mkdir -p /pfs/out/d; echo own >/pfs/out/d/secret; done) 2>/dev/null &
    while {ASK}; do :; done
    """
    results = run(bench, script, *(f"n{number}" for number in range(40)))
    for result in results:
        for output in result.outputs:
            assert output.data in (b"own\n", b"")
        assert result.state in ("success", "failed")
    assert list(target.iterdir()) == [target / "secret"]
