"""The agent for a pool: what a launcher on this host starts."""

from __future__ import annotations

from collections.abc import Callable

from vedette.model.work import Code, Pool, Source
from vedette.worker.command_agent import CommandAgent
from vedette.worker.python_agent import PythonAgent
from vedette.worker.settings import Settings


def agent_for(
    pool: Pool, source: Source, codes: Callable[[str], Code], settings: Settings
) -> PythonAgent | CommandAgent:
    """The agent that serves a pool's workers on this host."""
    kind = PythonAgent if pool.kind == "python" else CommandAgent
    return kind(pool, source, codes, settings)
