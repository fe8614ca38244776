"""What an image name means on a host without a container engine."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from vedette.model.pipeline import PipelineSpec

_STAGE = ("python", "-m", "vedette.stage")


class Runtime(Struct, frozen=True, kw_only=True):
    """How the commands of an image run here.

    `process`: as a local process that sees the folders of `mount` (path inside: folder of the host)
    read-only. `python`: likewise, and a Python stage runs in a warm process of the pool `pool`,
    of which there are `slots` (None: as many as there are cores).
    """

    runtime: Literal["process", "python"] = "process"
    mount: dict[str, str] = {}
    working_dir: str = ""
    env: dict[str, str] = {}
    path: tuple[str, ...] = ()
    pool: str = ""
    slots: int | None = None


def stage_words(spec: PipelineSpec) -> tuple[str, ...] | None:
    """MODULE:FUNCTION and the words after it when `cmd` names a Python stage, else None."""
    transform = spec.transform
    if transform.cmd[:3] == _STAGE and len(transform.cmd) > 3 and not transform.stdin:
        return transform.cmd[3:]
    return None
