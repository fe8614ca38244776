"""What tests of keeping and deleting ask of an engine."""

from __future__ import annotations

import os
import time

from tests.rig import Rig

from vedette.model.ids import object_id
from vedette.model.keeping import Collected, Fault
from vedette.scheduling.upkeep import Upkeep
from vedette.versioning.check import Check
from vedette.versioning.collect import Policy

NOW = Policy(grace=0, worth=0.0)


def clock() -> int:
    return time.time_ns() // 1000


def upkeep(made: Rig, policy: Policy = NOW) -> Upkeep:
    return Upkeep(made.loop, clock, policy)


def faults(made: Rig, deep: bool = True) -> list[Fault]:
    return list(Check(made.store, made.objects, deep, clock()).faults())


def held(made: Rig) -> int:
    return sum(each.size for each in made.objects.held())


def known(made: Rig, data: bytes) -> bool:
    with made.store.read() as rows:
        return rows.one("object_size", id=object_id(data)) is not None


def age(made: Rig, data: bytes) -> None:
    """Make an object's file as old as can be."""
    name = object_id(data).hex()
    os.utime(made.folder / "objects" / name[:2] / name[2:], ns=(0, 0))


def until_nothing_is_left(made: Rig) -> Collected:
    """Packs go in the run after the one that emptied them."""
    total = upkeep(made).collect()
    upkeep(made).collect()
    return total
