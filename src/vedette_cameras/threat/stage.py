"""`vedette_cameras.threat.stage:select`: the Python stage of the pipeline `threat-detect`."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from vedette.stage import Datum


class _Verdict(Struct, frozen=True):
    verdict: str


class _Judged(Struct, frozen=True):
    decision: _Verdict


def select(datum: Datum) -> None:
    """Pass on by reference the decisions of input `judge` whose verdict is `alert`."""
    for file in datum.inputs["judge"].files:
        if is_alert(file.read(), file.path):
            datum.link(file.path, file)


def is_alert(data: bytes, path: str) -> bool:
    """Whether a file of `judge` is an alert; raises `ValueError` for one without a decision."""
    try:
        return msgspec.json.decode(data, type=_Judged).decision.verdict == "alert"
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path} has no decision: {error}") from None
