"""The part of the API that keeps house: garbage, checks, retention, deleting for good."""

from __future__ import annotations

from typing import Any

from vedette.client.query import Query
from vedette.client.transport import Endpoint
from vedette.model import api, keeping
from vedette.model.files import RepoInfo

NONE = type(None)


class Full(Query, frozen=True, kw_only=True):
    """`full`: look at every object, not only at what was dropped somewhere."""

    full: bool = False


class Deep(Query, frozen=True, kw_only=True):
    """`deep`: also read and hash all bytes."""

    deep: bool = False


GARBAGE_COLLECT = Endpoint(
    name="garbage_collect", method="POST", path="/v1/garbage", query=Full,
    answer=keeping.Collected, summary="Let go of the bytes that nobody names any more",
    once=False,
)  # fmt: skip
FSCK = Endpoint(
    name="fsck", method="GET", path="/v1/fsck", query=Deep, answer=bytes,
    summary="Whether all that is needed is there, and nothing that was deleted; a line a fault",
    media="application/x-ndjson",
)  # fmt: skip

GET_RETAIN = Endpoint(
    name="get_retain", method="GET", path="/v1/repos/{repo}/retain", answer=keeping.Rule,
    summary="How long a repo keeps the bytes of its files",
)  # fmt: skip
PUT_RETAIN = Endpoint(
    name="put_retain", method="PUT", path="/v1/repos/{repo}/retain", body=keeping.Rule,
    answer=keeping.Rule, summary="Say how long a repo keeps the bytes of its files",
)  # fmt: skip
LIMIT_REPO = Endpoint(
    name="limit_repo", method="PUT", path="/v1/repos/{repo}/limit", body=api.RepoLimit,
    answer=RepoInfo, summary="Say how many bytes all versions of a repo's files may have",
)  # fmt: skip
DELETE_FOR_GOOD = Endpoint(
    name="delete_for_good", method="POST", path="/v1/repos/{repo}/tombstones",
    body=keeping.Deletion, answer=keeping.Deleted,
    summary="Delete the bytes at a path for good, in all commits; the rest of the files stays",
    once=False,
)  # fmt: skip

SQUASH_COMMITS = Endpoint(
    name="squash_commits", method="DELETE", path="/v1/commits/{id}", answer=NONE,
    summary="Take all commits of a global id out of the history; later ones keep their files",
)  # fmt: skip
SQUASH_COMMIT = Endpoint(
    name="squash_commit", method="POST", path="/v1/repos/{repo}/commits/{ref}/squash", answer=NONE,
    summary="Take one commit out of the history of its repo; later ones keep their files",
)  # fmt: skip
DELETE_COMMIT = Endpoint(
    name="delete_commit", method="DELETE", path="/v1/repos/{repo}/commits/{ref}", answer=NONE,
    summary="Take a commit away that no other follows",
)  # fmt: skip

DU = Endpoint(
    name="du", method="GET", path="/v1/repos/{repo}/usage", answer=keeping.Usage,
    summary="What a repo takes up, and what sharing saves",
)  # fmt: skip

DU_COMMIT = Endpoint(
    name="du_commit", method="GET", path="/v1/repos/{repo}/commits/{ref}/usage",
    answer=keeping.CommitUsage, summary="What a commit takes up, and what of it is its own",
)  # fmt: skip

KEEP_ENDPOINTS: tuple[Endpoint[Any], ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Endpoint)
)
