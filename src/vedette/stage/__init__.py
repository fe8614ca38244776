"""What a stage written in Python imports.

A stage is a function of one argument, the datum, and of the words that follow its name in the
spec's `cmd`: `["python", "-m", "vedette.stage", "MODULE:FUNCTION", *ARGS]`. The platform runs it
in a warm process that serves many datums; anywhere else the same command runs one datum from the
real `/pfs`.

>>> def shout(datum: Datum) -> None:
...     file = datum.inputs["words"].file
...     datum.write(file.path, file.read().upper())
>>> datum = Datum.of(inputs={"words": {"/a.txt": b"hello"}})
>>> shout(datum)
>>> datum.outputs
{'/a.txt': b'HELLO'}
"""

from __future__ import annotations

from vedette.stage import warm
from vedette.stage.datum import Datum, File, Input, NotReady

__all__ = ["Datum", "File", "Input", "NotReady", "warm"]
