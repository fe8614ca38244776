"""A host that works for a server: has as many workers as the server wants of it."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from os import getpid
from typing import Protocol

import structlog

from vedette.client import worker_endpoints as at
from vedette.model.errors import VedetteError
from vedette.model.hosts import AskDemand, Demand, Wanted
from vedette.model.pipeline import PipelineSpec
from vedette.model.work import Pool
from vedette.worker.remote_source import RemoteSource

Counts = Mapping[str, tuple[Pool, int]]
_PAUSE = 0.05
_log = structlog.get_logger("vedette.worker")


class Images(Protocol):
    """What image names mean on this host; see `vedette.launchers.runtimes`."""

    def problem(self, spec: PipelineSpec) -> str | None:
        """Why a spec cannot run here; None if it can."""

    def pool_of(self, spec: PipelineSpec) -> Pool:
        """The pool of this host that runs a spec."""


def host_name() -> str:
    """A name that no other host has: also not a copy of this one's disk or memory."""
    return f"{socket.gethostname()}-{getpid()}-{secrets.token_hex(4)}"


class Host:
    """Follows what the server wants. `wanted` is the launcher's.

    It serves the pipelines whose name matches `pattern` and whose image is known here.
    """

    def __init__(
        self, source: RemoteSource, images: Images, pattern: str, wanted: Callable[[Counts], None]
    ) -> None:
        self._source = source
        self._images = images
        self._pattern = pattern
        self._wanted = wanted
        self._specs: dict[str, PipelineSpec] = {}
        self._pools: dict[str, Pool] = {}
        self._told: set[str] = set()

    async def follow(self) -> None:
        """Until cancelled: learn what is wanted, and have it."""
        seen = 0
        while True:
            ask = AskDemand(seen=seen, known=tuple(self._specs))
            try:
                demand = await self._source.ask(at.DEMAND, {}, lambda: ask)  # noqa: B023 - called at once
            except VedetteError as error:
                _log.warning("what is wanted is not known", reason=error.message)
                await asyncio.sleep(1.0)
                continue
            seen = demand.number
            counts, serves = self._translated(demand)
            self._source.serve(serves)
            await asyncio.to_thread(self._wanted, counts)
            await asyncio.sleep(_PAUSE)

    def _translated(
        self, demand: Demand
    ) -> tuple[dict[str, tuple[Pool, int]], dict[str, tuple[str, tuple[str, ...]]]]:
        """The pools of this host that are wanted, and what each serves of which of the server's."""
        counts: dict[str, tuple[Pool, int]] = {}
        serves: dict[str, tuple[str, tuple[str, ...]]] = {}
        known: dict[str, PipelineSpec] = {}
        for wanted in demand.wanted:
            for key, (pool, names) in self._groups(wanted, known).items():
                counts[key] = (pool, min(wanted.count, pool.slots))
                serves[key] = (wanted.pool.key, tuple(sorted(names)))
        for key, pool in self._pools.items():
            counts.setdefault(key, (pool, 0))
        self._pools = {key: pool for key, (pool, _) in counts.items()}
        self._specs = known
        return counts, serves

    def _groups(
        self, wanted: Wanted, known: dict[str, PipelineSpec]
    ) -> dict[str, tuple[Pool, list[str]]]:
        """The pipelines of a pool of the server that are served here, by the pool of this host."""
        groups: dict[str, tuple[Pool, list[str]]] = {}
        for offer in wanted.offers:
            spec = offer.spec or self._specs.get(offer.code)
            if spec is None:
                continue  # it is told when it is asked for again
            known[offer.code] = spec
            if not fnmatchcase(offer.pipeline, self._pattern):
                continue
            problem = self._images.problem(spec)
            if problem is not None:
                self._tell_once(offer.pipeline, problem)
                continue
            own = self._images.pool_of(spec)
            same = own.key == wanted.pool.key
            key = own.key if same else f"{wanted.pool.key}@{own.key}"
            pool = Pool(key=key, kind=own.kind, slots=own.slots)
            groups.setdefault(key, (pool, []))[1].append(offer.pipeline)
        return groups

    def _tell_once(self, pipeline: str, problem: str) -> None:
        if problem not in self._told:
            self._told.add(problem)
            _log.warning("pipeline not served here", pipeline=pipeline, reason=problem)
