"""The private root in which commands run, and hosts that allow none (ENGINE R1, R6)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from command_bench import ONE, OWN_IN_TMP, Bench, bench_in, outputs, texts

import vedette
from vedette.model.pipeline import SecretMount
from vedette.model.runtime import Runtime
from vedette.worker import slot


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from bench_in(tmp_path)


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
        "sleep 1000 & (setsid sleep 1000 &) ; set -- /proc/[0-9]*; echo $#"
    )
    code = bench.code("/bin/sh", stdin=(script,))
    results = bench.run(code, ONE, ONE, ONE)
    assert texts(results[0]) == texts(results[1]) == texts(results[2])
    empty = ["/dev/shm:", "", "/tmp:", *OWN_IN_TMP, "picture"]
    assert texts(results[0])[: len(empty)] == empty


def test_the_working_folder_is_there_and_writable(bench: Bench) -> None:
    bench.runtime = Runtime(working_dir="/tensorflow/models")
    assert texts(bench.sh("pwd; touch here && ls")) == ["/tensorflow/models", "here"]
    assert texts(bench.sh("pwd", working_dir="/elsewhere")) == ["/elsewhere"]


def test_secrets_as_files(bench: Bench) -> None:
    result = bench.sh(
        "cat /etc/mail/key", secrets=(SecretMount(name="mail", mount_path="/etc/mail"),)
    )
    assert texts(result) == ["s3cret"]


def test_a_killed_keeper_uses_up_a_try(bench: Bench, tmp_path: Path) -> None:
    """C2: out of memory takes the whole namespace."""
    code = bench.code("sh", "-c", "echo in; exec sleep 98.765", datum_tries=1)
    bench.source.submit(bench.source.task(code, ONE))
    # Before its command runs a death would cost no try.
    (command, *_) = wait_for(lambda: _running(b"98.765"))
    time.sleep(0.1)
    os.kill(_keeper_of(command), 9)
    (result,) = bench.source.wait(1)
    assert (result.state, result.tries) == ("failed", 1)
    assert "killed with all its processes" in result.reason
    assert bench.sh("echo fine").state == "success"


def _running(word: bytes) -> list[int]:
    """The processes that were started with a word."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            if word in file.read_bytes():
                found.append(int(file.parent.name))
    return found


def _keeper_of(process: int) -> int:
    """The child of this process that a process descends from."""
    while (parent := _parent(process)) != os.getpid():
        process = parent
    return process


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def patched(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Have every keeper run a line before it begins: a host that allows less than this one."""
    boot = slot._BOOT.replace("main(", f"from vedette.worker import root, syscalls\n{line}\nmain(")
    monkeypatch.setattr(slot, "_BOOT", boot)


def test_root_needs_no_user_namespace(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """R1: a container whose root may mount, but make no users."""
    if os.geteuid() != 0:
        pytest.skip("only root can do without a user namespace")
    patched(monkeypatch, "root.enter_user_namespace = lambda user, group: False")
    result = bench.sh(
        "cat $images; echo; grep CapEff /proc/self/status; ls /etc/shadow; ln -s $images /pfs/out/x"
    )
    assert texts(result, "stdout") == ["picture", "CapEff:\t0000000000000000"]
    assert outputs(result, bench) == {"/x": b"picture"}


@pytest.mark.parametrize(
    ("call", "user"), [("unshare", "import os\nos.geteuid = lambda: 1000"), ("mount", "")]
)
def test_a_host_that_allows_no_private_root_says_what_to_do(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str, user: str
) -> None:
    """R1: the command is refused, not run in the open."""
    patched(
        monkeypatch,
        f"def no(*_): raise PermissionError(1, 'forbidden')\nsyscalls.{call} = no\n" + user,
    )
    (result,) = bench.run(bench.code("true"), ONE)
    assert (result.state, result.outputs) == ("crash", ())
    assert "this host allows no private /pfs (forbidden): allow unprivileged" in result.reason


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
