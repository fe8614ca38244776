"""What of the host user code may see: its tools, the Python environment, and no data.

System folders are read-only; of `/etc` only what programs need to run, no keys and no passwords;
no home folder, no data folder. The Python environment of the server is visible wherever it lies,
as is the source of packages installed in place.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import vedette
from vedette.model.runtime import Runtime
from vedette.worker.identity import Identity
from vedette.worker.root import Layout

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu",
           "/sys/devices/system")  # fmt: skip
_ETC = ("alternatives", "ca-certificates", "ca-certificates.conf", "fonts", "ImageMagick-6",
        "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "locale.alias", "magic",
        "mime.types", "nsswitch.conf", "pki/tls/certs", "protocols", "services", "ssl/certs",
        "ssl/openssl.cnf", "OpenCL", "terminfo", "timezone")  # fmt: skip
_NETWORK = ("resolv.conf", "hosts", "host.conf", "gai.conf")
_HOSTS = b"127.0.0.1 localhost vedette\n"
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON_LINK = "/run/vedette/bin"
DEFAULT_WORKDIR = "/tmp"  # noqa: S108 - inside the private root, where it is the datum's own


def python_folder() -> str:
    """The folder of the `python` that runs this, of the virtual environment if any."""
    return str(Path(sys.executable).parent)


def source_folders() -> list[str]:
    """The folders from which packages are imported, apart from those of Python itself."""
    own = str(Path(vedette.__file__).parent.parent)
    home = str(Path.home())
    found = [own]
    for entry in sys.path:
        folder = os.path.abspath(entry) if entry else os.getcwd()
        too_much = folder in ("/", home, os.getcwd(), tempfile.gettempdir())
        too_much = too_much or home.startswith(folder + "/")
        if os.path.isdir(folder) and folder not in found and not too_much:
            found.append(folder)
    return found


def python_path() -> str:
    """`PYTHONPATH` for user code: the source folders that Python would not find by itself."""
    own = (f"{sys.prefix}/", f"{sys.base_prefix}/")
    return ":".join(folder for folder in source_folders() if not folder.startswith(own))


def layout(
    runtime: Runtime,
    *,
    base: str,
    pfs: str | None,
    hidden: Sequence[str],
    network: bool = False,
    working_dir: str = "",
    secrets: dict[str, bytes] | None = None,
    identity: Identity | None = None,
    programs: dict[str, bytes] | None = None,
    pipes: Sequence[str] = (),
) -> Layout:
    """The private root for a runtime.

    `base` is an empty directory, `pfs` the host's folder that is to be `/pfs`, `hidden` folders of
    the host that must not be seen even where they lie within a visible one; `secrets` and
    `programs` are files by path, `pipes` paths of named pipes. Raises `OSError` when a folder to
    mount is missing.
    """
    identity = identity or Identity()
    mounts, links = _system()
    mounts += [("read", folder, folder) for folder in _own_folders(runtime)]
    for target, source in runtime.mount.items():
        if not os.path.exists(source):
            raise FileNotFoundError(2, f"mount {target!r} = {source!r}: there is no such folder")
        mounts.append(("read", os.path.abspath(source), _inside(target)))
    mounts = _without_repeats(mounts)
    mounts += _masks(mounts, [*hidden, str(Path.home())])
    names = _ETC + (_NETWORK if network else ())
    mounts += [("read", f"/etc/{n}", f"/etc/{n}") for n in names if os.path.exists(f"/etc/{n}")]
    plain = {"/etc/passwd": identity.users(), "/etc/group": identity.groups(), **(secrets or {})}
    if not network:
        plain["/etc/hosts"] = _HOSTS
    files = {path: (data, False) for path, data in plain.items()}
    files.update({path: (data, True) for path, data in (programs or {}).items()})
    if pfs is not None:
        mounts.append(("write", pfs, "/pfs"))
    links.append((f"{PYTHON_LINK}/python", sys.executable))
    links.append(("/var/tmp", "/tmp"))  # noqa: S108 - inside the private root
    volatile = [DEFAULT_WORKDIR, "/dev/shm"]  # noqa: S108 - likewise
    workdir = _inside(working_dir or runtime.working_dir or DEFAULT_WORKDIR)
    if workdir not in volatile and not _covered(workdir, mounts):
        volatile.append(workdir)
    mounts, more = _out_of_the_way(mounts, volatile)
    return Layout(
        base, mounts, links + more, files, list(pipes), volatile, workdir, network,
        identity.user, identity.group,
    )  # fmt: skip


def _system() -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
    mounts, links = [], []
    for folder in _SYSTEM:
        if os.path.islink(folder):
            links.append((folder, os.readlink(folder)))
        elif os.path.isdir(folder):
            mounts.append(("read", folder, folder))
    return mounts, links


def _own_folders(runtime: Runtime) -> list[str]:
    folders = [sys.prefix, sys.base_prefix, python_folder(), *source_folders()]
    for entry in runtime.path:
        folders += [entry, *_environment_of(entry)]
    found: list[str] = []
    for folder in folders:
        for path in (os.path.abspath(folder), os.path.realpath(folder)):
            if os.path.isdir(path) and path not in found and path != "/":
                found.append(path)
    return found


def _environment_of(folder: str) -> list[str]:
    """The virtual environment that a `bin` folder belongs to, and the Python that it stands on."""
    marker = Path(folder).parent / "pyvenv.cfg"
    if not marker.is_file():
        return []
    words = [line.partition("=") for line in marker.read_text("utf-8").splitlines()]
    homes = [value.strip() for key, _, value in words if key.strip() == "home"]
    return [str(marker.parent), *(str(Path(home).parent) for home in homes)]


def _without_repeats(mounts: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Leave out what is visible already at the same place through a folder above it."""
    kept: list[tuple[str, str, str]] = []
    for kind, source, target in sorted(mounts, key=lambda mount: mount[2].count("/")):
        above = [mount for mount in kept if target == mount[2] or target.startswith(mount[2] + "/")]
        same = [mount for mount in above if mount[1] + target[len(mount[2]) :] == source]
        if not same:
            kept.append((kind, source, target))
    return kept


def _masks(mounts: list[tuple[str, str, str]], hidden: Sequence[str]) -> list[tuple[str, str, str]]:
    masks = []
    for path in {os.path.realpath(folder) for folder in hidden if folder}:
        for _, source, target in mounts:
            if path.startswith(os.path.realpath(source) + "/") and os.path.isdir(path):
                masks.append(("hide", "", target + path[len(os.path.realpath(source)) :]))
    return masks


def _out_of_the_way(
    mounts: list[tuple[str, str, str]], volatile: list[str]
) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
    """Mount elsewhere what would lie in a directory that is emptied, and link to it from there."""
    moved, links = [], []
    for number, (kind, source, target) in enumerate(mounts):
        if any(target.startswith(folder + "/") for folder in volatile) and kind != "hide":
            place = f"/run/vedette/{number}"
            links.append((target, place))
            target = place
        moved.append((kind, source, target))
    return moved, links


def _covered(path: str, mounts: list[tuple[str, str, str]]) -> bool:
    """Whether a directory inside comes from the host."""
    for _, source, target in mounts:
        rest = path[len(target) :]
        if (path == target or path.startswith(target + "/")) and os.path.isdir(source + rest):
            return True
    return False


def _inside(path: str) -> str:
    clean = os.path.normpath("/" + path.strip("/"))
    return clean if clean != "/" else "/"
