"""One process that serves many datums: `next datum` (ENGINE R8)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_bench import Bench, Inputs, bench_in, outputs, texts
from tests.processes import below, kill, words

from vedette.model.work import Result

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
    slow, quick = run(bench, script, "slow", "quick", datum_timeout=0.7)
    assert (slow.state, quick.state) == ("failed", "success")
    assert "datum_timeout of 0.7 s" in slow.reason


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
