"""The process that keeps one private root and starts user code in it.

It is two processes. The outer one stays on the host and ends everything when its standard input
closes, that is, when its agent has gone. The inner one is the first process of a PID namespace:
it builds the root, starts commands one at a time, and when a command has ended kills and reaps
whatever that left behind. It imports only what is light, for it starts with every worker.

Messages on its socket are marshalled values behind four bytes of length: requests
("run", argv, env, stdin, space), which is answered by ("begun",) and then by its end, ("resolve",
paths), ("list", folder, limit), ("copy", [(path, copy)]); for a command that lives longer than one
datum ("attend", ...), see `vedette.worker.lasting_command`; and for a warm stage process that gets
the socket for itself ("serve", argv, env, space). `space` bounds a process's address space; 0: not.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
from typing import Any

from vedette.worker import inside, lasting_command, root, syscalls
from vedette.worker.channel import receive, send
from vedette.worker.root import Layout

BROKEN = 97
"""Exit code: the root could not be built; standard error says why."""


def main(descriptor: int) -> None:
    """Serve the agent on an inherited socket; never returns."""
    layout = Layout(*receive(descriptor))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        own_users = root.enter_user_namespace(layout.user, layout.group)
        syscalls.unshare(syscalls.CLONE_NEWPID)
        child = os.fork()
    except OSError as error:
        _fail(_advice(error))
    if child == 0:
        _inner(descriptor, layout, own_users)
    os.close(descriptor)
    _outer(child)


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
        _, argv, env, stdin, space = request
        root.refresh(layout)
        send(descriptor, ("begun",))
        send(descriptor, (*_run(layout, argv, env, stdin, space), remarks))
    elif word == "attend":
        root.refresh(layout)
        lasting_command.attend(descriptor, layout, request[1:], remarks)
    elif word == "serve":
        _serve(descriptor, layout, *request[1:])
    elif word not in lasting_command.UNANSWERED:  # those came when the command had ended
        send(descriptor, inside.look(request))


def _run(
    layout: Layout, argv: list[str], env: dict[str, str], stdin: bytes | None, space: int
) -> tuple[str, int | str, float, float]:
    """Run one command to its end: ("exit", code, seconds, CPU seconds) or ("cannot", why, 0, 0)."""
    started, used = time.perf_counter(), inside.cpu_of_children()
    child = inside.spawn(layout, argv, env, stdin, space)
    if isinstance(child, str):
        return "cannot", child, 0.0, 0.0
    code = _wait(child)
    return "exit", code, time.perf_counter() - started, inside.cpu_of_children() - used


def _wait(child: int) -> int:
    """Wait for the command, then kill and reap everything that it left running."""
    while True:
        done, status = os.waitpid(-1, 0)
        if done == child:
            inside.end_all()
            return os.waitstatus_to_exitcode(status)


def _serve(
    descriptor: int, layout: Layout, argv: list[str], env: dict[str, str], space: int
) -> None:
    """Start a warm process that owns the socket from now on, and end with it."""
    os.chdir(layout.workdir)
    os.set_inheritable(descriptor, True)
    child = inside.start(argv[0], argv, env, space=space)
    os.close(descriptor)
    while True:
        done, status = os.waitpid(-1, 0)
        if done == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(int(sys.argv[1]))
