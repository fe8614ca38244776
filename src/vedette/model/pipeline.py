"""A pipeline as the platform understands it, whatever words its spec was written in.

`vedette.model.spec` reads Pachyderm's JSON into these values.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from vedette.model.inputs import Input


class SecretMount(Struct, frozen=True, kw_only=True):
    """A secret that user code sees, as a file tree or as one environment variable."""

    name: str
    mount_path: str = ""
    env_var: str = ""
    key: str = ""


class Transform(Struct, frozen=True, kw_only=True):
    """What runs: an image and a command in it (ENGINE R2, R3)."""

    image: str = ""
    cmd: tuple[str, ...]
    stdin: tuple[str, ...] = ()
    env: dict[str, str] = {}
    secrets: tuple[SecretMount, ...] = ()
    image_pull_secrets: tuple[str, ...] = ()
    accept_return_code: tuple[int, ...] = ()
    err_cmd: tuple[str, ...] = ()
    err_stdin: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    datum_batching: bool = False


class Limits(Struct, frozen=True, kw_only=True):
    """What user code may use at most: bytes of `memory`, `cpu` processors. 0 is no limit."""

    memory: int = 0
    cpu: float = 0.0


class DatumSet(Struct, frozen=True, kw_only=True):
    """How much of a job a worker holds at once, at most; 0 is no bound.

    `number` counts datums, `size_bytes` the bytes that they read; `per_worker` cuts a job into so
    many portions for each worker.
    """

    number: int = 0
    size_bytes: int = 0
    per_worker: int = 0


class Service(Struct, frozen=True, kw_only=True):
    """A command that answers requests: it listens on `internal_port`, and is reached at `ip`."""

    internal_port: int
    external_port: int
    ip: str = "127.0.0.1"


class Spout(Struct, frozen=True, kw_only=True):
    """A command that emits files. `marker` names the one that it finds again when it starts."""

    overwrite: bool = False
    marker: str = ""


class Egress(Struct, frozen=True, kw_only=True):
    """Where outputs are copied to. `secret` has the credentials, if not the server's own."""

    url: str
    secret: str = ""


OutputConflict = Literal["error", "concat", "first", "last", "identical"]


class PipelineSpec(Struct, frozen=True, kw_only=True):
    """A checked pipeline spec. Times are seconds; `document` is the spec as it was given.

    `parallelism` is `parallelism_spec.constant`; None leaves the number of workers to the server.
    """

    name: str
    transform: Transform
    input: Input
    description: str = ""
    parallelism: int | None = None
    output_branch: str = "master"
    datum_timeout: float | None = None
    job_timeout: float | None = None
    datum_tries: int = 3
    reprocess_every_job: bool = False
    reprocess_on_code_change: bool = False
    output_conflict: OutputConflict = "error"
    on_datum_failure: Literal["job", "datum"] = "job"
    compat: Literal["", "1.x"] = ""
    network: bool = False
    retain_age: float | None = None
    retain_last: int | None = None
    limits: Limits = Limits()
    datum_set: DatumSet | None = None
    service: Service | None = None
    spout: Spout | None = None
    egress: Egress | None = None
    document: dict[str, Any] = {}

    @property
    def standing(self) -> bool:
        """Whether its command runs on and on, without jobs or datums (ENGINE R10)."""
        return self.service is not None or self.spout is not None


class PipelineInfo(Struct, frozen=True, kw_only=True):
    """A pipeline as it stands. `spec` is its document, without the values of secrets."""

    name: str
    version: int
    created: datetime
    state: Literal["STARTING", "RUNNING", "PAUSED", "STANDBY", "CRASHING", "FAILURE"]
    reason: str = ""
    inputs: tuple[str, ...] = ()
    input: str = ""
    output: str = ""
    image: str = ""
    spec: dict[str, Any] = {}
    queued: int = 0
    running: int = 0
    failed: int = 0
    job: JobSummary | None = None


class JobSummary(Struct, frozen=True, kw_only=True):
    """The newest job of a pipeline."""

    id: str
    state: str
