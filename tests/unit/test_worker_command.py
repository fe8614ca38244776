"""Commands with a real, private /pfs, without a server (ENGINE R1 to R7, C2, C3)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from fake_source import FakeSource, spec

import vedette
from vedette.model.ids import object_id
from vedette.model.pipeline import SecretMount
from vedette.model.runtime import Runtime
from vedette.model.work import Pool, Result
from vedette.worker.command_agent import CommandAgent
from vedette.worker.settings import Settings

POOL = Pool(key="command:test", kind="command", slots=1)
Inputs = dict[str, tuple[str, dict[str, bytes]]]
ONE: Inputs = {"images": ("/d/a.jpg", {"/d/a.jpg": b"picture"})}


class Bench:
    """One command worker; `run` sends datums through it, `sh` a shell command."""

    def __init__(self, source: FakeSource, agent: CommandAgent) -> None:
        self.source = source
        self.agent = agent
        self.runtime: Runtime | str = Runtime()
        self._version = 0

    def code(self, *cmd: str, **fields: object) -> str:
        self._version += 1
        return self.source.add_code(spec("test", *cmd, **fields), POOL.key, self._version)

    def run(self, code: str, *inputs: Inputs) -> list[Result]:
        before = len(self.source.results)
        self.source.submit(*(self.source.task(code, given) for given in inputs))
        return self.source.wait(before + len(inputs))[before:]

    def sh(self, script: str, inputs: Inputs = ONE, **fields: object) -> Result:
        fields.setdefault("datum_tries", 1)
        (result,) = self.run(self.code("/bin/sh", stdin=(script,), **fields), inputs)
        return result


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    source = FakeSource()
    settings = Settings(
        scratch=tmp_path / "scratch", runtime_of=lambda _: made.runtime,
        hidden=(str(tmp_path / "data"),), idle=0.2,
    )  # fmt: skip
    agent = CommandAgent(POOL, source, source.code, settings)
    made = Bench(source, agent)
    agent.want(1)
    yield made
    agent.stop()
    assert set(source.registered) == set(source.released)
    assert not list((tmp_path / "scratch").glob("*"))


def outputs(result: Result, bench: Bench) -> dict[str, bytes]:
    assert result.state == "success", (result.reason, texts(result))
    return {o.path: bench.source.objects[o.object] if o.data is None else o.data
            for o in result.outputs}  # fmt: skip


def texts(result: Result, stream: str = "") -> list[str]:
    return [entry.text for entry in result.logs if stream in ("", entry.stream)]


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
    assert texts(result, "stdout") == ["/pfs/out:", "", "/tmp:", "picture"] * 2
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


def test_user_code_is_alone(bench: Bench, tmp_path: Path) -> None:
    """R6: no host files, no processes, no privileges, no network, no passwords."""
    checkout = Path(vedette.__file__).parents[2]
    result = bench.sh(
        f"ls -A {Path.home()} 2>/dev/null | sed s/^/home:/; "
        f"ls -d {tmp_path} {checkout}/pyproject.toml /etc/shadow 2>/dev/null; "
        "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; "
        "touch /usr/x /x 2>/dev/null || echo read-only; ls /proc/1/root 2>/dev/null; "
        "grep -c : /proc/net/dev; kill -9 1; mount -t tmpfs x /tmp 2>/dev/null || echo no mount; "
        "test $(ls /proc | grep -c '^[0-9]') -le 6 && echo alone"
    )
    seen = [line.replace("\t", " ") for line in texts(result, "stdout")]
    python = [Path(folder) for folder in (sys.prefix, sys.base_prefix, *sys.path)]
    ways = {folder.relative_to(Path.home()).parts[0] for folder in python
            if folder.is_relative_to(Path.home()) and folder != Path.home()}  # fmt: skip
    assert {line[5:] for line in seen if line.startswith("home:")} <= ways
    assert [line for line in seen if not line.startswith("home:")] == [
        "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1", "read-only",
        "1", "no mount", "alone",
    ]  # fmt: skip


def test_the_data_folder_is_hidden_within_a_visible_folder(bench: Bench, tmp_path: Path) -> None:
    """R6."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "objects").write_text("x")
    (tmp_path / "code.py").write_text("x")
    bench.runtime = Runtime(mount={"/code": str(tmp_path)})
    assert texts(bench.sh("ls /code/code.py; ls /code/data")) == ["/code/code.py"]


def test_one_datum_leaves_nothing_for_the_next(bench: Bench) -> None:
    """R6: no files, no processes."""
    script = (
        "ls /tmp /dev/shm; cat $images; echo; echo >$images; touch /tmp/a /dev/shm/b; "
        "sleep 1000 & (setsid sleep 1000 &) ; ls /proc | grep -c '^[0-9]'"
    )
    code = bench.code("/bin/sh", stdin=(script,))
    results = bench.run(code, ONE, ONE, ONE)
    assert texts(results[0]) == texts(results[1]) == texts(results[2])
    assert texts(results[0])[:4] == ["/dev/shm:", "", "/tmp:", "picture"]


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


def test_the_working_folder_is_there_and_writable(bench: Bench) -> None:
    bench.runtime = Runtime(working_dir="/tensorflow/models")
    assert texts(bench.sh("pwd; touch here && ls")) == ["/tensorflow/models", "here"]
    assert texts(bench.sh("pwd", working_dir="/elsewhere")) == ["/elsewhere"]


def test_secrets_as_files(bench: Bench) -> None:
    result = bench.sh(
        "cat /etc/mail/key", secrets=(SecretMount(name="mail", mount_path="/etc/mail"),)
    )
    assert texts(result) == ["s3cret"]


def test_a_log_is_cut_and_the_command_goes_on(bench: Bench) -> None:
    """R7."""
    result = bench.sh("seq 30000; echo done >/pfs/out/x")
    assert outputs(result, bench) == {"/x": b"done\n"}
    assert len(result.logs) == 10_001
    assert "log cut" in result.logs[-1].text


def test_a_refused_lease_is_abandoned(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """C2."""
    slow = bench.source.task(bench.code("sleep", "100"), ONE)
    bench.source.submit(slow)
    time.sleep(0.3)
    bench.source.refused.add(slow.lease)
    result = bench.sh("echo next")
    assert (result.datum, result.state) == (slow.datum + 1, "success")


def test_a_killed_keeper_uses_up_a_try(bench: Bench, tmp_path: Path) -> None:
    """C2: out of memory takes the whole namespace."""
    code = bench.code("sh", "-c", "echo in; sleep 100", datum_tries=1)
    bench.source.submit(bench.source.task(code, ONE))
    keeper = wait_for(lambda: children_of(os.getpid()))
    time.sleep(0.3)
    os.kill(keeper[-1], 9)
    (result,) = bench.source.wait(1)
    assert (result.state, result.tries) == ("failed", 1)
    assert "killed with all its processes" in result.reason
    assert bench.sh("echo fine").state == "success"


def test_a_corrupt_input_fails_the_datum_with_its_reason(bench: Bench) -> None:
    task = bench.source.task(bench.code("true"), ONE)
    bench.source.objects.clear()
    bench.source.submit(task)
    (result,) = bench.source.wait(1)
    assert result.state == "failed"
    assert "there is no object" in result.reason


def test_surplus_workers_go_when_idle(bench: Bench) -> None:
    """DESIGN 3.6."""
    bench.sh("true")
    bench.agent.want(0)
    source = bench.source
    source.wait_until(lambda: set(source.released) == set(source.registered))
    assert set(source.released.values()) == {"idle"}
    assert bench.agent.live() == 0


def test_it_works_without_root() -> None:
    """R1: an unprivileged user gets a private /pfs as well."""
    if os.geteuid() != 0:
        pytest.skip("this run is unprivileged: every other test here shows it")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    packages = [str(Path(str(module.__file__)).parents[1]) for module in (vedette, msgspec)]
    env = {"PYTHONPATH": ":".join([*packages, str(Path(__file__).parent)]), "HOME": "/nowhere"}
    check = (
        f"import subprocess, sys, vedette, msgspec; assert sys.version.startswith('{version}.'); "
        "subprocess.run([sys.executable, '-c', ''], check=True)"
    )
    for python in (sys.executable, f"/usr/bin/python{version}", "/usr/bin/python3"):
        able = subprocess.run([*nobody, python, "-c", check], env=env, capture_output=True)
        if able.returncode == 0:
            break
    else:
        pytest.skip(f"no Python {version} that another user can run")
    script = Path(__file__).parent / "run_one_command.py"
    ran = subprocess.run(
        [*nobody, python, "-B", script], env=env, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["success", "uid=0", "picture", "no passwords"]


def wait_for(found: Callable[[], list[int]]) -> list[int]:
    for _ in range(500):
        if now := found():
            return now
        time.sleep(0.01)
    raise AssertionError("nothing came")


def children_of(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return sorted(found)
