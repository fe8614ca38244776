"""The agent for a pool: what a launcher on this host starts."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

from vedette.model.work import Code, Pool, Source
from vedette.worker import cgroups
from vedette.worker.command_agent import CommandAgent
from vedette.worker.python_agent import PythonAgent
from vedette.worker.settings import Settings
from vedette.worker.staging import remove


def agent_for(
    pool: Pool, source: Source, codes: Callable[[str], Code], settings: Settings
) -> PythonAgent | CommandAgent:
    """The agent that serves a pool's workers on this host."""
    sweep(settings.scratch)
    kind = PythonAgent if pool.kind == "python" else CommandAgent
    return kind(pool, source, codes, settings)


def sweep(scratch: Path) -> None:
    """Remove the folders and control groups of workers whose server was killed."""
    cgroups.sweep()
    if not scratch.is_dir():
        return
    for folder in list(scratch.iterdir()):
        words = re.fullmatch(rf"{re.escape(socket.gethostname())}-(\d+)-.*", folder.name)
        if words is not None and not _alive(int(words[1])):
            remove(folder)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
