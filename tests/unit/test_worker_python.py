"""Python stages in real stage processes, without a server (DESIGN 3.6, ENGINE R3 to R7, C2, C3)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_source import FakeSource, spec
from tests.processes import below, keepers, kill

from vedette.model.inputs import Pfs
from vedette.model.pipeline import Limits
from vedette.model.runtime import Runtime
from vedette.model.work import Pool, Result
from vedette.worker.python_agent import PythonAgent
from vedette.worker.settings import Settings

POOL = Pool(key="python:test", kind="python", slots=2)


class Bench:
    """A pool and a source; `run` sends one task through."""

    def __init__(self, source: FakeSource, agent: PythonAgent) -> None:
        self.source = source
        self.agent = agent

    def code(self, function: str, *args: str, **fields: object) -> str:
        target = f"stages_for_tests:{function}"
        made = spec(function.replace("_", "-"), "python", "-m", "vedette.stage", target, *args,
                    **fields)  # fmt: skip
        return self.source.add_code(made, POOL.key)

    def run(self, code: str, *contents: bytes) -> list[Result]:
        tasks = [
            self.source.task(code, {"images": (f"/{n}.jpg", {f"/{n}.jpg": data})})
            for n, data in enumerate(contents)
        ]
        before = len(self.source.results)
        self.source.submit(*tasks)
        return self.source.wait(before + len(tasks))[before:]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    source = FakeSource()
    settings = Settings(
        scratch=tmp_path / "scratch", runtime_of=lambda _: Runtime(runtime="python"),
        hidden=(str(tmp_path),), idle=0.2, heartbeat=0.3,
    )  # fmt: skip
    agent = PythonAgent(POOL, source, source.code, settings)
    agent.want(1)
    yield Bench(source, agent)
    agent.stop()
    assert set(source.registered) == set(source.released)
    assert not list((tmp_path / "scratch").iterdir())


def texts(result: Result) -> list[str]:
    return [entry.text for entry in result.logs]


def test_outputs_come_back_with_the_log(bench: Bench) -> None:
    """R7: what a stage prints is the datum's log."""
    (result,) = bench.run(bench.code("upper", "!"), b"abc")
    assert result.state == "success"
    assert [(o.path, o.data, o.size) for o in result.outputs] == [("/upper/0.jpg", b"ABC!", 4)]
    assert [(e.stream, e.attempt, e.text) for e in result.logs] == [
        ("stdout", 1, "looked at /0.jpg")
    ]
    assert result.tries == 1
    assert result.seconds > 0


def test_a_large_input_is_fetched_and_a_large_output_is_put(bench: Bench) -> None:
    data = b"x" * 1_000_000
    (result,) = bench.run(bench.code("upper"), data)
    (output,) = result.outputs
    assert output.data is None
    assert bench.source.objects[output.object] == data.upper()
    assert result.upload == result.download == 1_000_000


def test_what_is_too_large_for_a_frame_fails_with_the_way_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vedette.stage.frames.MAX_BYTES", 500_000)
    (result,) = bench.run(bench.code("upper", datum_tries=1), b"x" * 500_001)
    assert result.state == "failed"
    assert "an input file has 500,001 bytes, at most 500,000 in a Python stage" in result.reason


def test_a_link_passes_the_object_on(bench: Bench) -> None:
    """P10: no bytes move."""
    (result,) = bench.run(bench.code("link"), b"abc")
    (output,) = result.outputs
    assert output.data is None
    assert bench.source.objects[output.object] == b"abc"
    assert result.upload == 0


def test_a_link_to_what_is_no_input_fails(bench: Bench) -> None:
    """R6: a stage can't name objects that are not its own."""
    (result,) = bench.run(bench.code("pretend"), b"abc")
    assert result.state == "failed"
    assert "no input of this datum" in result.reason


def test_a_failing_stage_is_tried_again_and_every_try_is_logged(bench: Bench) -> None:
    """R3: up to `datum_tries` runs."""
    (result,) = bench.run(bench.code("fail_twice"), b"")
    assert result.state == "success"
    assert result.tries == 3
    assert [e.attempt for e in result.logs if e.text.startswith("attempt")] == [1, 2, 3]


def test_tries_end_with_the_reason(bench: Bench) -> None:
    (result,) = bench.run(bench.code("fail_twice", datum_tries=2), b"")
    assert (result.state, result.tries) == ("failed", 2)
    assert result.reason == "ValueError: no luck at attempt 2"
    assert any("Traceback" in text for text in texts(result))


def test_one_path_written_twice_by_a_datum_fails(bench: Bench) -> None:
    (result,) = bench.run(bench.code("twice", datum_tries=1), b"")
    assert (result.state, result.outputs) == ("failed", ())
    assert "/a was written twice" in result.reason


def test_a_stage_that_dies_uses_up_tries_and_others_live(bench: Bench) -> None:
    """C2: the datum that ran loses a try, those that waited are given back."""
    code = bench.code("die", datum_tries=2)
    results = bench.run(code, b"fine", b"poison", b"fine", b"fine")
    by_state = {state: [r for r in results if r.state == state] for state in
                ("success", "failed", "lost")}  # fmt: skip
    (failed,) = by_state["failed"]
    assert (failed.tries, failed.datum) == (2, 2)
    assert "signal 9" in failed.reason
    assert "about to die" in texts(failed)
    assert len(by_state["success"]) + len(by_state["lost"]) == 3


def test_a_process_killed_while_idle_costs_no_try(bench: Bench) -> None:
    """C2: only a death during the datum counts."""
    code = bench.code("pid", datum_tries=1)
    (first,) = bench.run(code, b"a")
    kill(keepers())
    (second,) = bench.run(code, b"b")
    assert (first.state, second.state, second.tries) == ("success", "success", 1), second.reason


def test_a_datum_that_was_sent_but_not_begun_uses_no_try(bench: Bench) -> None:
    """C2: the process is stopped, given a datum, and killed before it has read it."""
    code = bench.code("pid", datum_tries=1)
    bench.run(code, b"a")
    for process in [pid for keeper in keepers() for pid in below(keeper)]:
        os.kill(process, signal.SIGSTOP)
    task = bench.source.task(code, {"images": ("/b", {"/b": b"b"})})
    bench.source.submit(task)
    bench.source.wait_until(lambda: not bench.source.waiting_for_tasks())
    kill(keepers())
    result = bench.source.wait(2)[1]
    assert (result.datum, result.state, result.tries) == (task.datum, "success", 1), result.reason


def test_a_python_stage_over_its_memory_fails_with_that_reason(bench: Bench) -> None:
    """R5."""
    code = bench.code("hungry", datum_tries=2, limits=Limits(memory=200 << 20))
    (result,) = bench.run(code, b"x")
    assert (result.state, result.tries) == ("failed", 2)
    assert "memory" in result.reason.lower()


def test_empty_files_are_names_without_content_in_a_stage(bench: Bench) -> None:
    """Spec fields: and a link passes the file itself on."""
    leaf = Pfs(name="images", repo="images", glob="/*", empty_files=True)
    (result,) = bench.run(bench.code("sizes", input=leaf), b"content")
    assert texts(result) == ["/0.jpg 0 b''"]
    assert [(output.path, output.size) for output in result.outputs] == [("/same/0.jpg", 7)]


def test_lazy_files_are_not_sent_ahead_to_a_stage(bench: Bench) -> None:
    """Spec fields: only what is read is fetched."""
    leaf = Pfs(name="images", repo="images", glob="/*", lazy=True)
    before = bench.source.reads
    bench.run(bench.code("nothing", input=leaf), b"content")
    assert bench.source.reads == before
    (read,) = bench.run(bench.code("upper", input=leaf), b"content")
    assert (read.state, bench.source.reads) == ("success", before + 1)


def test_a_datum_over_its_time_is_killed(bench: Bench) -> None:
    """R5: `datum_timeout`."""
    code = bench.code("sleep", datum_tries=1, datum_timeout=0.5)
    (result,) = bench.run(code, b"slow")
    assert result.state == "failed"
    assert "datum_timeout of 0.5 s" in result.reason
    assert "going to sleep" in texts(result)
    (after,) = bench.run(code, b"quick")
    assert after.state == "success"


def test_a_stage_that_is_not_ready_gives_its_datum_back(bench: Bench) -> None:
    """C3: no try is used."""
    (result,) = bench.run(bench.code("not_ready"), b"")
    assert (result.state, result.tries) == ("not_ready", 0)
    assert result.reason == "model m.onnx: cannot be read"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_such_module:f", "importing no_such_module failed"),
        ("stages_for_tests:nope", "has no function 'nope'"),
        ("stages_for_tests", "write MODULE:FUNCTION"),
    ],
)
def test_a_stage_that_cannot_be_found_is_a_crash(bench: Bench, target: str, words: str) -> None:
    """C3: the pipeline is CRASHING and says why."""
    made = spec("broken", "python", "-m", "vedette.stage", target)
    (result,) = bench.run(bench.source.add_code(made, POOL.key), b"")
    assert result.state == "crash"
    assert words in result.reason


def test_a_log_is_cut_and_says_so(bench: Bench) -> None:
    """R7: with limits."""
    (result,) = bench.run(bench.code("chatter"), b"")
    assert len(result.logs) == 10_001
    assert result.logs[-1].stream == "system"
    assert "log cut" in result.logs[-1].text


def test_native_output_and_odd_text_are_kept(bench: Bench) -> None:
    (result,) = bench.run(bench.code("native"), b"")
    assert texts(result) == ["first", "from native code", "umlaut ä \\udcff"]


def test_a_stage_sees_its_environment_and_nothing_of_the_host(bench: Bench, tmp_path: Path) -> None:
    """R6: no data folder, no home; R1: env and secrets by name; one thread each."""
    from vedette.model.pipeline import SecretMount

    look = [str(tmp_path), "/etc/shadow", "/usr/bin", str(Path.home() / ".bashrc")]
    code = bench.code(
        "look_around", env={"LOOK": ":".join(look)},
        secrets=(SecretMount(name="mail", env_var="MAIL_KEY", key="key"),),
    )  # fmt: skip
    (result,) = bench.run(code, b"")
    assert result.state == "success", result.reason
    outputs = {o.path: o.data for o in result.outputs}
    assert (
        outputs["/seen"] == repr(dict(zip(look, [False, False, True, False], strict=True))).encode()
    )
    assert outputs["/secret"] == b"s3cret"
    assert outputs["/threads"] == b"1"


def test_a_process_stays_warm_and_objects_are_sent_once(bench: Bench) -> None:
    """DESIGN 3.6."""
    code = bench.code("remember")
    results = [bench.run(code, b"same picture")[0] for _ in range(3)]
    outputs = [{o.path: o.data for o in r.outputs} for r in results]
    assert [o["/made"] for o in outputs] == [b"1", b"0", b"0"]
    assert len({o["/pid"] for o in outputs}) == 1
    assert bench.source.reads == 1


def test_a_refused_lease_is_abandoned(bench: Bench) -> None:
    """C2: what has been taken over stops."""
    code = bench.code("sleep")
    slow = bench.source.task(code, {"images": ("/a", {"/a": b"slow"})})
    bench.source.submit(slow)
    time.sleep(0.3)
    bench.source.refused.add(slow.lease)
    (behind,) = bench.run(code, b"quick")
    # Held behind what was stopped, it may have gone back, which uses no try.
    assert (behind.state, behind.tries) in [("success", 1), ("lost", 0)]
    (result,) = bench.run(code, b"quick")
    assert result.state == "success"


def test_many_small_datums_are_held_and_reported_together(bench: Bench) -> None:
    """DESIGN 3.12: about 100 ms of work, whose results gather while the server takes others."""
    bench.source.taking = 0.01
    results = bench.run(bench.code("nothing"), *[b""] * 300)
    assert {r.state for r in results} == {"success"}
    assert len({r.datum for r in results}) == 300
    assert max(bench.source.batches) > 1


def test_surplus_workers_go_when_idle(bench: Bench) -> None:
    """DESIGN 3.6: no idle ones."""
    bench.run(bench.code("nothing"), b"")
    bench.agent.want(0)
    source = bench.source
    source.wait_until(lambda: set(source.released) == set(source.registered))
    assert set(source.released.values()) == {"idle"}
