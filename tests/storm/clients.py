"""Clients that send as real ones do: what was not answered is sent again under the same name."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2
from tests.storm.memory import Accepted, Memory, Squashed

from vedette.model.ids import object_id

PATIENCE = 240.0
_BEGUN = 1_511_891_000
"""Seconds of the first picture: devices' clocks are wrong, and it matters to nobody here."""
_FINE = frozenset((200, 201, 204))
_LATER = frozenset((408, 429, 500, 502, 503, 504, 507))


class Client:
    """One thread that sends until it is told to end. `answers` counts the statuses."""

    def __init__(self, addresses: Sequence[str], memory: Memory, name: str, pause: float) -> None:
        self.answers: Counter[int] = Counter()
        self.failure: BaseException | None = None
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

    def until_answered(
        self, method: str, path: str, content: bytes = b"", also: Collection[int] = ()
    ) -> tuple[int, dict[str, Any]]:
        """Send again and again; status and answer, which is good or `also` meant to be.

        All tries have one key: what does not look at keys has to be fit for coming twice.
        """
        limit = time.monotonic() + PATIENCE
        headers = {"idempotency-key": uuid4().hex}
        last = ""
        while time.monotonic() < limit:
            address = self._addresses[0]
            try:
                answer = self._http.request(
                    method, address + path, content=content, headers=headers
                )
            except httpx2.TransportError as error:
                last = repr(error)
            else:
                self.answers[answer.status_code] += 1
                if answer.status_code in also:
                    return answer.status_code, {}
                if answer.status_code in _FINE:
                    return answer.status_code, answer.json() if answer.content else {}
                last = f"{answer.status_code} {answer.text}"
                assert answer.status_code in _LATER, f"{self.name} {method} {path}: {last}"
            self._addresses.append(self._addresses.pop(0))
            time.sleep(self.chance.uniform(0.05, 0.4))
        raise AssertionError(f"{self.name} {method} {path} was never answered: {last}")


class Camera(Client):
    """A camera: pictures of its own, each with other bytes; now and then a broken one.

    `door`: it uses the cameras' one, and else puts files as the original's users do.
    """

    def __init__(
        self, addresses: Sequence[str], memory: Memory, name: str, pictures: Sequence[bytes],
        pause: float = 0.5, door: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(addresses, memory, name, pause)
        self._pictures = pictures
        self._door = door

    def send(self, number: int) -> None:
        """One picture."""
        content = remarked(self.chance.choice(self._pictures), f"{self.name} {number}")
        name = f"{self.name}_{_BEGUN + 10 * number}.jpg"
        if self._door:
            if self.chance.random() < 0.1:
                content = content[: len(content) // 2]
            where = f"/v1/devices/{self.name}/images?filename={quote(name)}"
            _, answer = self.until_answered("POST", where, content)
            path, commit = answer["path"], answer["commit"]
        else:
            if self.chance.random() < 0.1:
                content, name = b"no picture", f"nothing_{name}"
            path = f"/{name}"
            _, answer = self.until_answered("PUT", _file("images", path), content)
            commit = answer["id"]
        self.memory.accept(
            Accepted(repo="images", path=path, object=object_id(content).hex(), commit=commit)
        )


class Filer(Client):
    """Puts files of all sizes: in a row, in a pack, an object of their own. Some more than once.

    It deletes some of its own too, from the next commit on or for good.
    """

    def send(self, number: int) -> None:
        """One file: a new one, one that is there with other bytes, or one less."""
        old = number > 0 and self.chance.random() < 0.3
        path = f"/{self.name}-{self.chance.randrange(number) if old else number}.bin"
        what = self.chance.random()
        if old and what < 0.2:
            self._delete(path)
        elif old and what < 0.4:
            self._entomb(path)
        else:
            self._put(path)

    def _put(self, path: str) -> None:
        content = self.chance.randbytes(self.chance.choice((10, 3000, 90_000, 90_000, 1_500_000)))
        _, answer = self.until_answered("PUT", _file("papers", path), content)
        self.memory.accept(
            Accepted(
                repo="papers", path=path, object=object_id(content).hex(), commit=answer["id"]
            ),
            content,
        )

    def _delete(self, path: str) -> None:
        status, answer = self.until_answered("DELETE", _file("papers", path), also=(404,))
        if status != 404:  # it was deleted before, or never put
            self.memory.accept(
                Accepted(repo="papers", path=path, commit=answer["id"], kind="deleted")
            )

    def _entomb(self, path: str) -> None:
        document = json.dumps({"path": path, "reason": "asked to"}).encode()
        # None has bytes any more when an earlier try was not answered, or it was never put.
        self.until_answered("POST", "/v1/repos/papers/tombstones", document, also=(404,))
        self.memory.accept(Accepted(repo="papers", path=path, kind="entombed"))


class Scrapper(Client):
    """Puts files into a repo that keeps little and may hold little: some are refused."""

    def send(self, number: int) -> None:
        """A new file."""
        path = f"/{self.name}-{number}.bin"
        content = self.chance.randbytes(self.chance.choice((3000, 30_000, 90_000)))
        status, answer = self.until_answered("PUT", _file("scraps", path), content, also=(507,))
        if status != 507:
            name = object_id(content).hex()
            self.memory.accept(
                Accepted(repo="scraps", path=path, object=name, commit=answer["id"]), content
            )


class Keeper(Client):
    """Keeps house: takes commits out of the history, and lets garbage go."""

    def __init__(
        self, addresses: Sequence[str], memory: Memory, name: str, repos: Sequence[str]
    ) -> None:
        super().__init__(addresses, memory, name, 0.5)
        self._repos = repos

    def send(self, number: int) -> None:
        """One thing."""
        if number % 4 == 0:
            full = str(self.chance.random() < 0.5).lower()
            self.until_answered("POST", f"/v1/garbage?full={full}")
            return
        repo = self.chance.choice(self._repos)
        found = self._http_get(f"/v1/repos/{repo}/commits?limit=100")
        if not found:
            return
        commit = self.chance.choice(found)["id"]
        refused = (404, 409)  # it has gone already, or somebody needs it
        if self.chance.random() < 0.5:
            where = f"/v1/repos/{repo}/commits/{commit}/squash"
            status, _ = self.until_answered("POST", where, also=refused)
        else:
            repo = ""
            status, _ = self.until_answered("DELETE", f"/v1/commits/{commit}", also=refused)
        if status not in refused:
            self.memory.squash(Squashed(commit=commit, repo=repo))

    def _http_get(self, path: str) -> list[dict[str, Any]]:
        """A listing; an empty one while nobody answers."""
        try:
            answer = self._http.get(self._addresses[0] + path)
        except httpx2.TransportError:
            return []
        found: list[dict[str, Any]] = answer.json() if answer.status_code == 200 else []
        return found


def _file(repo: str, path: str) -> str:
    return f"/v1/repos/{repo}/branches/master/files{quote(path)}"


def remarked(picture: bytes, remark: str) -> bytes:
    """The same JPEG with a comment: the same pixels, other bytes."""
    text = remark.encode()
    return picture[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + picture[2:]
