"""One S3 bucket: few calls, tried again until a deadline, with errors of ours in one line.

What S3 answers may repeat keys and signatures, so no text of its own reaches a message: only the
status and the code of the answer do.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import obstore
from msgspec import Struct
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from vedette.model.errors import Invalid, NoSpace, Unavailable, VedetteError

SINGLE_LIMIT = 16 * 1024 * 1024
"""Bytes that go in one request; more go in parts."""
PART = 8 * 1024 * 1024
"""Bytes of a part, where that makes few enough. Four are under way, which bounds memory."""
_PARTS = 9_000  # S3 takes 10,000
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_FULL = {"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "QuotaExceededException"}
_DENIED = {"401", "403"}
_SULK = 30.0
_T = TypeVar("_T")


class Missing(Exception):  # noqa: N818 - it says what is the case
    """There is no such key, or it has no bytes there."""


class Taken(Exception):  # noqa: N818
    """The key is there already."""


class Item(Struct, frozen=True):
    """What a bucket holds under a key: size in bytes, time of its upload in seconds since 1970."""

    key: str
    size: int
    modified: float


class Bucket:
    """The keys under a prefix of a bucket.

    `address` is s3://BUCKET/PREFIX; `environ` has the AWS_* variables that say where and who:
    AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
    AWS_VIRTUAL_HOSTED_STYLE_REQUEST and AWS_CA_BUNDLE. What fails is tried again for `patience`
    seconds; a request may take `timeout` seconds. Raises Invalid when the address makes no sense.
    """

    def __init__(
        self,
        address: str,
        environ: Mapping[str, str] = os.environ,
        *,
        patience: float = 20.0,
        timeout: float = 30.0,
    ) -> None:
        self.name, self.prefix = parse(address)
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
        split = urlsplit(endpoint)
        self.endpoint = f"{split.scheme}://{split.hostname}" if endpoint else "Amazon S3"
        if split.port:
            self.endpoint += f":{split.port}"
        self._patience = patience
        self._gave_up = -_SULK
        options, trusted = _options(environ, endpoint), _trusted(environ)
        self._store = self._client(timeout, patience, options, trusted)
        self._brisk = self._client(min(timeout, 3.0), 0.0, options, trusted)

    def _client(
        self, timeout: float, patience: float, options: dict[str, Any], trusted: dict[str, Any]
    ) -> S3Store:
        """A client whose requests may take so long, and are tried again for so long."""
        client: Any = {
            "allow_http": str(options.get("endpoint", "")).startswith("http:"),
            "timeout": timedelta(seconds=timeout),
            "connect_timeout": timedelta(seconds=min(5.0, timeout)),
            **trusted,
        }
        return S3Store(
            self.name,
            prefix=self.prefix or None,
            client_options=client,
            retry_config={
                "max_retries": 3 if patience else 0,
                "retry_timeout": timedelta(seconds=max(patience, 1.0)),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=50),
                    "max_backoff": timedelta(seconds=1),
                    "base": 2,
                },
            },
            **options,
        )

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    def create(self, key: str, data: bytes) -> None:
        """Put bytes under a key that must be new. Raises Taken; a repeat of these bytes is none."""
        try:
            self._call("write", key, lambda s: _put(s, key, data, "create"))
        except Taken:
            # The answer to an earlier try may have been lost after the store had taken the bytes.
            if self._kept(key, len(data)) != data:
                raise

    def put(self, key: str, path: Path, size: int) -> None:
        """Put a file under a key, in parts when it is large; `size` is checked afterwards."""

        def once(store: S3Store) -> None:
            with path.open("rb") as file:
                if size <= SINGLE_LIMIT:
                    _put(store, key, file.read(), "overwrite")
                else:
                    _put_parts(store, key, file, size)

        self._call("write", key, once)
        if size <= SINGLE_LIMIT:
            return
        found = self.look(key)
        if found is None or found.size != size:
            there = "nothing" if found is None else f"{found.size} bytes"
            raise Unavailable(
                f"{self}/{key}: {size} bytes were sent, {there} arrived: look at the object store"
            )

    def look(self, key: str) -> Item | None:
        """Size and time of a key, None when it is not there."""
        try:
            found = self._call("look at", key, lambda s: obstore.head(s, key))
        except Missing:
            return None
        return _item(found)

    def read(self, key: str, first: int, end: int) -> bytes:
        """The bytes from `first` up to `end` or their end. Raises Missing if there is none."""
        if end <= first:
            return b""
        options: Any = {"range": (first, end)}
        return self._call(
            "read", key, lambda s: bytes(obstore.get(s, key, options=options).bytes())
        )

    def items(self, folder: str) -> Iterator[Item]:
        """Everything below a folder, in no order."""
        found = self._call("list", folder, lambda s: obstore.list(s, folder))
        while page := self._call("list", folder, lambda _: next(found, [])):
            yield from map(_item, page)

    def remove(self, key: str) -> None:
        """Delete a key; one that is not there is not missed."""
        try:
            self._call("delete", key, lambda s: obstore.delete(s, key))
        except Missing:
            return

    def sign(self, method: str, key: str, seconds: int) -> str:
        """An address at which anybody may GET or PUT a key for so long."""
        name: Any = method
        wait = timedelta(seconds=seconds)
        return obstore.sign(self._store, name, key, wait)

    def _kept(self, key: str, size: int) -> bytes:
        try:
            return self.read(key, 0, size + 1)
        except Missing:
            return b""

    def _call(self, verb: str, key: str, operation: Callable[[S3Store], _T]) -> _T:
        # One caller waits for a store that is away; those who come next are told at once.
        away = time.monotonic() - self._gave_up < _SULK
        store = self._brisk if away else self._store
        end, pause = time.monotonic() + (0.0 if away else self._patience), 0.1
        while True:
            try:
                done = operation(store)
                self._gave_up = -_SULK
                return done
            except AlreadyExistsError:
                raise Taken(key) from None
            except (BaseError, OSError, ValueError) as error:
                meaning, again = self._meaning(error, verb, key)
            if not again:
                raise meaning
            if time.monotonic() + pause > end:
                if not away:
                    self._gave_up = time.monotonic()
                raise meaning
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _meaning(self, error: Exception, verb: str, key: str) -> tuple[Exception, bool]:
        """What an error means, and whether to try again."""
        text = str(error)
        status = _found(_STATUS, text)
        code = _found(_CODE, text)
        what = f"cannot {verb} {self}/{key} at {self.endpoint}"
        if code == "NoSuchBucket":
            return Unavailable(
                f"{what}: there is no bucket {self.name}: create it, or name another"
            ), False
        if status == "416" or (status == "404" or isinstance(error, FileNotFoundError)):
            return Missing(key), False
        if code == "RequestTimeTooSkewed":
            return Unavailable(f"{what}: the clocks differ too much: set this one right"), False
        if status in _DENIED:
            return Unavailable(
                f"{what}: refused ({code or status}): look at AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY and what they may do with the bucket"
            ), False
        if status == "507" or code in _FULL:
            return _full(what, code or status), False
        said = " ".join(each for each in (status, code) if each) or "no answer"
        return Unavailable(f"{what}: {said}: look at the object store, then try again"), True


def _put(store: S3Store, key: str, data: bytes, mode: str) -> None:
    how: Any = mode
    obstore.put(store, key, data, mode=how, use_multipart=False)


def _put_parts(store: S3Store, key: str, file: BinaryIO, size: int) -> None:
    part = max(PART, -(-size // _PARTS))
    obstore.put(store, key, file, use_multipart=True, chunk_size=part, max_concurrency=4)


def parse(address: str) -> tuple[str, str]:
    """Bucket and prefix of s3://BUCKET/PREFIX. Raises Invalid."""
    split = urlsplit(address)
    prefix = split.path.strip("/")
    parts = prefix.split("/") if prefix else []
    good = all(re.fullmatch(r"[A-Za-z0-9_.=-]{1,100}", part) and part.strip(".") for part in parts)
    if split.scheme != "s3" or not _NAME.fullmatch(split.netloc) or not good or split.query:
        raise Invalid(f"objects {address!r}: use s3://BUCKET/PREFIX, such as s3://vedette/site-1")
    return split.netloc, prefix


def _options(environ: Mapping[str, str], endpoint: str) -> dict[str, Any]:
    """What the environment says, in the words of the client."""
    words = {
        "access_key_id": "AWS_ACCESS_KEY_ID",
        "secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "session_token": "AWS_SESSION_TOKEN",
        "virtual_hosted_style_request": "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    }
    found: dict[str, Any] = {key: environ[word] for key, word in words.items() if environ.get(word)}
    found["region"] = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    if endpoint:
        if not endpoint.startswith(("http://", "https://")):
            raise Invalid(f"AWS_ENDPOINT_URL {endpoint!r}: use http://HOST:PORT or https://HOST")
        if "access_key_id" not in found:
            raise Invalid(
                "no key for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        found["endpoint"] = endpoint
    return found


def _trusted(environ: Mapping[str, str]) -> dict[str, Any]:
    """The certificates of AWS_CA_BUNDLE, which are trusted besides the usual ones."""
    file = environ.get("AWS_CA_BUNDLE")
    if not file:
        return {}
    try:
        return {"root_certificate": Path(file).read_bytes()}
    except OSError as error:
        raise Invalid(f"AWS_CA_BUNDLE {file}: {error.strerror or error}") from None


def _full(what: str, code: str) -> VedetteError:
    return NoSpace(f"{what}: it is full ({code}): nothing was accepted, make room there")


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _item(found: Mapping[str, Any]) -> Item:
    modified: datetime = found["last_modified"]
    return Item(found["path"], found["size"], modified.timestamp())
