"""What image names mean on a host without a container engine."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest
from fake_source import FakeSource, spec

from vedette.launchers.launcher import Launcher
from vedette.launchers.processes import ProcessLauncher
from vedette.launchers.runtimes import Runtimes, cores, load
from vedette.model.errors import Invalid, Unavailable
from vedette.model.pipeline import Limits, PipelineSpec
from vedette.model.runtime import Runtime
from vedette.worker.agents import agent_for, sweep
from vedette.worker.settings import Settings

STAGE = ("python", "-m", "vedette.stage", "stages_for_tests:upper")
KNOWN: dict[str, dict[str, object]] = {
    "vedette/*": {"runtime": "python", "pool": "vedette"},
    "vedette/plot": {"runtime": "python", "pool": "plot", "slots": 1},
    "maker/plot:fix2": {"working_dir": "/fixed"},
    "maker/plot": {"working_dir": "/any"},
}


def found(runtimes: Runtimes, image: str) -> Runtime:
    runtime = runtimes.find(image)
    assert isinstance(runtime, Runtime), runtime
    return runtime


def image(name: str, *cmd: str, **fields: object) -> PipelineSpec:
    return spec("p", *(cmd or STAGE), image=name, **fields)


def test_an_exact_entry_beats_one_without_tag_and_one_with_a_star() -> None:
    runtimes = load(None, KNOWN)
    assert found(runtimes, "maker/plot:fix2").working_dir == "/fixed"
    assert found(runtimes, "maker/plot:other").working_dir == "/any"
    assert found(runtimes, "maker/plot@sha256:00").working_dir == "/any"
    assert found(runtimes, "vedette/plot:1.0").pool == "plot"
    assert found(runtimes, "vedette/judge:1.0").pool == "vedette"


def test_an_unknown_image_says_which_line_to_add() -> None:
    runtimes = load(None, KNOWN)
    for name in ("my/image", "my/image:v2"):
        assert runtimes.find(name) == (
            f"image '{name}' is not known on this host: "
            'add ["my/image"] runtime = "process" to the file given by --runtimes'
        )
    assert runtimes.problem(image("my/image")) == runtimes.find("my/image")
    assert "5000" in str(runtimes.find("host:5000/image"))


def test_the_line_that_it_says_to_add_helps(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('["my/image"]\nruntime = "process"\n')
    runtimes = load(tmp_path / "r.toml", KNOWN)
    assert found(runtimes, "my/image:v2") == Runtime(runtime="process")
    assert runtimes.problem(image("my/image")) is None


def test_a_file_beats_what_is_known_and_its_folders_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "r.toml").write_text(
        '["maker/plot"]\nmount = { "/code" = "code", "/x" = "/usr" }\npath = ["bin"]\n'
        '[default]\nenv = { A = "b" }\n'
    )
    runtimes = load(tmp_path / "r.toml", KNOWN)
    runtime = found(runtimes, "maker/plot")
    assert runtime.mount == {"/code": str(tmp_path / "code"), "/x": "/usr"}
    assert runtime.path == (str(tmp_path / "bin"),)
    assert found(runtimes, "").env == found(runtimes, "unknown/image").env == {"A": "b"}


def test_a_missing_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('["a"]\nmount = { "/code" = "nowhere" }\n')
    problem = load(tmp_path / "r.toml", {}).problem(image("a"))
    assert problem is not None
    assert "there is no such folder" in problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('["a"]\nruntimes = "process"\n', "unknown field 'runtimes'"),
        ('["a"]\nruntime = "docker"\n', "docker"),
        ('["a"]\nmount = "x"\n', "object"),
        ('a = "b"\n', "write it as a table"),
        ("[", "r.toml"),
    ],
)
def test_a_faulty_file_is_refused_with_the_fault(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(Invalid) as caught:
        load(tmp_path / "r.toml", {})
    assert words in caught.value.message
    assert "\n" not in caught.value.message.strip()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="No such file"):
        load(tmp_path / "none.toml", {})


def test_python_stages_of_one_pool_share_its_processes() -> None:
    """DESIGN 3.6."""
    runtimes = load(None, KNOWN)
    pool = runtimes.pool_of(image("vedette/judge"))
    assert (pool.key, pool.kind, pool.slots) == ("python:vedette", "python", cores())
    assert runtimes.pool_of(image("vedette/validate")) == pool
    plot = runtimes.pool_of(image("vedette/plot"))
    assert (plot.key, plot.slots) == ("python:plot", 1)
    assert runtimes.pool_of(image("")).kind == "python"
    assert runtimes.pool_of(image("vedette/judge", network=True)).key == "python:vedette:network"


def test_a_stage_whose_image_or_limits_differ_has_processes_of_its_own(tmp_path: Path) -> None:
    """R5: what a process sees and may use is the same for all that it serves."""
    file = tmp_path / "runtimes.toml"
    file.write_text('["mine"]\nruntime = "python"\npool = "vedette"\nenv = { A = "1" }\n')
    runtimes = load(file, KNOWN)
    keys = [runtimes.pool_of(made).key for made in (
        image("vedette/judge"), image("mine"),
        image("vedette/judge", limits=Limits(memory=1 << 30)),
        image("vedette/judge", limits=Limits(cpu=1)), image("mine", limits=Limits(cpu=1)),
    )]  # fmt: skip
    assert len(set(keys)) == 5
    assert all(key == "python:vedette" or key.startswith("python:vedette:") for key in keys)
    assert runtimes.pool_of(image("mine")).key == keys[1]


def test_everything_else_is_a_command() -> None:
    runtimes = load(None, KNOWN)
    for made in (
        image("vedette/judge", "/bin/sh"),
        image("maker/plot"),
        image("unknown"),
        image("vedette/judge", stdin=("x",)),
    ):
        pool = runtimes.pool_of(made)
        assert (pool.key, pool.kind, pool.slots) == ("command:p", "command", 1)
    assert runtimes.pool_of(image("unknown", parallelism=3)).slots == 3


def test_a_launcher_starts_what_is_wanted_and_ends_it(tmp_path: Path) -> None:
    runtimes = load(None, {})
    source = FakeSource()
    settings = Settings(scratch=tmp_path / "s", runtime_of=runtimes.of, idle=0.1)
    launcher = ProcessLauncher(partial(agent_for, settings=settings))
    checked: Launcher = launcher
    with pytest.raises(Unavailable):
        checked.wanted({})
    launcher.start(source)
    python, command = spec("a", *STAGE), spec("b", "sh", stdin=("cat $images >/pfs/out/x",))
    pools = [runtimes.pool_of(python), runtimes.pool_of(command)]
    launcher.wanted({pool.key: (pool, 0) for pool in pools})
    assert launcher.live() == {}
    for made, pool in zip((python, command), pools, strict=True):
        code = source.add_code(made, pool.key)
        source.submit(source.task(code, {"images": ("/a", {"/a": b"abc"})}))
    launcher.wanted({pool.key: (pool, 1) for pool in pools})
    results = source.wait(2)
    assert sorted(output.data or b"" for r in results for output in r.outputs) == [b"ABC", b"abc"]
    assert launcher.live() == {pool.key: 1 for pool in pools}
    launcher.wanted({pool.key: (pool, 0) for pool in pools})
    source.wait_until(lambda: set(source.released) == set(source.registered))
    launcher.wanted({pools[1].key: (pools[1], 1)})
    source.submit(source.task("b-1", {"images": ("/a", {"/a": b"again"})}))
    assert source.wait(3)[2].state == "success"
    launcher.stop()
    assert set(source.released) == set(source.registered)
    assert list((tmp_path / "s").iterdir()) == []


def test_stopping_gives_back_what_runs_and_what_waits(tmp_path: Path) -> None:
    """C2: their leases are free at once."""
    runtimes = load(None, {})
    source = FakeSource()
    settings = Settings(scratch=tmp_path / "s", runtime_of=runtimes.of, grace=0.2)
    launcher = ProcessLauncher(partial(agent_for, settings=settings))
    launcher.start(source)
    slow = [
        spec("a", "python", "-m", "vedette.stage", "stages_for_tests:sleep"),
        spec("b", "sleep", "100"),
    ]
    pools = [runtimes.pool_of(made) for made in slow]
    for made, pool in zip(slow, pools, strict=True):
        code = source.add_code(made, pool.key)
        source.submit(source.task(code, {"images": ("/a", {"/a": b"slow"})}))
    launcher.wanted({pool.key: (pool, 1) for pool in pools})
    source.wait_until(lambda: len(source.registered) == 2)
    time.sleep(0.5)
    launcher.stop()
    assert sorted((result.datum, result.state) for result in source.results) == [
        (1, "lost"), (2, "lost"),
    ]  # fmt: skip
    assert set(source.released.values()) == {"the server stops"}
    assert list((tmp_path / "s").iterdir()) == []


def test_what_a_killed_server_left_is_swept_away(tmp_path: Path) -> None:
    """C1: its workers end with it, their folders stay behind."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    host = socket.gethostname()
    for name in (f"{host}-{ended.pid}-command_x-1", f"{host}-{os.getpid()}-command_x-2", "other"):
        (tmp_path / name / "pfs" / "locked").mkdir(parents=True)
        (tmp_path / name / "pfs" / "locked").chmod(0)
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{host}-{os.getpid()}-command_x-2", "other"
    }  # fmt: skip
