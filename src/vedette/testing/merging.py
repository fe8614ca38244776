"""One output tree from what several datums wrote (ENGINE M1 to M3), by brute force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from vedette.model.paths import parents
from vedette.model.pipeline import PipelineSpec


class Written(Struct, frozen=True):
    """What the datum at a place in the list of a job's datums wrote; `order` sorts datums.

    `there` says that the last good commit has it already: then it is the earlier of two that clash.
    """

    at: int
    order: str
    outputs: Mapping[str, bytes]
    there: bool = False


def merged(
    spec: PipelineSpec, written: Sequence[Written]
) -> tuple[dict[str, bytes], str, list[int]]:
    """The tree, why there is none ("" if there is one), and the datums that failed by a clash.

    A clash fails the job, or under `on_datum_failure: datum` the later datum alone.
    """
    parts: dict[str, list[bytes]] = {}
    lost: list[int] = []
    may_clash = spec.output_conflict in ("error", "identical")
    for each in sorted(written, key=lambda w: (may_clash and not w.there, w.order, w.at)):
        clash = next((path for path in each.outputs if _clashes(spec, parts, each, path)), None)
        if clash is None:
            for path, data in each.outputs.items():
                parts.setdefault(path, []).append(data)
        elif spec.on_datum_failure == "job":
            return {}, f"{clash} was written by two datums", []
        else:
            lost.append(each.at)
    return {path: _one(spec, found) for path, found in parts.items()}, "", lost


def _clashes(
    spec: PipelineSpec, parts: Mapping[str, list[bytes]], each: Written, path: str
) -> bool:
    others = [*parts, *(other for other in each.outputs if other != path)]
    if any(folder in others for folder in parents(path)):
        return True
    if any(other.startswith(path + "/") for other in others):
        return True
    if path not in parts:
        return False
    if spec.output_conflict == "identical":
        return parts[path][0] != each.outputs[path]
    return spec.output_conflict == "error"


def _one(spec: PipelineSpec, found: list[bytes]) -> bytes:
    if spec.output_conflict == "concat":
        return b"".join(found)
    return found[-1] if spec.output_conflict == "last" else found[0]
