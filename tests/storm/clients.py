"""Clients that send as real ones do: what was not answered is sent again under the same name."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

import httpx2
from tests.storm.memory import Accepted, Memory

from vedette.model.ids import object_id

PATIENCE = 240.0
_BEGUN = 1_511_891_000
"""Seconds of the first picture: devices' clocks are wrong, and it matters to nobody here."""
_FINE = frozenset((200, 201))
_LATER = frozenset((408, 429, 500, 502, 503, 504, 507))


class Client:
    """One thread that sends until it is told to end. `answers` counts the statuses."""

    def __init__(self, addresses: Sequence[str], memory: Memory, name: str, pause: float) -> None:
        self.answers: Counter[int] = Counter()
        self.failure: BaseException | None = None
        self.asked: dict[str, bytes] = {}
        self.name = name
        self.chance = random.Random(name)
        self.memory = memory
        self._addresses = list(addresses)
        self._pause = pause
        self._done = threading.Event()
        self._http = httpx2.Client(timeout=30.0, trust_env=False)
        self._thread = threading.Thread(target=self._work, name=name)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def end(self) -> None:
        """No more after what is under way."""
        self._done.set()

    def join(self) -> None:
        """Wait until what is under way has been answered; raises what went wrong."""
        self._thread.join()
        self._http.close()
        if self.failure is not None:
            raise self.failure

    def _work(self) -> None:
        number = 0
        try:
            while not self._done.is_set():
                self.send(number)
                number += 1
                self._done.wait(self.chance.uniform(0.0, 2 * self._pause))
        except BaseException as error:  # noqa: BLE001  told by join, in the thread of the test
            self.failure = error

    def send(self, number: int) -> None:
        """Send one thing."""
        raise NotImplementedError

    def until_answered(self, method: str, path: str, content: bytes) -> dict[str, str]:
        """Send again and again; the answer. AssertionError when it is refused for good."""
        limit = time.monotonic() + PATIENCE
        last = ""
        while time.monotonic() < limit:
            address = self._addresses[0]
            try:
                answer = self._http.request(method, address + path, content=content)
            except httpx2.TransportError as error:
                last = repr(error)
            else:
                self.answers[answer.status_code] += 1
                if answer.status_code in _FINE:
                    found: dict[str, str] = answer.json()
                    return found
                last = f"{answer.status_code} {answer.text}"
                assert answer.status_code in _LATER, f"{self.name} {method} {path}: {last}"
            self._addresses.append(self._addresses.pop(0))
            time.sleep(self.chance.uniform(0.05, 0.4))
        raise AssertionError(f"{self.name} {method} {path} was never answered: {last}")


class Camera(Client):
    """A camera: pictures of its own, each with other bytes; now and then a broken one."""

    def __init__(
        self, addresses: Sequence[str], memory: Memory, name: str, pictures: Sequence[bytes]
    ) -> None:
        super().__init__(addresses, memory, name, 0.5)
        self._pictures = pictures

    def send(self, number: int) -> None:
        """One picture, through the cameras' door."""
        content = remarked(self.chance.choice(self._pictures), f"{self.name} {number}")
        if self.chance.random() < 0.1:
            content = content[: len(content) // 2]
        name = f"{self.name}_{_BEGUN + 10 * number}.jpg"
        self.asked[f"/{name}"] = content
        where = f"/v1/devices/{self.name}/images?filename={quote(name)}"
        answer = self.until_answered("POST", where, content)
        self.memory.accept(
            Accepted(repo="images", path=answer["path"], object=object_id(content).hex(),
                     commit=answer["commit"])
        )  # fmt: skip


class Filer(Client):
    """Puts files of all sizes: in a row, in a pack, an object of their own. Some more than once."""

    def send(self, number: int) -> None:
        """One file: a new one, or one that is there with other bytes."""
        old = number > 0 and self.chance.random() < 0.2
        path = f"/{self.name}-{self.chance.randrange(number) if old else number}.bin"
        content = self.chance.randbytes(self.chance.choice((10, 3000, 90_000, 90_000, 1_500_000)))
        where = f"/v1/repos/papers/branches/master/files{path}"
        answer = self.until_answered("PUT", where, content)
        self.asked[path] = content
        self.memory.accept(
            Accepted(repo="papers", path=path, object=object_id(content).hex(), commit=answer["id"])
        )


def remarked(picture: bytes, remark: str) -> bytes:
    """The same JPEG with a comment: the same pixels, other bytes."""
    text = remark.encode()
    return picture[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + picture[2:]
