"""What a file of threat-detect says, whichever pipelines wrote it.

The shipped ones pass on judge's file, which holds the decision; under the original's specs it is
object-detect's own, and what made it a threat is found out again from the rules that were used.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from vedette.client import Client
from vedette.model.errors import NotFound
from vedette_cameras import names
from vedette_cameras.alert.record import Threat
from vedette_cameras.alert.rules import RuleBook
from vedette_cameras.ingest.kinds import EXTENSIONS
from vedette_cameras.ingest.offer import IMAGES
from vedette_cameras.judge.decide import BadDetectionError, Step, decide, label_map, read_seen
from vedette_cameras.judge.rules import RulesError

PIPELINE = "threat-detect"


class Verdict(Struct, frozen=True, kw_only=True):
    """A threat that was found. `threats` are ordered by score, the highest first."""

    image: str
    device: str
    captured_at: datetime | None
    threats: tuple[Threat, ...]
    model: str
    rules: str


class _Object(Struct, frozen=True, kw_only=True):
    class_id: int = msgspec.field(name="class", default=0)
    score: str | float = "0"
    label: str = ""
    box: tuple[float, ...] = ()


class _Rules(Struct, frozen=True):
    commit: str = ""


class _Decision(Struct, frozen=True, kw_only=True):
    alert_key: str = ""
    rules: _Rules = _Rules()
    trace: tuple[Step, ...] = ()


class _Document(Struct, frozen=True, kw_only=True):
    objects: tuple[_Object, ...] = ()
    image: str = ""
    device: str = ""
    captured_at: datetime | None = None
    model: Any = None
    decision: _Decision | None = None


_decoder = msgspec.json.Decoder(_Document)


async def read(client: Client, rules: RuleBook, data: bytes, path: str, commit: str) -> Verdict:
    """The verdict in a file of threat-detect, as its commit has it.

    A file that cannot be read is still a threat that was found: it yields a verdict without labels.
    """
    device, stamp = _device_and_stamp(path)
    try:
        document = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        document = _Document()
    decision = document.decision
    used = decision.rules.commit if decision else await rules.used_by(PIPELINE, commit)
    chosen = _chosen(decision) if decision else await _judge(rules, used, data, path, device, stamp)
    objects = list(enumerate(document.objects))
    threats = [_threat(found, data, path) for n, found in objects if n in chosen]
    threats.sort(key=lambda threat: -threat.score)
    captured = document.captured_at
    if captured is None:
        try:
            captured = names.moment(stamp)
        except names.PictureNameError:
            captured = None
    image = (decision.alert_key if decision else "") or document.image
    return Verdict(
        image=image or await _find_image(client, device, stamp),
        device=document.device or device,
        captured_at=captured,
        threats=tuple(threats),
        model=_sha256(document.model),
        rules=used,
    )


def _device_and_stamp(path: str) -> tuple[str, str]:
    parts = path.strip("/").split("/")
    stamp = parts[-1].removesuffix(".json")
    return (parts[-2] if len(parts) > 1 else ""), stamp


def _chosen(decision: _Decision) -> frozenset[int]:
    """The objects that made it a threat: those that passed every step which asked about them."""
    asked = {step.object for step in decision.trace if step.object is not None}
    refused = {step.object for step in decision.trace if not step.passed}
    return frozenset(asked - refused)


async def _judge(
    rules: RuleBook, commit: str, data: bytes, path: str, device: str, stamp: str
) -> frozenset[int]:
    held = await rules.of(commit, device) if commit else None
    if held is None:
        return frozenset()
    try:
        decision = decide(read_seen(data, path), held, commit, device, stamp)
    except (BadDetectionError, RulesError):
        return frozenset()
    return frozenset(n.object for n in decision.trace if n.passed and n.object is not None)


def _threat(found: _Object, data: bytes, path: str) -> Threat:
    label = found.label
    if not label:
        try:
            label = label_map(read_seen(data, path)).label(found.class_id)
        except BadDetectionError:
            label = f"class {found.class_id}"
    try:
        score = float(found.score)
    except ValueError:
        score = 0.0
    return Threat(label=label, score=score, box=found.box if len(found.box) == 4 else ())


def _sha256(model: Any) -> str:
    if isinstance(model, dict):
        return str(model.get("sha256", ""))
    return model if isinstance(model, str) else ""


async def _find_image(client: Client, device: str, stamp: str) -> str:
    """The picture of a result that does not name it."""
    for extension in EXTENSIONS:
        path = f"/{device}_{stamp}.{extension}"
        try:
            await client.inspect_file(IMAGES, "master", path)
        except NotFound:
            continue
        return path
    return f"/{device}_{stamp}.jpg"
