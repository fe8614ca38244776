"""Notes what finished commits hold when they are first seen, while the storm goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from tests.storm.api import Api
from tests.storm.memory import Memory

_SHARE = 0.1
"""Of the time, to spend on listing: the storm is not to wait for its observer."""


class Watch:
    """A thread that looks at the newest commits of each repo, again and again."""

    def __init__(self, api: Api, memory: Memory, repos: Iterable[str]) -> None:
        self.failure: BaseException | None = None
        self._api = api
        self._memory = memory
        self._repos = list(repos)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watch")

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; raises what went wrong."""
        self._done.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _work(self) -> None:
        try:
            while not self._done.is_set():
                for repo in self._repos:
                    begun = time.monotonic()
                    self._look(repo)
                    spent = time.monotonic() - begun
                    if self._done.wait(min(5.0, spent / _SHARE)):
                        return
        except BaseException as error:  # noqa: BLE001  told by stop, in the thread of the test
            self.failure = error

    def _look(self, repo: str) -> None:
        for commit in self._api.commits(repo, enough=3):
            name = f"{repo}@{commit['id']}"
            new = commit["state"] == "finished" and name not in self._memory.noted.commits
            if new and (digest := self._api.digest(repo, commit["id"])):
                self._memory.noted.commits[name] = digest
