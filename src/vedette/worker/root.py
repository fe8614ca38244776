"""Build the private root in which user code runs (ENGINE R1, R6).

A `Layout` says what is visible; `build` makes it so, by system calls alone, in a process that is
about to become the first of a PID namespace. Nothing that is not in the layout can be reached
afterwards: the host's root is unmounted.
"""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from vedette.worker import syscalls as sys_

_DEVICES = ("null", "zero", "full", "random", "urandom")
_SELF = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
         ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"))  # fmt: skip


class Layout(NamedTuple):
    """What user code sees.

    `base` is an empty directory to build on. `mounts` are (kind, host path, path inside), kinds
    being "read" and "write" for a directory or file of the host, and "hide" for an empty
    directory. `links` are symbolic links (path, target), `files` small files with their bytes and
    whether they are programs, `pipes` named pipes. `volatile` are directories that are empty again
    for each datum. `user` and `group` are the numbers that user code believes to run under.
    """

    base: str
    mounts: list[tuple[str, str, str]]
    links: list[tuple[str, str]]
    files: dict[str, tuple[bytes, bool]]
    pipes: list[str]
    volatile: list[str]
    workdir: str
    network: bool
    user: int
    group: int


def enter_user_namespace(inner_user: int, inner_group: int) -> bool:
    """Become `inner_user` of a user namespace that knows this one user; False where there is none.

    Outside of it nothing changes: files are read and written as before.

    Falls back on being root already. Raises `OSError` where neither is possible.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        sys_.unshare(sys_.CLONE_NEWUSER)
    except OSError:
        if user != 0:
            raise
        return False
    _put("/proc/self/setgroups", "deny")
    _put("/proc/self/uid_map", f"{inner_user} {user} 1")
    _put("/proc/self/gid_map", f"{inner_group} {group} 1")
    return True


def build(layout: Layout, *, own_users: bool) -> list[str]:
    """Make the root and move into it; returns remarks for the log."""
    flags = sys_.CLONE_NEWNS | sys_.CLONE_NEWIPC | sys_.CLONE_NEWUTS
    sys_.unshare(flags if layout.network else flags | sys_.CLONE_NEWNET)
    sys_.mount("", "/", "", sys_.MS_REC | sys_.MS_PRIVATE)
    base = layout.base
    _tmpfs(base, "mode=0755")
    for kind, source, target in sorted(layout.mounts, key=lambda mount: mount[2].count("/")):
        _attach(kind, source, base + target)
    _furnish(layout, base)
    _devices(base)
    for path in layout.volatile:
        os.makedirs(base + path, exist_ok=True)
        _fresh(path, layout, base)
    remarks = _proc(base)
    sys_.pivot_into(base)
    for kind, _, target in layout.mounts:
        if kind == "hide":
            sys_.make_read_only(target, recursive=False)
    for target in ("/dev", "/"):
        sys_.make_read_only(target, recursive=False)
    socket.sethostname("vedette")
    if not layout.network:
        sys_.loopback_up()
    if own_users:
        _forbid_more_namespaces()
    elif layout.user:
        remarks.append("transform.user is not enforced: this host allows no user namespaces")
    return remarks


def _furnish(layout: Layout, base: str) -> None:
    """Make the links, files and pipes of a layout."""
    for path, target in layout.links:
        if _volatile_above(path, layout.volatile) is None:
            _parent(base + path)
            os.symlink(target, base + path)
    for path, (data, program) in layout.files.items():
        _parent(base + path)
        _put(base + path, data, 0o755 if program else 0o644)
    for path in layout.pipes:
        _parent(base + path)
        os.mkfifo(base + path, 0o600)


def refresh(layout: Layout) -> None:
    """Empty the directories that user code may have written to."""
    for path in layout.volatile:
        if os.listdir(path):
            sys_.unmount(path)
            _fresh(path, layout, "")


def _fresh(path: str, layout: Layout, base: str) -> None:
    """An empty volatile directory, but for the links that the layout puts in it."""
    _tmpfs(base + path, "mode=1777")
    for link, target in layout.links:
        if _volatile_above(link, layout.volatile) == path:
            _parent(base + link)
            os.symlink(target, base + link)


def _volatile_above(path: str, volatile: list[str]) -> str | None:
    return next((folder for folder in volatile if path.startswith(folder + "/")), None)


def _attach(kind: str, source: str, target: str) -> None:
    if kind == "hide":
        os.makedirs(target, exist_ok=True)
        _tmpfs(target, "mode=0755")
        return
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        _parent(target)
        _put(target, b"")
    sys_.mount(source, target, "", sys_.MS_BIND | sys_.MS_REC)
    if kind == "read":
        sys_.make_read_only(target, recursive=True)


def _devices(base: str) -> None:
    os.makedirs(base + "/dev", exist_ok=True)
    _tmpfs(base + "/dev", "mode=0755")
    for name in _DEVICES:
        _put(f"{base}/dev/{name}", b"")
        sys_.mount(f"/dev/{name}", f"{base}/dev/{name}", "", sys_.MS_BIND)
    for name, target in _SELF:
        os.symlink(target, f"{base}/dev/{name}")


def _proc(base: str) -> list[str]:
    os.makedirs(base + "/proc", exist_ok=True)
    flags = sys_.MS_NOSUID | sys_.MS_NODEV | sys_.MS_NOEXEC
    try:
        sys_.mount("proc", base + "/proc", "proc", flags)
    except OSError as error:  # a container that masks parts of /proc allows no new one
        return [f"no /proc for user code on this host: {error.strerror}"]
    return []


def _forbid_more_namespaces() -> None:
    """Keep user code from gaining capabilities in a user namespace of its own."""
    try:
        _put("/proc/sys/user/max_user_namespaces", "0")
    except OSError:
        return  # an older kernel, or no /proc: no capability outside is at stake


def _tmpfs(target: str, options: str) -> None:
    sys_.mount("tmpfs", target, "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, options)


def _parent(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)


def _put(path: str, data: str | bytes, mode: int = 0o644) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, mode)
    try:
        os.write(descriptor, data.encode() if isinstance(data, str) else data)
    finally:
        os.close(descriptor)
