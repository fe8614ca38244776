"""The process that keeps one private root and starts user code in it.

It is two processes. The outer one stays on the host and ends everything when its standard input
closes, that is, when its agent has gone. The inner one is the first process of a PID namespace:
it builds the root, starts commands one at a time, and when a command has ended kills and reaps
whatever that left behind. It imports only what is light, for it starts with every worker.

Messages on its socket are marshalled values behind four bytes of length: requests
("run", argv, env, stdin), ("resolve", paths), ("list", folder, limit), ("copy", [(path, copy)])
and, for a warm stage process that gets the socket for itself, ("serve", argv, env).
"""

from __future__ import annotations

import contextlib
import marshal
import os
import resource
import select
import signal
import stat
import struct
import sys
import time
from typing import Any

from vedette.worker import root, syscalls
from vedette.worker.root import Layout

BROKEN = 97
"""Exit code: the root could not be built; standard error says why."""


def main(descriptor: int) -> None:
    """Serve the agent on an inherited socket; never returns."""
    layout = Layout(*receive(descriptor))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        own_users = root.enter_user_namespace()
        syscalls.unshare(syscalls.CLONE_NEWPID)
        child = os.fork()
    except OSError as error:
        _fail(_advice(error))
    if child == 0:
        _inner(descriptor, layout, own_users)
    os.close(descriptor)
    _outer(child)


def receive(descriptor: int) -> Any:
    """The next message; ends the process when the agent has gone."""
    (length,) = struct.unpack("<I", _exactly(descriptor, 4))
    return marshal.loads(_exactly(descriptor, length))  # noqa: S302 - only the agent writes here


def send(descriptor: int, message: Any) -> None:
    """Send one message."""
    body = marshal.dumps(message)
    data = memoryview(struct.pack("<I", len(body)) + body)
    while data:
        data = data[os.write(descriptor, data) :]


def _exactly(descriptor: int, count: int) -> bytes:
    parts = []
    while count:
        part = os.read(descriptor, min(count, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _fail(reason: str) -> Any:
    os.write(2, reason.encode("utf-8", "replace"))
    os._exit(BROKEN)


def _advice(error: OSError) -> str:
    return (
        f"this host allows no private /pfs ({error.strerror or error}): allow unprivileged user "
        "namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "
        "kernel.apparmor_restrict_unprivileged_userns=0), or run the server as root"
    )


def _outer(child: int) -> None:
    """Wait for the inner process, and end it when standard input closes."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write_end)
    for ignored in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a Ctrl-C at the terminal is the agent's affair
        signal.signal(ignored, signal.SIG_IGN)
    os.close(1)
    waiting = select.poll()
    waiting.register(0, select.POLLIN | select.POLLHUP)
    waiting.register(read_end, select.POLLIN)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
        for ready, _ in waiting.poll():
            if ready == 0:
                os._exit(0)  # the inner process is killed by the kernel with this one
            os.read(read_end, 4096)


def _inner(descriptor: int, layout: Layout, own_users: bool) -> None:
    try:
        syscalls.die_with_parent()
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        remarks = root.build(layout, own_users=own_users)
        syscalls.give_up_privileges()
        _expect_to_be_killed_first()
        for ignored in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ignored, signal.SIG_DFL)
        os.umask(0o022)
    except OSError as error:
        reason = error.strerror or str(error)
        _fail(_advice(error) if error.errno in (1, 13) else f"the private root failed: {reason}")
    while True:
        _answer(descriptor, layout, receive(descriptor), remarks)
        remarks = []


def _expect_to_be_killed_first() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("500")
    except OSError:
        return  # without it the kernel chooses by size alone


def _answer(descriptor: int, layout: Layout, request: Any, remarks: list[str]) -> None:
    word = request[0]
    if word == "run":
        _, argv, env, stdin = request
        root.refresh(layout)
        send(descriptor, (*_run(layout, argv, env, stdin), remarks))
    elif word == "resolve":
        send(descriptor, [_resolve(path) for path in request[1]])
    elif word == "list":
        send(descriptor, _list(request[1], request[2]))
    elif word == "copy":
        send(descriptor, [_copy(*pair) for pair in request[1]])
    elif word == "serve":
        _serve(descriptor, layout, request[1], request[2])


def _run(
    layout: Layout, argv: list[str], env: dict[str, str], stdin: bytes | None
) -> tuple[str, int | str, float, float]:
    """Run one command to its end: ("exit", code, seconds, CPU seconds) or ("cannot", why, 0, 0)."""
    started, used = time.perf_counter(), _cpu_of_children()
    try:
        os.chdir(layout.workdir)
        program = _find(argv[0], env.get("PATH", ""))
        actions: list[Any] = []
        if stdin is not None:
            memory = os.memfd_create("stdin")
            os.write(memory, stdin)
            os.lseek(memory, 0, os.SEEK_SET)
            actions.append((os.POSIX_SPAWN_DUP2, memory, 0))
        try:
            child = os.posix_spawn(
                program, argv, env, file_actions=actions, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ]
            )
        finally:
            if stdin is not None:
                os.close(memory)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return "cannot", f"command {argv[0]!r} cannot be started: {reason}", 0.0, 0.0
    code = _wait(child)
    return "exit", code, time.perf_counter() - started, _cpu_of_children() - used


def _wait(child: int) -> int:
    """Wait for the command, then kill and reap everything that it left running."""
    code = 0
    while True:
        done, status = os.waitpid(-1, 0)
        if done == child:
            code = os.waitstatus_to_exitcode(status)
            break
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return code


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _find(name: str, path: str) -> str:
    if "/" in name:
        return name
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{name}"
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    raise FileNotFoundError(2, f"not found in PATH {path}")


def _resolve(path: str) -> tuple[str, str]:
    """What a symbolic link leads to, seen from inside: ("file"|"dir"|"missing"|"special", path)."""
    try:
        real = os.path.realpath(path, strict=True)
        mode = os.stat(real).st_mode
    except OSError:
        return "missing", path
    if real.split("/")[1] in ("proc", "sys", "dev"):
        return "special", real
    if stat.S_ISDIR(mode):
        return "dir", real
    return ("file" if stat.S_ISREG(mode) else "special"), real


def _list(folder: str, limit: int) -> list[str] | str:
    """The files below a visible directory, relative to it, or why there is no list."""
    found = []
    for above, folders, names in os.walk(folder):
        for name in names + [name for name in folders if os.path.islink(f"{above}/{name}")]:
            kind, _ = _resolve(f"{above}/{name}")
            if kind != "file":
                return f"{above}/{name} in it is not a file"
            found.append(f"{above}/{name}"[len(folder) :])
        if len(found) > limit:
            return f"it holds more than {limit} files"
    return found


def _copy(path: str, copy: str) -> tuple[int, str]:
    """Copy a visible file into a new file below /pfs: (bytes, why not)."""
    count = 0
    try:
        source = os.open(os.path.realpath(path), os.O_RDONLY | os.O_NOFOLLOW)
        target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        while moved := os.sendfile(target, source, None, 1 << 24):
            count += moved
        os.close(source)
        os.close(target)
    except OSError as error:
        return 0, error.strerror or str(error)
    return count, ""


def _serve(descriptor: int, layout: Layout, argv: list[str], env: dict[str, str]) -> None:
    """Start a warm process that owns the socket from now on, and end with it."""
    os.chdir(layout.workdir)
    os.set_inheritable(descriptor, True)
    child = os.posix_spawn(argv[0], argv, env, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])
    os.close(descriptor)
    while True:
        done, status = os.waitpid(-1, 0)
        if done == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(int(sys.argv[1]))
