"""What PostgreSQL's errors mean to our callers. The password never gets into a message."""

from __future__ import annotations

import re

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from vedette.model.errors import Corrupt, Invalid, NoSpace, Unavailable, VedetteError

_REFUSED = (
    errors.InvalidPassword,
    errors.InvalidAuthorizationSpecification,
    errors.InvalidCatalogName,
    errors.InsufficientPrivilege,
)
# While connecting there are no codes, only words; whether that is for good nobody can tell.
_REFUSALS = ("authentication failed", "no password supplied", "no pg_hba.conf", "does not exist")
# What is said before there is a session comes as text only, without its SQLSTATE.
_LOGIN = (
    ("password authentication failed", "the user or the password is wrong"),
    ("no password supplied", "it asks for a password: put one into ~/.pgpass or PGPASSWORD"),
    ("authentication failed", "it does not take this user: see pg_hba.conf on its host"),
    ("no pg_hba.conf entry", "it lets nobody in from here: see pg_hba.conf on its host"),
    ("pg_hba.conf rejects", "it lets nobody in from here: see pg_hba.conf on its host"),
    ("is not permitted to log in", "the user may not log in: ALTER ROLE ... LOGIN"),
    ("permission denied for database", "the user may not connect to it: GRANT CONNECT"),
)
_MISSING = (
    (re.compile(r'database "(.*)" does not exist'), "there is no such database: create it"),
    (re.compile(r'role "(.*)" does not exist'), "there is no such user: create the role"),
)
_DAMAGED = (errors.DataCorrupted, errors.IndexCorrupted)
_AGAIN = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.OutOfMemory,
    errors.TooManyConnections,
)


def place(url: str) -> str:
    """Where a database is, for people: host, port and name, without user and password.

    Raises Invalid for what is not a connection string.
    """
    try:
        found = conninfo_to_dict(url)
    except psycopg.Error:
        raise Invalid("database: use postgresql://USER@HOST:PORT/NAME") from None
    host = found.get("host") or found.get("hostaddr") or "this machine"
    port = found.get("port") or 5432
    return f"database {found.get('dbname') or found.get('user') or 'postgres'} at {host}:{port}"


def meaning(error: psycopg.Error, where: str) -> VedetteError | None:
    """The error of ours that says what PostgreSQL's means, where it is not a program's fault."""
    said = first_line(error)
    if isinstance(error, errors.DiskFull):
        return NoSpace(f"the disk of the {where} is full: nothing was kept, make room")
    if isinstance(error, _DAMAGED):
        return Corrupt(f"the {where} is damaged ({said}): restore a backup")
    if isinstance(error, _REFUSED):
        return Invalid(f"the {where} refuses us ({said}): check its name, user and password")
    if error.sqlstate is None and (way_out := _login(said)):
        return Invalid(f"the {where} refuses us ({said}): {way_out}")
    if isinstance(error, _AGAIN):
        return Unavailable(f"the {where} is too busy ({said}): try again")
    if any(word in said for word in _REFUSALS) and error.sqlstate is None:
        return Unavailable(f"the {where} refuses us ({said}): check its name, user and password")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Unavailable(f"the {where} does not answer ({said}): try again")
    return None


def _login(said: str) -> str | None:
    """What to do where a login was refused; None for anything else that was said."""
    for words, way_out in _LOGIN:
        if words in said:
            return way_out
    return next((way_out for pattern, way_out in _MISSING if pattern.search(said)), None)


def first_line(error: psycopg.Error) -> str:
    """The first line of what the driver said, without the address that it repeats."""
    said = (error.diag.message_primary or str(error)).strip().splitlines() or ["no reason given"]
    return said[0].rpartition("failed: ")[2].removeprefix("FATAL:").strip()
