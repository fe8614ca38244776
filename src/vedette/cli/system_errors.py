"""What the system refuses on this side of the wire, as errors with a way out."""

from __future__ import annotations

import errno

from vedette.model.errors import Forbidden, Invalid, NoSpace, NotFound, VedetteError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def meaning(error: OSError) -> VedetteError:
    """The error of ours that says what happened, to which file, and what to do."""
    what = error.filename or "the output"
    if error.errno in _FULL:
        return NoSpace(f"{what}: the disk is full: make room, then again")
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{what}: No such file or directory: name one that is there")
    if isinstance(error, IsADirectoryError):
        return Invalid(f"{what} is a folder: name a file")
    if isinstance(error, NotADirectoryError | FileExistsError):
        return Invalid(f"{what} is there, and no folder: name another place")
    if isinstance(error, PermissionError):
        return Forbidden(f"{what}: permission denied: ask as a user who may, or name another place")
    return VedetteError(f"{error.filename}: {error.strerror}" if error.filename else str(error))
