"""What happened, told to whoever listens, after it has become durable."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened. Fields that do not apply are empty.

    kinds: `commit` (repo, branch, id, number), `job` (pipeline, id, state), `pipeline` (pipeline,
    state), `datum` (pipeline, id: job, number, state: failed), `round` (nothing else: the counts
    on a page may have changed).
    """

    kind: Literal["commit", "job", "pipeline", "datum", "round"]
    repo: str = ""
    branch: str = ""
    pipeline: str = ""
    id: str = ""
    number: int = 0
    state: str = ""
