"""What a stage written in Python can rely on."""

from __future__ import annotations

import doctest
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import vedette.stage
from vedette.model.errors import Invalid, InvalidPath, PathConflict
from vedette.model.ids import object_id
from vedette.model.work import TaskFile, TaskInput
from vedette.stage import Datum, frames, warm
from vedette.stage.alone import read_datum
from vedette.stage.datum import Input
from vedette.stage.host import Host
from vedette.stage.output import MAX_BYTES, LineLimit
from vedette.worker.pace import MAX_ROOM, Pace

HERE = str(Path(__file__).parent)
SOURCE = str(Path(vedette.stage.__file__).parents[2])


def test_the_example_in_the_docstring_works() -> None:
    assert doctest.testmod(vedette.stage).failed == 0


def test_a_datum_for_tests_shows_its_inputs_and_keeps_its_outputs() -> None:
    datum = Datum.of({"images": {"b": b"2", "/a": b"1"}}, env={"X": "y"})
    images = datum.inputs["images"]
    assert [(file.path, file.size) for file in images.files] == [("/a", 1), ("/b", 1)]
    assert images.path == "/"
    datum.write("out/", b"data")
    datum.link("/same", images.files[0])
    datum.log("a line")
    assert datum.outputs == {"/out": b"data", "/same": b"1"}
    assert datum.links == {"/same": images.files[0]}
    assert datum.logged == ["a line"]
    assert images.files[0].object == object_id(b"1").hex()


def test_the_only_file_is_refused_where_there_are_more() -> None:
    datum = Datum.of({"images": {"/d/a": b"", "/d/b": b""}}, matches={"images": "/d"})
    with pytest.raises(Invalid, match="input 'images' has 2 files at /d, not one"):
        _ = datum.inputs["images"].file


@pytest.mark.parametrize(
    ("first", "second"), [("/a", "a/"), ("/a", "/a/b"), ("/a/b", "/a"), ("/a/b/c", "/a/b")]
)
def test_one_output_path_cannot_be_used_twice(first: str, second: str) -> None:
    """P4, M3."""
    datum = Datum.of({})
    datum.write(first, b"1")
    with pytest.raises(PathConflict):
        datum.write(second, b"2")


@pytest.mark.parametrize("path", ["../x", "a//b", "a/./b", "a\0", "x" * 1025])
def test_output_paths_keep_the_rules_of_repos(path: str) -> None:
    """P1."""
    with pytest.raises(InvalidPath):
        Datum.of({}).write(path, b"")


def test_text_is_no_output() -> None:
    with pytest.raises(Invalid, match="is str, not bytes"):
        Datum.of({}).write("/a", "text")  # type: ignore[arg-type]


def test_warm_keeps_values_and_forgets_the_least_lately_used() -> None:
    warm.clear()
    made: list[str] = []

    def make(key: str, size: int) -> str:
        return warm.get("t", key, lambda: made.append(key) or key, size=size)  # type: ignore[func-returns-value]

    third = warm.MAX_BYTES // 3
    for key in ("a", "b", "c", "a", "d", "a", "b"):
        assert make(key, third) == key
    assert made == ["a", "b", "c", "d", "b"]
    warm.clear()


def test_warm_keeps_nothing_when_making_fails() -> None:
    warm.clear()
    with pytest.raises(ZeroDivisionError):
        warm.get("t", "k", lambda: 1 // 0)
    assert warm.get("t", "k", lambda: 5, size=lambda value: value) == 5
    warm.clear()


def test_frames_survive_being_cut_anywhere() -> None:
    run = frames.Run(
        7, "code", "id", "job", "commit", 1,
        (TaskInput("n", "r", "b", "c", "/", (TaskFile("/a", b"o" * 32, 3),)),), {b"o" * 32: b"abc"},
    )  # fmt: skip
    stream = frames.pack(run) + frames.pack(frames.Cancel(8))
    buffer, seen = bytearray(), []
    for at in range(len(stream)):
        buffer += stream[at : at + 1]
        seen += [frames.to_stage.decode(body) for body in frames.split(buffer)]
    assert seen == [run, frames.Cancel(8)]
    assert not buffer


def test_a_mirror_is_bounded_by_bytes() -> None:
    mirror = frames.Mirror(limit=10 + 2 * frames.EACH_BYTES)
    assert mirror.add(b"a", 4) == mirror.add(b"b", 4) == []
    assert mirror.touch(b"a")
    assert mirror.add(b"c", 4) == [b"b"]
    assert not mirror.touch(b"b")


def test_a_mirror_of_empty_objects_is_bounded() -> None:
    """A million tiny inputs would else be a million ids, on both sides."""
    mirror = frames.Mirror(limit=10 * frames.EACH_BYTES)
    gone = [name for n in range(25) for name in mirror.add(b"%d" % n, 0)]
    assert gone == [b"%d" % n for n in range(15)]


def test_a_log_is_cut_by_bytes_too() -> None:
    """R7."""
    limit = LineLimit(1)
    for _ in range(20):
        limit.add("stdout", "x" * (MAX_BYTES // 10))
    assert len(limit.entries) == 10
    assert "log cut" in limit.entries[-1].text


def test_a_worker_asks_for_about_a_tenth_of_a_second_of_work() -> None:
    """DESIGN 3.12."""
    pace = Pace()
    assert pace.room([]) == 1
    for _ in range(4):
        pace.learn("quick", 0.0001)
    assert pace.room([]) == MAX_ROOM
    assert pace.room(["quick"] * MAX_ROOM) == 0
    for _ in range(50):
        pace.learn("slow", 0.04)
    assert pace.room([]) == 3
    assert pace.room(["slow"]) == 2
    assert pace.room(["slow", "slow"]) == 0
    for _ in range(50):
        pace.learn("slow", 5.0)
    assert (pace.room([]), pace.room(["slow"])) == (1, 1)
    assert pace.room(["slow", "slow"]) == 0


def alone(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PYTHONPATH": f"{SOURCE}:{HERE}", "VEDETTE_PFS": str(tmp_path),
        "images": f"{tmp_path}/images/d/a.jpg",
    }  # fmt: skip
    command = [sys.executable, "-m", "vedette.stage", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.fixture
def pfs(tmp_path: Path) -> Path:
    (tmp_path / "images" / "d").mkdir(parents=True)
    (tmp_path / "images" / "d" / "a.jpg").write_bytes(b"abc")
    (tmp_path / "out").mkdir()
    return tmp_path


def test_a_stage_runs_alone_from_a_folder(pfs: Path) -> None:
    ran = alone(pfs, "stages_for_tests:upper", "!")
    assert (ran.returncode, ran.stdout) == (0, "looked at /d/a.jpg\n"), ran.stderr
    assert (pfs / "out" / "upper" / "d" / "a.jpg").read_bytes() == b"ABC!"


def test_alone_a_link_is_a_symbolic_link(pfs: Path) -> None:
    """R4."""
    assert alone(pfs, "stages_for_tests:link").returncode == 0
    assert os.readlink(pfs / "out" / "same" / "d" / "a.jpg") == f"{pfs}/images/d/a.jpg"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["stages_for_tests:not_ready"], 1, "model m.onnx: cannot be read\n"),
        (["stages_for_tests:twice"], 1, "output /a was written twice by one datum"),
        (["no_such:f"], 1, "importing no_such failed"),
        ([], 2, "usage: "),
    ],
)
def test_alone_a_stage_that_cannot_work_says_why(
    pfs: Path, words: list[str], code: int, said: str
) -> None:
    ran = alone(pfs, *words)
    assert ran.returncode == code
    assert said in ran.stderr
    assert list((pfs / "out").iterdir()) == []


def test_a_stage_process_answers_an_agent(tmp_path: Path) -> None:
    """The protocol, seen from the agent: eager bytes, fetched bytes, a skipped datum."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "vedette.stage", "--serve", str(theirs.fileno())]
    env = {"PYTHONPATH": f"{SOURCE}:{HERE}"}
    ours.settimeout(20)
    with (tmp_path / "log").open("a+b") as log, ours:
        process = subprocess.Popen(
            command, env=env, pass_fds=[theirs.fileno()], stdout=log, stderr=log
        )
        theirs.close()
        begin = frames.Begin("c", "p", "stages_for_tests:upper", ("!",), {})
        key = object_id(b"abc")
        given = (TaskInput("images", "images", "master", "x", "/a", (TaskFile("/a", key, 3),)),)
        runs = [frames.Run(n, "c", "d", "j", "o", 1, given, {}) for n in (1, 2, 3)]
        for message in (begin, *runs, frames.Cancel(2)):
            ours.sendall(frames.pack(message))
        buffer, seen = bytearray(), list[frames.FromStage]()
        while not any(isinstance(said, frames.Done) and said.number == 3 for said in seen):
            data = ours.recv(65536)
            assert data, (tmp_path / "log").read_text()
            buffer += data
            for body in frames.split(buffer):
                seen.append(frames.from_stage.decode(body))
                if isinstance(seen[-1], frames.Fetch):
                    ours.sendall(frames.pack(frames.Bytes(key, b"abc")))
    assert process.wait(10) == 0
    assert seen[:3] == [frames.Ready(), frames.Begun(1), frames.Fetch(key)]
    done = [(m.number, m.outputs[0].data) for m in seen[2:] if isinstance(m, frames.Done)]
    assert done == [(1, b"ABC!"), (3, b"ABC!")]


def test_r1_a_stage_sees_every_match_of_a_group_and_its_key() -> None:
    """D5."""
    files = tuple(TaskFile(path, b"o" * 32, 3) for path in ("/a-1", "/a-2"))
    given = TaskInput("n", "r", "b", "c", "/a-2", files, group_by="a", paths=("/a-1", "/a-2"))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        begin = frames.Begin("code", "p", "x:y", (), {})
        run = frames.Run(1, "code", "id", "job", "commit", 1, (given,), {})
        seen = Host(theirs)._datum(run, begin).inputs["n"]
    assert (seen.path, seen.paths) == ("/a-2", ("/a-1", "/a-2"))
    assert [file.path for file in seen.files] == ["/a-1", "/a-2"]
    assert (seen.join_on, seen.group_by) == ("", "a")
    assert Input("n", "r", "c", "/x", ()).paths == ("/x",)


def test_r1_a_stage_alone_sees_every_match_of_a_group_too(tmp_path: Path) -> None:
    """D5: the environment has only the last match; what lies as deep is the others."""
    for path in ("n/a/1/x", "n/a/1/y", "n/a/2/x", "m/p", "m/q"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"1")
    env = {"n": str(tmp_path / "n/a/2"), "PACH_DATUM_n_GROUP_BY": "a", "m": str(tmp_path / "m/p")}
    inputs = read_datum(tmp_path, env).inputs
    assert (inputs["n"].path, inputs["n"].paths) == ("/a/2", ("/a/1", "/a/2"))
    assert (inputs["m"].path, inputs["m"].paths) == ("/p", ("/p",))
    assert read_datum(tmp_path, {**env, "PACH_DATUM_m_GROUP_BY": "a"}).inputs["m"].paths == (
        "/p", "/q"
    )  # fmt: skip
