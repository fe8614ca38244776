"""Where a job's output is copied to: a folder of the server's host, or a bucket (spec `egress`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from vedette.model.errors import Invalid
from vedette.model.pipeline import Egress
from vedette.model.spec_read import Reading

FOLDER = "file://"
BUCKET = "s3://"


def egress(reading: Reading, words: dict[str, Any]) -> Egress | None:
    """The place that a spec names; what is wrong is noted."""
    given = words.get("egress")
    if given is None:
        return None
    storage = given.get("object_storage")
    url = given.get("URL") or (storage.get("url", "") if isinstance(storage, dict) else "")
    path = "egress.URL" if "URL" in given else "egress.object_storage.url"
    if not url and "sql_database" in given:
        return None  # which is refused as something to come
    if not url:
        reading.missing("egress.URL", "where to?")
    elif not isinstance(url, str) or not _known(url):
        reading.fault(path, f"{url!r:.80} is not file:///FOLDER or s3://BUCKET/PREFIX")
    return Egress(url=str(url), secret=given.get("secret", ""))


def _known(url: str) -> bool:
    split = urlsplit(url)
    if split.query or split.fragment or split.username or split.password:
        return False
    parts = unquote(split.path).split("/")
    if ".." in parts or "\0" in split.path:
        return False
    if split.scheme == "file":
        return not split.netloc and split.path.startswith("/") and bool(split.path.strip("/"))
    return split.scheme == "s3" and bool(split.netloc)


def folder_of(url: str) -> str:
    """The folder that a file address names."""
    return os.path.normpath(unquote(urlsplit(url).path))


def check(target: Egress, roots: Sequence[str]) -> None:
    """Raise Invalid for a place that the server's settings do not allow."""
    if target.url.startswith(BUCKET):
        buckets = [root.rstrip("/") for root in roots if root.startswith(BUCKET)]
        url = target.url.rstrip("/")
        if target.secret or any(url == root or url.startswith(root + "/") for root in buckets):
            return
        raise Invalid(
            f"egress to {target.url}: the server's own credentials are for egress_roots in "
            "vedette.toml: add it there, or name a secret with yours (egress.secret)"
        )
    folder = folder_of(target.url)
    roots = [os.path.normpath(root.removeprefix(FOLDER)) for root in roots if BUCKET not in root]
    if not any(folder == root or folder.startswith(root.rstrip("/") + "/") for root in roots):
        raise Invalid(
            f"egress to {target.url}: it is below none of egress_roots in vedette.toml: "
            "add a folder there that may be written to"
        )
