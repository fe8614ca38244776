"""Stages that do next to nothing: what is left when they run is the platform's own work."""

from __future__ import annotations

from vedette.stage import Datum


def link(datum: Datum) -> None:
    """Pass every input file on under its own path, by reference: no byte is moved."""
    for given in datum.inputs.values():
        for file in given.files:
            datum.link(file.path, file)


def nothing(datum: Datum) -> None:
    """Read nothing and write nothing."""


def note(datum: Datum) -> None:
    """Write one small file for each input file, beside its path, without reading it."""
    for given in datum.inputs.values():
        for file in given.files:
            datum.write(f"{file.path}.txt", b"%d\n" % file.size)


def copy(datum: Datum) -> None:
    """Write each input file's bytes under its own path."""
    for given in datum.inputs.values():
        for file in given.files:
            datum.write(file.path, file.read())
