"""In which order do pipelines come, so that data flows from the first to the last?"""

from __future__ import annotations

from collections.abc import Mapping, Set


def topological(reads: Mapping[str, Set[str]], writes: Mapping[str, str]) -> list[str]:
    """Pipelines so that each comes after those whose output it reads.

    `reads` has the branches that a pipeline reads, `writes` the one that it writes; branches are
    opaque strings. Names break ties, so the order depends on nothing else. A cycle, which creation
    refuses, would leave its pipelines at the end in name order.
    """
    maker = {branch: name for name, branch in writes.items()}
    left = {
        name: {maker[branch] for branch in branches if branch in maker} - {name}
        for name, branches in reads.items()
    }
    done: list[str] = []
    while left:
        ready = sorted(name for name, needs in left.items() if not needs & left.keys())
        if not ready:
            return done + sorted(left)
        done += ready
        for name in ready:
            del left[name]
    return done


def would_cycle(reads: Mapping[str, Set[str]], writes: Mapping[str, str], name: str) -> bool:
    """Whether the output of `name` comes back to it."""
    maker = {branch: pipeline for pipeline, branch in writes.items()}
    seen: set[str] = set()
    wave = {name}
    while wave:
        upstream = {maker[b] for p in wave for b in reads.get(p, frozenset()) if b in maker}
        if name in upstream:
            return True
        wave = upstream - seen
        seen |= upstream
    return False
