"""What the delivery ledger holds: one JSON file an alert key in repo `deliveries` (CAMERAS 6)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from vedette.model.errors import Corrupt
from vedette_cameras.clock import rfc3339

REPO = "deliveries"
WRITER = "/.writer.json"
_ERRORS = "/on_error"
_SUMMARIES = "/summaries"

State = Literal[
    "gathering", "queued", "sending", "accepted", "failed", "late", "recorded", "suppressed"
]
OPEN: frozenset[str] = frozenset(("gathering", "queued", "sending"))
"""States after which something is still to happen. `failed` is a dead letter."""


class Threat(Struct, frozen=True, kw_only=True):
    """An object that the alert is about. `box` is relative: x1 y1 x2 y2; empty when not known."""

    label: str
    score: float
    box: tuple[float, ...] = ()


class Replay(Struct, frozen=True, kw_only=True):
    """A later verdict of the same picture, which sent nothing. `label` is empty for none."""

    at: datetime
    commit: str
    label: str = ""
    score: float = 0.0
    model: str = ""
    rules: str = ""


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One delivery. `key` is the picture's path in `images` (or the id of a summary).

    `kind`: `alert` tells of a threat, `error` of a picture that could not be looked at, `summary`
    of alerts that were decided late. `number` orders the ledger. States: gathering (a summary that
    still grows), queued, sending, accepted, failed (a dead letter), late (told by `summaries`),
    recorded (nobody to tell), suppressed (`reason`). Times are UTC.
    """

    key: str
    number: int
    kind: Literal["alert", "error", "summary"] = "alert"
    state: State
    reason: str = ""
    device: str = ""
    captured_at: datetime | None = None
    received_at: datetime | None = None
    decided_at: datetime
    label: str = ""
    score: float = 0.0
    threats: tuple[Threat, ...] = ()
    model: str = ""
    rules: str = ""
    commit: str = ""
    time_zone: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()
    summaries: tuple[str, ...] = ()
    message_id: str = ""
    channel: str = ""
    tries: int = 0
    next_try: datetime | None = None
    error: str = ""
    accepted_at: datetime | None = None
    provider_id: str = ""
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    examples: tuple[str, ...] = ()
    replays: tuple[Replay, ...] = ()

    @property
    def path(self) -> str:
        """Where it is in `deliveries`."""
        if self.kind == "alert":
            return alert_path(self.key)
        return f"{_ERRORS if self.kind == 'error' else _SUMMARIES}{self.key}.json"

    @property
    def open(self) -> bool:
        """Whether something is still to happen."""
        return self.state in OPEN

    @property
    def alerted(self) -> bool:
        """Whether the picture counts as alerted: a threat that was told, or is to be."""
        return self.kind == "alert" and self.state != "suppressed"


class Writer(Struct, frozen=True, kw_only=True):
    """Who may write the ledger: the holder of the highest fencing number.

    `cursor` is the number of the last commit of threat-detect whose verdicts are in the ledger.
    """

    fence: int
    holder: str
    since: datetime
    cursor: int = 0


class Alert(Struct, frozen=True, kw_only=True):
    """An alert as it is listed: one entry a picture, by its highest-scoring threat.

    `captured_at` is RFC 3339 in UTC, `model` a SHA-256, `rules` a commit id; `number` is what
    `after` takes.
    """

    number: int
    device: str
    captured_at: str | None
    label: str
    score: float
    image: str
    model: str
    rules: str
    state: str
    reason: str = ""
    threats: tuple[Threat, ...] = ()


_record = msgspec.json.Decoder(Record)
_writer = msgspec.json.Decoder(Writer)


def alert_path(image: str) -> str:
    """Where the ledger keeps the alert of a picture."""
    return f"{image}.json"


def encode(value: Record | Writer) -> bytes:
    """The bytes of a file of the ledger."""
    return msgspec.json.encode(value) + b"\n"


def decode_record(data: bytes, path: str) -> Record:
    """A record from its bytes; raises `Corrupt` naming the file."""
    try:
        return _record.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt(f"{REPO}:{path} is not a delivery: {error}") from None


def decode_writer(data: bytes) -> Writer:
    """The writer's record from its bytes."""
    try:
        return _writer.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt(f"{REPO}:{WRITER} is not a writer's record: {error}") from None


def listed(record: Record) -> Alert:
    """A record as it is listed."""
    return Alert(
        number=record.number,
        device=record.device,
        captured_at=rfc3339(record.captured_at) if record.captured_at else None,
        label=record.label,
        score=record.score,
        image=record.key,
        model=record.model,
        rules=record.rules,
        state=record.state,
        reason=record.reason,
        threats=record.threats,
    )
