"""The Linux system calls that make a private root, and that Python does not offer.

Numbers and flags are those of the kernel's uapi headers (sched.h, mount.h, prctl.h), which never
change. Every function raises `OSError` with the call's name.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
IN_OPEN = 0x20

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SYS_MOUNT_SETATTR = 442  # the same on every architecture
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
_LAST_CAPABILITY = 63

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` names for new ones."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2); an empty string stands for NULL."""
    words = (os.fsencode(word) if word else None for word in (source, target, kind))
    given_source, given_target, given_kind = words
    data = options.encode() if options else None
    result = _libc.mount(given_source, given_target, given_kind, ctypes.c_ulong(flags), data)
    _check(result, f"mount {source or kind} on {target}")


def unmount(target: str) -> None:
    """Detach what is mounted on `target`."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def make_read_only(target: str, *, recursive: bool) -> None:
    """Take writing, set-user-id and devices from a mount, and from all mounts below it.

    Kernels before 5.12 lack the call that does it below as well; there only the top is changed.
    """
    flags = MS_RDONLY | MS_NOSUID | MS_NODEV
    attributes = struct.pack("<QQQQ", flags, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR), ctypes.c_int(_AT_FDCWD), os.fsencode(target),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0), attributes,
        ctypes.c_size_t(len(attributes)),
    )  # fmt: skip
    if result < 0:
        kept = os.statvfs(target).f_flag & MS_NOEXEC
        mount("", target, "", MS_REMOUNT | MS_BIND | flags | kept)


def pivot_into(root: str) -> None:
    """Make `root`, which must be a mount, the root directory, and let the old one go."""
    os.chdir(root)
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(38, f"pivot_root: not known on {os.uname().machine}")
    _check(_libc.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    unmount(".")
    os.chdir("/")


def die_with_parent() -> None:
    """Be killed when the parent process ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(9), 0, 0, 0), "prctl PDEATHSIG")


def give_up_privileges() -> None:
    """See to it that no program started from here holds or gains a capability.

    The caller keeps its own: it must still mount and kill.
    """
    for capability in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            break  # the kernel knows no more of them
    _libc.prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "prctl NO_NEW_PRIVS")


def watch_opening() -> int:
    """A descriptor that tells, by inotify(7), when a watched file is opened."""
    descriptor = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    _check(descriptor, "inotify_init1")
    return int(descriptor)


def watch(descriptor: int, path: str) -> int:
    """Watch one file for being opened; the number under which it will be told."""
    number = _libc.inotify_add_watch(descriptor, os.fsencode(path), ctypes.c_uint32(IN_OPEN))
    _check(number, f"inotify_add_watch {path}")
    return int(number)


def loopback_up() -> None:
    """Bring up 127.0.0.1 in a new network namespace."""
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        answer = fcntl.ioctl(channel, siocgifflags, struct.pack("16sH14x", b"lo", 0))
        (flags,) = struct.unpack_from("H", answer, 16)
        fcntl.ioctl(channel, siocsifflags, struct.pack("16sH14x", b"lo", flags | iff_up))
