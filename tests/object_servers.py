"""Real S3 servers for tests, as processes of their own on loopback.

SeaweedFS keeps every promise that is asked of a store; rclone ignores If-None-Match, which is what
the check at the start has to notice; moto answers everything from memory, within a second.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx2
import obstore
import pytest
from obstore.store import S3Store
from tests.certificates import certificate

from vedette.model.errors import VedetteError
from vedette.objects.bucket import Bucket
from vedette.objects.remote import RemoteObjects

BIN = Path(sys.executable).parent
PATIENCE = 120.0
KEY, SECRET = "AKOFTHETESTS", "a-secret-of-the-tests"
_GRPC = 10_000
"""SeaweedFS listens for its own calls this far above each of its ports."""


def environment(**more: str) -> dict[str, str]:
    """The environment of this process without settings of an object store, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, **more}


def _free(count: int) -> list[int]:
    """Free ports, each with a free one `_GRPC` above it. Whoever is quick may still take one."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            low, high = held.enter_context(socket.socket()), held.enter_context(socket.socket())
            low.bind(("127.0.0.1", 0))
            port = int(low.getsockname()[1])
            # Below 20,000 above and from 1,024: ports that are given by chance are left alone.
            port = port if port + _GRPC < 65_536 else 12_000 + port % 10_000
            with suppress(OSError):
                high.bind(("127.0.0.1", port + _GRPC))
                found.append(port)
    return found


class ObjectServer:
    """An S3 server that runs. `endpoint` is its address, `bucket` a bucket that is there.

    On another host than this, it is at that host's `address` and starts by the words of `prefix`.
    """

    def __init__(
        self, folder: Path, bucket: str, address: str = "127.0.0.1", prefix: Sequence[str] = ()
    ) -> None:
        self.folder, self.bucket = folder, bucket
        self.address, self._prefix = address, prefix
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder.with_name(f"{folder.name}.log")
        self.ports = _free(5)
        self.endpoint = f"http://{address}:{self.ports[0]}"
        self.process = self._begin()

    def words(self) -> Sequence[str]:
        """The command that starts it."""
        raise NotImplementedError

    @property
    def environ(self) -> dict[str, str]:
        """What a program needs to know to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def place(self) -> str:
        """A place of its own for a test: s3://bucket/prefix."""
        return f"s3://{self.bucket}/{uuid4().hex[:12]}"

    def _begin(self) -> subprocess.Popen[bytes]:
        env = environment(AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*self._prefix, *self.words()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, env=env, start_new_session=True,
            )  # fmt: skip
        self.process = process
        limit = time.monotonic() + PATIENCE
        while not self._answers():
            if process.poll() is not None or time.monotonic() > limit:
                self.kill()
                said = self.log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"{type(self).__name__} did not start: {said}")
            time.sleep(0.05)
        return process

    def _answers(self) -> bool:
        try:
            return httpx2.get(self.endpoint, timeout=5, trust_env=False).status_code < 500
        except httpx2.HTTPError:
            return False

    def kill(self) -> None:
        """End it as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def again(self) -> None:
        """Start it over the same data."""
        self._begin()

    def recover(self, seconds: float) -> None:
        """Wait until it answers again; start it anew when it does not within so long."""
        limit = time.monotonic() + seconds
        while not self._answers():
            if time.monotonic() > limit:
                self.kill()
                self.again()
                return
            time.sleep(0.1)


class Weed(ObjectServer):
    """SeaweedFS: master, volume, filer and S3 in one process, with files on disk."""

    def words(self) -> Sequence[str]:
        s3, master, volume, filer, admin = map(str, self.ports)
        return [
            str(BIN / "weed"), "mini", f"-dir={self.folder}", f"-ip={self.address}",
            f"-ip.bind={self.address}", f"-s3.port={s3}", f"-master.port={master}",
            f"-volume.port={volume}", f"-filer.port={filer}", f"-admin.port={admin}",
            "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-s3.autoCreateBucket=false", f"-bucket={self.bucket}",
        ]  # fmt: skip

    def _answers(self) -> bool:
        store = S3Store(
            self.bucket, endpoint=self.endpoint, access_key_id=KEY, secret_access_key=SECRET,
            region="us-east-1", client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )  # fmt: skip
        try:  # it listens before it has a volume to write to
            obstore.put(store, "up", b"up", use_multipart=False)
            return bytes(obstore.get(store, "up").bytes()) == b"up"
        except (obstore.exceptions.BaseError, OSError):
            return False


class Moto(ObjectServer):
    """moto: S3 in memory, for what is about answers and not about disks."""

    def words(self) -> Sequence[str]:
        return [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(self.ports[0])]

    def _answers(self) -> bool:
        try:
            made = httpx2.put(f"{self.endpoint}/{self.bucket}", timeout=5, trust_env=False)
        except httpx2.HTTPError:
            return False
        return made.status_code < 500


class MotoTls(Moto):
    """moto behind TLS with a certificate that nobody knows: `certificate` names its file."""

    @property
    def certificate(self) -> Path:
        """The file to trust."""
        return self.folder / "certificate.pem"

    def words(self) -> Sequence[str]:
        self.endpoint = self.endpoint.replace("http:", "https:")
        made, key = certificate(self.folder)
        return [*super().words(), "-c", str(made), "-k", str(key)]

    def _answers(self) -> bool:
        try:
            where = f"{self.endpoint}/{self.bucket}"
            made = httpx2.put(where, timeout=5, trust_env=False, verify=False)
        except httpx2.HTTPError:
            return False
        return made.status_code < 500


class Rclone(ObjectServer):
    """rclone over a folder: it takes a second create of the same key for a good one."""

    def words(self) -> Sequence[str]:
        (self.folder / self.bucket).mkdir(exist_ok=True)
        return [
            str(BIN / "rclone"), "serve", "s3", str(self.folder), "--addr",
            f"127.0.0.1:{self.ports[0]}", "--auth-key", f"{KEY},{SECRET}", "--config", "",
        ]  # fmt: skip


def remote(
    server: ObjectServer, place: str, folder: Path, cache_size: int = 1 << 20
) -> RemoteObjects:
    """A store at a place of a server, with the small packs of the contract's tests."""
    bucket = Bucket(place, server.environ, patience=5.0)
    return RemoteObjects(bucket, folder, packed_limit=1000, pack_size=4000, cache_size=cache_size)


def at(endpoint: str, server: ObjectServer, place: str, **more: float) -> Bucket:
    """The place of a server, through another address."""
    return Bucket(place, {**server.environ, "AWS_ENDPOINT_URL": endpoint}, **more)


def one_line(error: VedetteError) -> str:
    """The message of an error, which is one line and gives no key away."""
    text = error.message
    assert "\n" not in text and len(text) < 300
    assert SECRET not in text and KEY not in text and "Signature=" not in text
    return text


@contextmanager
def running(
    kind: type[ObjectServer], folder: Path | None = None, address: str = "127.0.0.1",
    prefix: Sequence[str] = (),
) -> Iterator[ObjectServer]:  # fmt: skip
    """A server with a bucket, stopped and gone in the end."""
    with tempfile.TemporaryDirectory(prefix="s3-", ignore_cleanup_errors=True) as made:
        place = (folder or Path(made)) / kind.__name__.lower()
        server = kind(place, "vedette-test", address, prefix)
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def weed() -> Iterator[ObjectServer]:
    """One SeaweedFS for all tests of a process; each test takes a `place()` of its own."""
    with running(Weed) as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[ObjectServer]:
    """One moto for all tests of a process."""
    with running(Moto) as server:
        yield server


@pytest.fixture(scope="session")
def rclone() -> Iterator[ObjectServer]:
    """One rclone for all tests of a process."""
    with running(Rclone) as server:
        yield server
