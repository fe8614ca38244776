"""Every error that Vedette raises on purpose.

VedetteError
├── Invalid            what was asked for cannot be meant        HTTP 400   exit 2
│   ├── InvalidPath    a path in a repo breaks ENGINE P1
│   ├── InvalidName    a repo, branch or pipeline name breaks P6
│   ├── InvalidGlob    a malformed pattern (G5)
│   ├── InvalidSpec    a pipeline spec with faults, all of them (U6)
│   └── WrongMethod    an address does not answer to this method      405        exit 2
├── NotFound           no such repo, commit, file, job ...        404        exit 3
│   └── NotJoined      a host's session or worker is not known       404        exit 3
├── Conflict           it exists, is in use, or has moved on      409        exit 4
│   └── PathConflict   a path is a file or a directory (P4, M3)
├── TooLarge           over a limit on bytes or count             413        exit 5
├── Unauthorized       no token, or one that is not known         401        exit 6
├── Forbidden          the token does not allow it                403        exit 6
├── Gone               deleted for good, with a tombstone         410        exit 3
├── Unavailable        try again: starting, stopping, no worker   503        exit 7
├── NoSpace            the disk is full; nothing was accepted     507        exit 7
└── Corrupt            stored bytes are not what they should be   500        exit 8

Where Unavailable has a field `retry_after` (seconds), the call can be sent again: nothing of it has
been done, or its key keeps it from being done twice.

`kind` is stable and machine-readable. The HTTP layer maps kinds to status codes once, the command
line to exit codes once. A message names the thing, the value and the way out.
"""

from __future__ import annotations

from typing import ClassVar


class VedetteError(Exception):
    """Something went wrong in a way that Vedette foresaw."""

    kind: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "", **fields: str | int) -> None:
        super().__init__(message or (self.__doc__ or ""))
        self.fields = fields

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self.args[0])


class Invalid(VedetteError):
    """What was asked for cannot be meant."""

    kind, status, exit_code = "invalid", 400, 2


class InvalidPath(Invalid):
    """A path is not allowed in a repo."""

    kind = "invalid_path"


class InvalidName(Invalid):
    """A name is not allowed."""

    kind = "invalid_name"


class InvalidGlob(Invalid):
    """A glob pattern is malformed."""

    kind = "invalid_glob"


class InvalidSpec(Invalid):
    """A pipeline spec has faults."""

    kind = "invalid_spec"


class WrongMethod(Invalid):
    """The address is there, but not for this method."""

    kind, status = "wrong_method", 405


class NotFound(VedetteError):
    """There is no such thing."""

    kind, status, exit_code = "not_found", 404, 3


class NotJoined(NotFound):
    """The session of a host, or one of its workers, is not known: join or register again."""

    kind = "not_joined"


class Conflict(VedetteError):
    """It exists already, is in use, or has moved on."""

    kind, status, exit_code = "conflict", 409, 4


class PathConflict(Conflict):
    """A path is a file or a directory, never both."""

    kind = "path_conflict"


class TooLarge(VedetteError):
    """It is over a limit."""

    kind, status, exit_code = "too_large", 413, 5


class Unauthorized(VedetteError):
    """A token is needed: pass one with --token or VEDETTE_TOKEN."""

    kind, status, exit_code = "unauthorized", 401, 6


class Forbidden(VedetteError):
    """The token does not allow this."""

    kind, status, exit_code = "forbidden", 403, 6


class Gone(VedetteError):
    """It was deleted for good."""

    kind, status, exit_code = "gone", 410, 3


class Unavailable(VedetteError):
    """Not now: try again."""

    kind, status, exit_code = "unavailable", 503, 7


class NoSpace(VedetteError):
    """The disk is full; nothing was accepted."""

    kind, status, exit_code = "no_space", 507, 7


class OverQuota(NoSpace):
    """A limit that somebody has set would be passed; nothing was accepted."""


class Corrupt(VedetteError):
    """Stored bytes are not what their name says."""

    kind, status, exit_code = "corrupt", 500, 8


def subclasses(root: type[VedetteError] = VedetteError) -> dict[str, type[VedetteError]]:
    """Every error class by its `kind`, for turning an answer back into an exception."""
    found = {root.kind: root}
    for child in sorted(root.__subclasses__(), key=lambda each: each.kind):
        # A child without a kind of its own is its parent to whoever reads an answer.
        found = subclasses(child) | found
    return found
