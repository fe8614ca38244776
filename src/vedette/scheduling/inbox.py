"""What waits for the scheduler's next round: operations, and workers that ask for tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from vedette.model.errors import Unavailable
from vedette.model.work import Task
from vedette.scheduling.rounds import Round

T = TypeVar("T")


@dataclass
class Operation(Generic[T]):
    """Something to do in a round. `durable` ones are tried again until they succeed."""

    work: Callable[[Round], T]
    future: Future[T]
    durable: bool = False
    result: T | None = None
    error: BaseException | None = None


@dataclass
class Claim:
    """A worker that waits for tasks."""

    room: int
    future: Future[list[Task]]


@dataclass
class Inbox:
    """Operations in their order, and the newest claim of each worker."""

    operations: deque[Operation[Any]] = field(default_factory=deque)
    claims: dict[str, Claim] = field(default_factory=dict)

    def refuse(self) -> None:
        """Answer all that waits that the server is stopping."""
        for operation in self.operations:
            settle(operation.future, None, stopped())
        for claim in self.claims.values():
            settle(claim.future, [])


def stopped() -> Unavailable:
    """What those are told whom a server that ends cannot serve."""
    return Unavailable("the server is stopping: try again", retry_after=1)


def settle(future: Future[T], result: T | None, error: BaseException | None = None) -> bool:
    """Answer who waits; False if it has given up: a request may be cancelled at any moment."""
    if not future.set_running_or_notify_cancel():
        return False
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(cast(T, result))
    return True
