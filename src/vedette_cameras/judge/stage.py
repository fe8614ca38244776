"""`vedette_cameras.judge.stage:judge`: the Python stage of the pipeline `judge`."""

from __future__ import annotations

from vedette.stage import Datum, File, Input, NotReady, warm
from vedette_cameras.judge.decide import decide, read_seen, with_decision
from vedette_cameras.judge.rules import Effective, RulesError, effective

_RULES_SIZE = 4096


def judge(datum: Datum) -> None:
    """Add a decision to each file of input `object`, under the rules of input `rules`.

    Raises `NotReady` for rules that cannot be meant: the pipeline waits for better ones.
    """
    rules = datum.inputs["rules"]
    for file in datum.inputs["object"].files:
        datum.write(file.path, judged(file, rules))


def judged(file: File, rules: Input) -> bytes:
    """Object-detect's file with its decision."""
    device, stamp = device_and_stamp(file.path)
    data = file.read()
    try:
        held = rules_for(rules, device)
        decision = decide(read_seen(data, file.path), held, rules.commit, device, stamp)
    except RulesError as error:
        raise NotReady(str(error)) from None
    return with_decision(data, decision)


def rules_for(rules: Input, device: str) -> Effective:
    """What holds for a device, worked out once per process and content of the `rules` repo."""
    key = "\n".join([device, *(f"{file.path} {file.object}" for file in rules.files)])
    return warm.get(
        "rules",
        key,
        lambda: effective({file.path: file.read for file in rules.files}, device),
        size=_RULES_SIZE,
    )


def device_and_stamp(path: str) -> tuple[str, str]:
    """Device and time of a result, from its path `/<device>/<time>.json`."""
    parts = path.strip("/").split("/")
    if len(parts) < 2:
        raise ValueError(f"{path} is not /<device>/<time>.json")
    return parts[-2], parts[-1].removesuffix(".json")
