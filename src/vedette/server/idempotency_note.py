"""What a call with a key notes in the transaction that carries it out."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import msgspec

from vedette.model.files import WriteResult
from vedette.versioning import idempotency
from vedette.versioning.transaction import Transaction

T = TypeVar("T")
current: ContextVar[bytes | None] = ContextVar("once", default=None)
"""The digest of the key of the call that is being carried out."""
_encode = msgspec.msgpack.Encoder().encode


def noted(work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
    """Work that notes the key of the call that it belongs to, if it has one."""
    key = current.get()
    if key is None:
        return work

    def carried(tx: Transaction) -> T:
        answer = work(tx)
        idempotency.note(tx, key, _kept(answer))
        return answer

    return carried


def _kept(answer: Any) -> bytes | None:
    data = _encode(answer)
    if len(data) > idempotency.ANSWER_BYTES and isinstance(answer, WriteResult):
        data = _encode(msgspec.structs.replace(answer, objects=()))
    return data if len(data) <= idempotency.ANSWER_BYTES else None
