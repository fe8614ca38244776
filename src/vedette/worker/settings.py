"""What every agent needs to know about the host."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from vedette.model.pipeline import PipelineSpec
from vedette.model.runtime import Runtime

RuntimeOf = Callable[[PipelineSpec], Runtime | str]
"""What a spec's image means here, or a line that says what to do when that is not known."""


class Settings(Struct, frozen=True, kw_only=True):
    """`scratch` holds the workers' folders, `hidden` are folders that user code must not see.

    Times are seconds: between two signs of life (ENGINE C2), of waiting for work by a worker that
    is not wanted any more, and for a running datum to end when the server stops.
    """

    scratch: Path
    runtime_of: RuntimeOf
    hidden: tuple[str, ...] = ()
    heartbeat: float = 3.0
    idle: float = 60.0
    grace: float = 5.0


def worker_name(pool: str) -> str:
    """A name that no other worker of the installation has."""
    return f"{socket.gethostname()}-{os.getpid()}-{pool}-{secrets.token_hex(4)}"


def worker_folder(settings: Settings, name: str) -> Path:
    """The folder of a worker, to be made and removed by it."""
    return settings.scratch / name.replace("/", "_").replace(":", "_")
