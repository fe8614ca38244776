"""Joins the operations of the API to what carries them out."""

from __future__ import annotations

from vedette.client.operations import ENDPOINTS
from vedette.server import (
    changes,
    commits,
    direct,
    files,
    jobs,
    keeping,
    life,
    pipelines,
    repos,
    secrets,
    status,
    tokens,
    why,
    workers,
    writes,
)
from vedette.server.call import Handler
from vedette.server.table import Operation, Table

_MODULES = (
    repos, commits, files, writes, changes, pipelines, jobs, life, status, tokens, secrets, workers,
    direct, keeping, why)  # fmt: skip


def handlers() -> dict[str, Handler]:
    """What carries out each operation: the function of its name."""
    found: dict[str, Handler] = {}
    for endpoint in ENDPOINTS:
        carriers = [m for m in _MODULES if hasattr(m, endpoint.name)]
        if len(carriers) != 1:
            raise LookupError(f"operation {endpoint.name} is carried out in {len(carriers)} places")
        found[endpoint.name] = getattr(carriers[0], endpoint.name)
    return found


def table() -> Table:
    """All operations."""
    of_name = handlers()
    return Table(Operation(endpoint, of_name[endpoint.name]) for endpoint in ENDPOINTS)
