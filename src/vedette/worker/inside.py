"""What a keeper does in its private root: start commands, end them, look at files.

It imports only what is light, for it starts with every worker.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
from typing import Any, NoReturn

from vedette.worker.root import Layout

_OURS = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores and that programs expect to find as they were."""


def look(request: Any) -> Any:
    """The answer to a question about what is visible: "resolve", "list" or "copy"."""
    word = request[0]
    if word == "resolve":
        return [_resolve(path) for path in request[1]]
    if word == "list":
        return _list(request[1], request[2])
    return [_copy(*pair) for pair in request[1]]


def spawn(
    layout: Layout, argv: list[str], env: dict[str, str], stdin: bytes | None, space: int
) -> int | str:
    """Start a command: its process, or why it cannot be started."""
    try:
        os.chdir(layout.workdir)
        program = _find(argv[0], env.get("PATH", ""))
        memory = None if stdin is None else _in_memory(stdin)
        try:
            return start(program, argv, env, memory, space)
        finally:
            if memory is not None:
                os.close(memory)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"command {argv[0]!r} cannot be started: {reason}"


def _in_memory(data: bytes) -> int:
    memory = os.memfd_create("stdin")
    os.write(memory, data)
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def start(
    program: str, argv: list[str], env: dict[str, str], stdin: int | None = None, space: int = 0
) -> int:
    """Start a program, with so many bytes of address space at most (0: any). Raises OSError."""
    if not space:
        actions: list[Any] = [] if stdin is None else [(os.POSIX_SPAWN_DUP2, stdin, 0)]
        return os.posix_spawn(program, argv, env, file_actions=actions, setsigdef=_OURS)
    failed, tell = os.pipe()  # closed by itself when the program starts
    child = os.fork()
    if child == 0:
        _become(program, argv, env, stdin, space, tell)
    os.close(tell)
    number = os.read(failed, 16)
    os.close(failed)
    if number:
        os.waitpid(child, 0)
        raise OSError(int(number), os.strerror(int(number)))
    return child


def _become(
    program: str, argv: list[str], env: dict[str, str], stdin: int | None, space: int, tell: int
) -> NoReturn:
    try:
        for number in _OURS:
            signal.signal(number, signal.SIG_DFL)
        if stdin is not None:
            os.dup2(stdin, 0)
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        os.execve(program, argv, env)  # noqa: S606 - commands run without a shell (ENGINE R2)
    except OSError as error:
        os.write(tell, str(error.errno).encode())
    finally:
        os._exit(127)


def end_all() -> None:
    """Kill and reap every process of the private root but this one."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def cpu_of_children() -> float:
    """Seconds of processor that children which have ended took."""
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
