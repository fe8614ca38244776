"""Calls that are carried out once, however often they are sent.

A caller that hears no answer cannot know whether its call was carried out. It gives the call a key
and sends it again; what was done is noted with the key in the transaction that did it, so that the
second is refused there and answered as the first was.
"""

from __future__ import annotations

from vedette.metadata.store import Rows
from vedette.model.errors import Conflict
from vedette.versioning.transaction import Transaction

KEPT = 3_600_000_000
"""Microseconds that a call is known."""
LEAST = 300_000_000
"""Microseconds that it is known also where there are more than MOST."""
MOST = 100_000
ANSWER_BYTES = 64 << 10
STEP = 5_000


def note(tx: Transaction, key: bytes, answer: bytes | None) -> None:
    """Note that the transaction carries a call out. Raises Conflict when one before has."""

    def refuse_second(added: int) -> None:
        if not added:
            raise Conflict("this call was carried out already")

    tx.rows.later("once_note", refuse_second, key=key, made=tx.now, answer=answer)


def known(rows: Rows, key: bytes) -> tuple[bytes | None] | None:
    """What a call was answered, in a tuple; None if it is not known to have been carried out."""
    row = rows.one("once_known", key=key)
    return None if row is None else (row[0] if row[0] is None else bytes(row[0]),)


def due(rows: Rows, now: int) -> bool:
    """Whether there is something to forget."""
    row = rows.one("once_oldest")
    return row is not None and (
        row[0] < now - KEPT or (row[0] < now - LEAST and row[2] >= MOST)
    )  # fmt: skip


def forget(tx: Transaction) -> int:
    """Forget old calls, in one step of at most STEP; how many."""
    return tx.rows.run(
        "once_forget", step=STEP, old=tx.now - KEPT, young=tx.now - LEAST, most=MOST
    )  # fmt: skip
