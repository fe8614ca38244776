"""A folder that cameras, or a program on their behalf, put pictures into.

A file is taken when nobody has it open for writing and it has stopped changing. One that cannot be
taken is named once and holds up no other; one that cannot be taken *now* is tried again.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import stat
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from msgspec import Struct
from watchfiles import Change, awatch

from vedette.model.errors import Invalid, TooLarge, Unavailable, VedetteError
from vedette_cameras.devices import check_device
from vedette_cameras.ingest.brands import NameReader
from vedette_cameras.ingest.kinds import EXTENSIONS
from vedette_cameras.settings import Watch

TAKEN = frozenset((*EXTENSIONS, "jpeg", "jpe", "tif", "tiff", "heic", "heif", "avif", "jp2"))
"""Extensions that are pictures; those that are not supported become invalid with a reason."""

UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload", ".swp")
_F_SETSIG = 10  # Linux; Python's fcntl names it only from 3.13 on
_TICK = 0.1
_CLOSED_SETTLE = 0.1
_RESCAN = 300.0
_AT_ONCE = 16
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 60.0
_log = structlog.get_logger("vedette.cameras.folder")


class Found(Struct, frozen=True, kw_only=True):
    """A file that is ready. `device` is empty when its name has to tell; `name` holds folders."""

    path: Path
    name: str
    device: str
    modified: datetime
    size: int


Take = Callable[[Found], Awaitable[object]]


class _Seen:
    """A file that is waited for."""

    __slots__ = ("mark", "retry", "since", "wait")

    def __init__(self, mark: tuple[int, int], since: float) -> None:
        self.mark = mark
        self.since = since
        self.retry = 0.0
        self.wait = 0.0


class FolderWatch:
    """Watches one folder; a background service of the server, and `vedette cameras watch`."""

    def __init__(self, watch: Watch, take: Take, reader: NameReader, max_bytes: int) -> None:
        self.folder = Path(watch.folder).expanduser()
        self.watch = watch
        self.taken = 0
        self._take = take
        self._reader = reader
        self._max_bytes = max_bytes
        self._waiting: dict[str, _Seen] = {}
        self._busy: set[asyncio.Task[None]] = set()
        self._done: dict[str, tuple[int, int]] = {}
        self._scanned = -_RESCAN
        self._ready = False

    @property
    def name(self) -> str:
        """What the status shows."""
        return f"watch {self.folder}"

    async def pending(self) -> int:
        """Files that have been seen and are not taken yet."""
        if self._ready and self._now() - self._scanned > 1.0:
            self._scan()  # a file that was put a moment ago counts, before its event arrives
        return len(self._waiting) + len(self._busy)

    async def run(self) -> None:
        """Watch until cancelled."""
        if not self.folder.is_dir():
            raise Invalid(f"watch folder {self.folder} is not there: make it, or name another")
        self._ready = True
        self._scan()
        try:
            async for changes in awatch(
                self.folder, step=20, debounce=100, rust_timeout=int(_TICK * 1000),
                yield_on_timeout=True, watch_filter=None,
            ):  # fmt: skip
                for change, path in changes:
                    if change is not Change.deleted:
                        self._notice(path)
                if self._now() - self._scanned > _RESCAN:
                    self._scan()  # events can be lost when there are very many
                self._start_ready()
        finally:
            for task in self._busy:
                task.cancel()

    async def once(self) -> None:
        """Take what is there now, and return when it is taken or refused."""
        self._scan()
        while self._waiting or self._busy:
            self._start_ready()
            await asyncio.sleep(_TICK / 2)

    def _scan(self) -> None:
        self._scanned = self._now()
        for folder, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                self._notice(os.path.join(folder, name))  # noqa: PTH118  thousands at a time

    def _notice(self, path: str) -> None:
        base = path.rpartition("/")[2]
        if base.startswith(".") or base.endswith("~") or base.lower().endswith(UNFINISHED):
            return
        if base.rpartition(".")[2].lower() not in TAKEN:
            return
        mark = _mark(path)
        if mark is None or self._done.get(path) == mark:
            return
        seen = self._waiting.get(path)
        if seen is None or seen.mark != mark:
            self._waiting[path] = _Seen(mark, self._now())

    def _start_ready(self) -> None:
        now = self._now()
        for path, seen in list(self._waiting.items()):
            if len(self._busy) >= _AT_ONCE:
                return
            if seen.retry > now or now - seen.since < min(_CLOSED_SETTLE, self.watch.settle):
                continue
            mark = _mark(path)
            if mark is None:
                del self._waiting[path]
            elif mark != seen.mark:
                self._waiting[path] = _Seen(mark, now)
            elif _closed(path) or (now - seen.since >= self.watch.settle and _closed(path) is None):
                del self._waiting[path]
                task = asyncio.create_task(self._try(path, seen))
                self._busy.add(task)
                task.add_done_callback(self._busy.discard)

    async def _try(self, path: str, seen: _Seen) -> None:
        found = self._found(path, seen.mark)
        try:
            if found.size > self._max_bytes:
                raise TooLarge(f"{found.size:,} bytes: at most {self._max_bytes:,} are taken")
            await self._take(found)
        except (Unavailable, OSError) as error:
            self._again(path, seen, str(error))
            return
        except VedetteError as error:
            if error.status in (404, 507):
                self._again(path, seen, error.message)
                return
            _log.warning("picture refused", file=path, reason=error.message)
        else:
            self.taken += 1
            if self.watch.after == "delete":
                found.path.unlink(missing_ok=True)
                return
        self._done[path] = seen.mark

    def _again(self, path: str, seen: _Seen, reason: str) -> None:
        seen.wait = min(max(seen.wait * 2, _FIRST_RETRY), _LONGEST_RETRY)
        seen.retry = self._now() + seen.wait
        self._waiting.setdefault(path, seen)
        _log.warning("picture not taken yet", file=path, reason=reason, again_in=seen.wait)

    def _found(self, path: str, mark: tuple[int, int]) -> Found:
        relative = os.path.relpath(path, self.folder)
        parsed = self._reader.read(relative)
        device = self.watch.device
        if parsed is not None and parsed.brand == "vedette":
            device = ""
        elif "/" in relative and not _is_date(top := relative.partition("/")[0]):
            try:
                device = check_device(top)
            except Invalid as error:
                _log.warning("sub-folder names no device", file=path, reason=error.message)
        return Found(
            path=Path(path),
            name=relative,
            device=device,
            modified=datetime.fromtimestamp(mark[1] // 1_000_000 / 1000, UTC),
            size=mark[0],
        )

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _mark(path: str) -> tuple[int, int] | None:
    """Size and time of a regular file, which tell whether it has changed; else None."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _closed(path: str) -> bool | None:
    """Whether nobody has the file open for writing; None when this system does not tell.

    A read lease is granted by Linux only then. It is given back at once; should somebody open the
    file in between, the signal is one that is ignored (the usual one would end this process).
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.fcntl(handle, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None
    except AttributeError:
        return None
    finally:
        os.close(handle)
    return True


def _is_date(folder: str) -> bool:
    return folder[:4].isdigit() and folder[4:5] == "-"
