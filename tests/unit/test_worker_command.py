"""Commands with a real /pfs, without a server (ENGINE R1 to R5, R7, C2, C3)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_bench import ONE, OWN_IN_TMP, Bench, Inputs, bench_in, outputs, texts
from tests.processes import keepers, kill

from vedette.model.ids import object_id
from vedette.model.inputs import Pfs
from vedette.model.pipeline import Limits, SecretMount
from vedette.model.runtime import Runtime
from vedette.worker import cgroups, lazy_inputs
from vedette.worker.cgroups import Group


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from bench_in(tmp_path)


def test_user_code_sees_its_files_by_absolute_path(bench: Bench) -> None:
    """R1: `/pfs` is really there, with this datum's files only."""
    result = bench.sh("cd /pfs && find . | sort; cat $images; cp $images /pfs/out/copy")
    assert texts(result) == [".", "./images", "./images/d", "./images/d/a.jpg", "./out", "picture"]
    assert outputs(result, bench) == {"/copy": b"picture"}
    assert (result.download, result.upload) == (7, 7)


def test_the_environment_names_the_datum(bench: Bench) -> None:
    """R1, and variables whose names are no names for a shell."""
    inputs: Inputs = {
        "object-detect": ("/dev1/1.json", {"/dev1/1.json": b"{}"}), "rules": ("/", {"/r": b""})
    }  # fmt: skip
    code = bench.code(
        "env", env={"MINE": "yes"},
        secrets=(SecretMount(name="mail", env_var="KEY", key="key"),),
    )  # fmt: skip
    (result,) = bench.run(code, inputs)
    env = dict(line.split("=", 1) for line in texts(result, "stdout"))
    assert env["object-detect"] == "/pfs/object-detect/dev1/1.json"
    assert env["rules"] == "/pfs/rules"
    assert env["rules_COMMIT"] == "input-commit"
    assert (env["PACH_JOB_ID"], env["PACH_OUTPUT_COMMIT_ID"]) == ("job1", "commit1")
    assert env["PACH_DATUM_ID"] == "datum1"
    assert (env["MINE"], env["KEY"]) == ("yes", "s3cret")


def test_a_command_is_never_given_to_a_shell(bench: Bench) -> None:
    """R2."""
    (result,) = bench.run(bench.code("echo", "$images", ";", "ls"), ONE)
    assert texts(result, "stdout") == ["$images ; ls"]


def test_standard_input_is_lines_that_end_with_a_newline(bench: Bench) -> None:
    """R2."""
    (result,) = bench.run(bench.code("sh", "-c", "cat >/pfs/out/x", stdin=("a", "b")), ONE)
    assert outputs(result, bench) == {"/x": b"a\nb\n"}


def test_ash_runs_as_sh_where_the_host_has_none(bench: Bench) -> None:
    """R2: every stage of the original says /bin/ash or /bin/bash."""
    (result,) = bench.run(bench.code("/bin/ash", stdin=("echo hi",)), ONE)
    assert texts(result, "stdout") == ["hi"]


def test_python_is_always_found(bench: Bench) -> None:
    result = bench.sh("python -c 'import msgspec, vedette; print(1)'", env={"PATH": "/bin"})
    assert texts(result) == ["1"]


def test_a_python_stage_runs_as_a_command(bench: Bench) -> None:
    """The same words anywhere else run one datum from the real /pfs."""
    code = bench.code("python", "-m", "vedette.stage", "stages_for_tests:link")
    (result,) = bench.run(code, ONE)
    (output,) = result.outputs
    assert (output.path, output.object, output.data) == (
        "/same/d/a.jpg",
        object_id(b"picture"),
        None,
    )


def test_every_try_has_an_empty_out(bench: Bench) -> None:
    """R3: and a fresh input."""
    script = (
        "ls /pfs/out /tmp; cat $images; echo x >>$images; touch /pfs/out/left /tmp/left; "
        "echo oops >&2; exit 3"
    )
    result = bench.sh(script, datum_tries=2)
    assert (result.state, result.tries, result.outputs) == ("failed", 2, ())
    assert result.reason == "the command ended with exit code 3"
    assert texts(result, "stdout") == ["/pfs/out:", "", "/tmp:", *OWN_IN_TMP, "picture"] * 2
    assert [e.attempt for e in result.logs if e.text == "oops"] == [1, 2]


def test_an_accepted_return_code_succeeds(bench: Bench) -> None:
    """R3."""
    assert bench.sh("exit 7", accept_return_code=(7,)).state == "success"


def test_err_cmd_recovers(bench: Bench) -> None:
    """R3: no output."""
    result = bench.sh("exit 1", err_cmd=("sh",), err_stdin=("cat $images",))
    assert (result.state, result.outputs) == ("recovered", ())
    assert texts(result, "stdout") == ["picture"]
    assert bench.sh("exit 1", err_cmd=("false",)).state == "failed"


def test_a_link_to_an_input_moves_no_bytes(bench: Bench) -> None:
    """R4: files, directories, by absolute, relative and chained links."""
    inputs: Inputs = {"images": ("/d", {"/d/a": b"1", "/d/e/b": b"2"})}
    result = bench.sh(
        "ln -s $images/a /pfs/out/file; ln -s /pfs/images/d /pfs/out/dir; "
        "ln -s ../images/d/a /pfs/out/relative; ln -s relative /pfs/out/chained; "
        "ln -s /pfs/images /pfs/out/all",
        inputs,
    )
    assert outputs(result, bench) == {
        "/file": b"1", "/relative": b"1", "/chained": b"1", "/dir/a": b"1", "/dir/e/b": b"2",
        "/all/d/a": b"1", "/all/d/e/b": b"2",
    }  # fmt: skip
    assert all(output.data is None for output in result.outputs)
    assert result.upload == 0


def test_a_link_to_another_file_is_its_bytes(bench: Bench, tmp_path: Path) -> None:
    """R4: as user code sees it, and never as the host does."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "tool").write_bytes(b"tool")
    bench.runtime = Runtime(mount={"/code": str(tmp_path / "code")})
    result = bench.sh(
        "echo hi >/tmp/x; mkdir -p /tmp/t/u; echo deep >/tmp/t/u/y; ln -s /tmp/x /pfs/out/a; "
        "ln -s /code/../code/tool /pfs/out/b; ln -s /tmp/t /pfs/out/c"
    )
    assert outputs(result, bench) == {"/a": b"hi\n", "/b": b"tool", "/c/u/y": b"deep\n"}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("ln -s /nowhere /pfs/out/x", "leads nowhere"),
        ("ln -s {host} /pfs/out/x", "leads nowhere"),
        ("ln -s /../../..{host} /pfs/out/x", "leads nowhere"),
        ("ln -s /pfs/out/x /pfs/out/x", "leads nowhere"),
        ("ln -s /proc/self/environ /pfs/out/x", "only files can be outputs"),
        ("ln -s /dev/zero /pfs/out/x", "only files can be outputs"),
        ("ln -s / /pfs/out/x", "which holds the output itself"),
        ("mkfifo /pfs/out/x", "/pfs/out/x is a pipe"),
        ("python -c \"import socket; socket.socket(1).bind('/pfs/out/x')\"", "a socket"),
        ("python -c \"open(b'/pfs/out/\\xff', 'w')\"", "not valid Unicode"),
    ],
)
def test_what_cannot_be_an_output_fails_the_datum(
    bench: Bench, tmp_path: Path, script: str, words: str
) -> None:
    """R4."""
    (tmp_path / "secret").write_text("host")
    result = bench.sh(script.replace("{host}", str(tmp_path / "secret")))
    assert result.state == "failed", texts(result)
    assert words in result.reason


def test_empty_directories_are_dropped_and_named(bench: Bench) -> None:
    """P5."""
    result = bench.sh("mkdir -p /pfs/out/a/b; echo 1 >/pfs/out/c")
    assert outputs(result, bench) == {"/c": b"1\n"}
    assert texts(result, "system") == [
        "empty directory /a/b dropped: directories exist by their files"
    ]


def test_files_that_the_command_locked_are_gathered(bench: Bench) -> None:
    result = bench.sh("mkdir /pfs/out/d; echo 1 >/pfs/out/d/f; chmod 0 /pfs/out/d/f /pfs/out/d")
    assert outputs(result, bench) == {"/d/f": b"1\n"}


def test_a_datum_over_its_time_is_killed_with_all_it_started(bench: Bench) -> None:
    """R5."""
    started = time.monotonic()
    result = bench.sh("echo begun; sleep 100 & sleep 100", datum_timeout=0.5)
    assert time.monotonic() - started < 50
    assert (result.state, texts(result, "stdout")) == ("failed", ["begun"])
    assert "datum_timeout of 0.5 s" in result.reason
    assert bench.sh("echo fine").state == "success"


@pytest.mark.parametrize("command", ["no-such-program", "/no/such/program", "/etc"])
def test_a_command_that_cannot_start_is_a_crash(bench: Bench, command: str) -> None:
    """C3."""
    (result,) = bench.run(bench.code(command), ONE)
    assert result.state == "crash"
    assert f"command {command!r} cannot be started" in result.reason


def test_an_unknown_image_is_a_crash_that_says_what_to_do(bench: Bench) -> None:
    bench.runtime = "add this line"
    (result,) = bench.run(bench.code("true"), ONE)
    assert (result.state, result.reason) == ("crash", "add this line")


def test_a_missing_mount_is_a_crash(bench: Bench) -> None:
    bench.runtime = Runtime(mount={"/code": "/no/such/folder"})
    (result,) = bench.run(bench.code("true"), ONE)
    assert result.state == "crash"
    assert "mount '/code' = '/no/such/folder': there is no such folder" in result.reason


def test_a_log_is_cut_and_the_command_goes_on(bench: Bench) -> None:
    """R7."""
    result = bench.sh("seq 30000; echo done >/pfs/out/x")
    assert outputs(result, bench) == {"/x": b"done\n"}
    assert len(result.logs) == 10_001
    assert "log cut" in result.logs[-1].text


def test_a_refused_lease_is_abandoned(bench: Bench) -> None:
    """C2."""
    slow = bench.source.task(bench.code("sleep", "100"), ONE)
    bench.source.submit(slow)
    time.sleep(0.3)
    bench.source.refused.add(slow.lease)
    result = bench.sh("echo next")
    assert (result.datum, result.state) == (slow.datum + 1, "success")


def test_a_corrupt_input_fails_the_datum_with_its_reason(bench: Bench) -> None:
    task = bench.source.task(bench.code("true"), ONE)
    bench.source.objects.clear()
    bench.source.submit(task)
    (result,) = bench.source.wait(1)
    assert result.state == "failed"
    assert "there is no object" in result.reason


def test_p1_an_input_whose_name_no_file_may_have_fails_the_datum_at_once(bench: Bench) -> None:
    """P1, C2: the host is not to blame, so no other one is asked."""
    name = "/" + "n" * 256
    (result,) = bench.run(bench.code("true"), {"images": (name, {name: b"x"})})
    assert (result.state, result.tries) == ("failed", 1)
    assert "an input has a name that no file may have, of 256 bytes (nnn" in result.reason


def test_surplus_workers_go_when_idle(bench: Bench) -> None:
    """DESIGN 3.6."""
    bench.sh("true")
    bench.agent.want(0)
    source = bench.source
    source.wait_until(lambda: set(source.released) == set(source.registered))
    assert set(source.released.values()) == {"idle"}
    assert bench.agent.live() == 0


def test_c2_a_root_killed_while_idle_costs_no_try(bench: Bench) -> None:
    """C2: the process that keeps /pfs dies between two datums."""
    code = bench.code("true", datum_tries=1)
    bench.run(code, ONE)
    kill(keepers())
    (result,) = bench.run(code, ONE)
    assert (result.state, result.tries) == ("success", 1), result.reason


def test_empty_files_are_names_without_content(bench: Bench) -> None:
    """Spec fields: and a link to one stores the file itself, by reference."""
    leaf = Pfs(name="images", repo="images", glob="/*", empty_files=True)
    result = bench.sh("wc -c <$images; ln -s $images /pfs/out/x", input=leaf)
    assert outputs(result, bench) == {"/x": b"picture"}
    assert (texts(result), result.download) == (["0"], 0)


def test_lazy_files_are_pipes_that_are_fetched_when_opened(bench: Bench) -> None:
    """Spec fields: what is not opened is not fetched; what was is a plain file from then on."""
    leaf = Pfs(name="images", repo="images", glob="/*", lazy=True)
    files = {f"/d/{name}": name.encode() * 100_000 for name in "abc"}
    result = bench.sh(
        "cd /pfs/images/d; test -p a && test -p b && echo pipes; cat a | wc -c; head -c 1 b; "
        "cmp a /pfs/images/d/a && test -f a && echo plain; ln -s $images/c /pfs/out/c; "
        "ln -s /pfs/images /pfs/out/all",
        {"images": ("/d", files)}, input=leaf,
    )  # fmt: skip
    assert texts(result) == ["pipes", "100000", "bplain"]
    assert result.download == 200_000
    all_of_it = {f"/all{path}": data for path, data in files.items()}
    assert outputs(result, bench) == {"/c": files["/d/c"], **all_of_it}


def test_a_lazy_file_is_never_in_memory_as_a_whole(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes go to a plain file and from there into the pipe, a piece at a time."""
    leaf = Pfs(name="images", repo="images", glob="/*", lazy=True)
    data = bytes(range(256)) * (48 << 10)

    def in_pieces(object_id: bytes, size: int, descriptor: int) -> None:
        for first in range(0, size, 1 << 20):
            os.write(descriptor, bench.source.objects[object_id][first : first + (1 << 20)])

    def whole(object_id: bytes) -> bytes:
        raise AssertionError("read as a whole")

    monkeypatch.setattr(bench.source, "fetch", in_pieces)
    monkeypatch.setattr(bench.source, "read", whole)
    result = bench.sh(
        "cd /pfs/images/d; head -c 5 a | wc -c; cat b >/pfs/out/b; cmp b /pfs/out/b && ls -A",
        {"images": ("/d", {"/d/a": data, "/d/b": data[1:]})}, input=leaf,
    )  # fmt: skip
    assert texts(result) == ["5", "a", "b"]
    assert result.download == 2 * len(data) - 1
    assert outputs(result, bench) == {"/b": data[1:]}


def test_a_lazy_file_that_cannot_be_had_fails_the_datum(bench: Bench) -> None:
    leaf = Pfs(name="images", repo="images", glob="/*", lazy=True)
    code = bench.code("/bin/sh", "-c", "cat $images", input=leaf, datum_tries=1)
    task = bench.source.task(code, ONE)
    bench.source.objects.clear()
    bench.source.submit(task)
    (result,) = bench.source.wait(1)
    assert result.state == "failed"
    assert "there is no object" in result.reason


def test_more_lazy_files_than_pipes_come_as_plain_files(bench: Bench) -> None:
    leaf = Pfs(name="images", repo="images", glob="/*", lazy=True)
    files = {f"/d/{number:04}": b"x" for number in range(lazy_inputs.MAX_PIPES + 5)}
    result = bench.sh("cat /pfs/images/d/* | wc -c", {"images": ("/d", files)}, input=leaf)
    assert texts(result, "stdout") == [str(lazy_inputs.MAX_PIPES + 5)]
    assert "lazy: the first 1,000 files" in texts(result, "system")[0]


HUNGRY = 'python -c "x = bytearray(300 << 20); print(len(x))"'


def test_a_datum_over_its_memory_fails_with_that_reason(bench: Bench) -> None:
    """R5, C2: it uses up its tries."""
    result = bench.sh(HUNGRY, limits=Limits(memory=64 << 20), datum_tries=2)
    assert (result.state, result.tries) == ("failed", 2)
    assert "67,108,864 bytes" in result.reason
    assert "memory" in result.reason
    assert bench.sh(HUNGRY, limits=Limits(memory=512 << 20)).state == "success"


def test_memory_is_bounded_where_no_control_group_can_be_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R5: by the address space of each process."""
    monkeypatch.setattr(cgroups, "_parents", lambda _: [])
    result = bench.sh(HUNGRY, limits=Limits(memory=128 << 20))
    assert result.state == "failed"
    assert "at most 134,217,728 bytes of memory" in result.reason
    assert bench.sh("echo fine", limits=Limits(memory=128 << 20)).state == "success"


def test_processors_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """R5: by a control group, or else by pinning; half a processor is half of one's time."""
    spin = "python -c 'import time\nwhile time.process_time() < 0.4: pass'"
    result = bench.sh(spin, limits=Limits(cpu=0.5))
    bounded = Group(Limits(cpu=0.5))
    try:
        if bounded.cpu:
            assert result.seconds > 0.6
    finally:
        bounded.close()
    monkeypatch.setattr(cgroups, "_parents", lambda _: [])
    pinned = bench.sh("nproc", limits=Limits(cpu=0.5))
    assert texts(pinned) == ["1"]


@pytest.mark.parametrize(("user", "seen"), [
    ("", "0 0 root"), ("nobody", "65534 65534 nobody"), ("12345", "12345 12345 user12345"),
    ("1234:77", "1234 77 user1234"),
])  # fmt: skip
def test_a_command_runs_as_the_user_that_the_spec_names(bench: Bench, user: str, seen: str) -> None:
    """R5: it can read its inputs and write its outputs."""
    script = "echo $(id -u) $(id -g) $(id -un); cp $images /pfs/out/x; cat /pfs/out/x; touch /tmp/y"
    result = bench.sh(script, user=user)
    assert outputs(result, bench) == {"/x": b"picture"}
    assert texts(result) == [seen, "picture"]


def test_an_unknown_user_is_a_crash_that_says_what_to_do(bench: Bench) -> None:
    (result,) = bench.run(bench.code("true", user="no-such-user"), ONE)
    assert result.state == "crash"
    assert "no user 'no-such-user': give a number" in result.reason


def test_the_working_folder_is_where_the_command_starts(bench: Bench) -> None:
    """R5: it is made when the image has none."""
    assert texts(bench.sh("pwd; touch here && ls", working_dir="/made/deep")) == [
        "/made/deep", "here"
    ]  # fmt: skip
