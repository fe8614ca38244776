"""The input tree of a pipeline: leaves that select files, and nodes that combine them."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct


class Trigger(Struct, frozen=True, kw_only=True):
    """When a triggered input's branch moves to the head of `branch` (ENGINE T6).

    `rate` is in seconds, `size` in bytes; `all` asks for every condition instead of any.
    `cron_spec` is a condition among them; `rate_limit_spec` comes on top: after a move, none before
    its next time. Both are schedules (`vedette.model.schedule`).
    """

    branch: str = ""
    rate: float | None = None
    size: int | None = None
    commits: int | None = None
    cron_spec: str = ""
    rate_limit_spec: str = ""
    all: bool = False


class Pfs(Struct, frozen=True, kw_only=True, tag="pfs"):
    """Files of one branch, one datum per match of `glob` (ENGINE D1)."""

    name: str
    repo: str
    branch: str = "master"
    glob: str
    lazy: bool = False
    empty_files: bool = False
    join_on: str = ""
    outer_join: bool = False
    group_by: str = ""
    trigger: Trigger | None = None
    reference: bool = False


class Cron(Struct, frozen=True, kw_only=True, tag="cron"):
    """One file per tick of a clock (ENGINE D6). `start` is RFC 3339, or "" for the creation."""

    name: str
    spec: str
    repo: str
    start: str = ""
    overwrite: bool = False

    @property
    def branch(self) -> str:
        """The branch of the ticks."""
        return "master"

    @property
    def glob(self) -> str:
        """Each tick is a datum."""
        return "/*"


class Cross(Struct, frozen=True, tag="cross"):
    """The product of its children (ENGINE D3)."""

    children: tuple[Input, ...]


class Union(Struct, frozen=True, tag="union"):
    """Its children, one after the other (ENGINE D2)."""

    children: tuple[Input, ...]


class Join(Struct, frozen=True, tag="join"):
    """Matches of its children that share a key (ENGINE D4)."""

    children: tuple[Input, ...]


class Group(Struct, frozen=True, tag="group"):
    """All matches of its children by key (ENGINE D5)."""

    children: tuple[Input, ...]


Input = Pfs | Cron | Cross | Union | Join | Group


def leaves(tree: Input) -> Iterator[Pfs | Cron]:
    """The leaves of an input tree, from left to right."""
    if isinstance(tree, Pfs | Cron):
        yield tree
    else:
        for child in tree.children:
            yield from leaves(child)
