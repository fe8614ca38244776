"""The operations by which workers on other hosts do their work."""

from __future__ import annotations

from typing import Any

from vedette.client.query import Number, Query
from vedette.client.transport import Endpoint
from vedette.model import hosts
from vedette.model.work import Code

_NONE = type(None)


class ObjectPart(Query, frozen=True, kw_only=True):
    """`session` is the host's that asks; at most `length` bytes from `offset` on."""

    session: str = ""
    offset: Number = 0
    length: Number | None = None


LIST_WORKER = Endpoint(
    name="list_worker", method="GET", path="/v1/workers", answer=list[hosts.HostInfo],
    summary="The hosts that have workers",
)  # fmt: skip
JOIN = Endpoint(
    name="join", method="POST", path="/v1/workers", body=hosts.Join, answer=hosts.Joined,
    summary="Begin to work for this server",
    once=False,
)  # fmt: skip
LEAVE = Endpoint(
    name="leave", method="DELETE", path="/v1/workers/{session}", answer=_NONE,
    summary="End a session: what its workers hold is free",
    once=False,
)  # fmt: skip
DEMAND = Endpoint(
    name="demand", method="POST", path="/v1/workers/{session}/demand", body=hosts.AskDemand,
    answer=hosts.Demand, summary="How many workers are wanted, once that has changed",
    once=False,
)  # fmt: skip
REGISTER = Endpoint(
    name="register", method="POST", path="/v1/workers/{session}/workers", body=hosts.NewWorker,
    answer=_NONE, summary="Make a worker known",
    once=False,
)  # fmt: skip
WORK = Endpoint(
    name="work", method="POST", path="/v1/workers/{session}/workers/{worker}/work",
    body=hosts.Work, answer=hosts.Given, summary="Hand in results and ask for tasks",
    once=False,
)  # fmt: skip
BEAT = Endpoint(
    name="beat", method="POST", path="/v1/workers/{session}/beat", body=hosts.Beat,
    answer=hosts.Beaten, summary="Say that workers live",
    once=False,
)  # fmt: skip
RELEASE = Endpoint(
    name="release", method="POST", path="/v1/workers/{session}/release", body=hosts.Release,
    answer=_NONE, summary="Say that workers have gone",
    once=False,
)  # fmt: skip
CODE = Endpoint(
    name="code", method="GET", path="/v1/workers/{session}/code/{key}", answer=Code,
    summary="A pipeline version and its secrets, for who holds one of its datums",
)  # fmt: skip
READ_OBJECT = Endpoint(
    name="read_object", method="GET", path="/v1/objects/{id}", query=ObjectPart, answer=bytes,
    summary="Bytes by their id; with scope worker those of datums at hand",
)  # fmt: skip
PUT_OBJECT = Endpoint(
    name="put_object", method="PUT", path="/v1/workers/{session}/objects", body=bytes,
    answer=hosts.Stored, summary="Upload an output, to be named in a result",
    once=False,
)  # fmt: skip

LINKS = Endpoint(
    name="links", method="POST", path="/v1/workers/{session}/links", body=hosts.AskLinks,
    answer=hosts.Links, summary="Where the store has the inputs of datums at hand",
    once=False,
)  # fmt: skip
UPLOAD = Endpoint(
    name="upload", method="POST", path="/v1/workers/{session}/uploads", body=hosts.AskUpload,
    answer=hosts.Upload, summary="Where an output may go, and whether it has arrived",
    once=False,
)  # fmt: skip

WORKER_ENDPOINTS: tuple[Endpoint[Any], ...] = (
    LIST_WORKER, JOIN, LEAVE, DEMAND, REGISTER, WORK, BEAT, RELEASE, CODE, READ_OBJECT, PUT_OBJECT,
    LINKS, UPLOAD,
)  # fmt: skip
