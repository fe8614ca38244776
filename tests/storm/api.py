"""An installation as an outsider sees it: HTTP and nothing else."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2

PATIENCE = 180.0


class Gone(NamedTuple):
    """In the place of bytes that were deleted for good."""

    reason: str


class Api:
    """Questions to the first server that answers; each is asked again while none does."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.http = httpx2.Client(timeout=PATIENCE, trust_env=False)

    def close(self) -> None:
        """Let go of the connections."""
        self.http.close()

    def ask(self, path: str, **query: str) -> httpx2.Response:
        """Whatever is answered but 503; AssertionError when nobody answers."""
        limit = time.monotonic() + PATIENCE
        last = ""
        while True:
            for address in self.addresses:
                try:
                    answer = self.http.get(address + path, params=query)
                except httpx2.TransportError as error:
                    last = repr(error)
                    continue
                if answer.status_code != 503:
                    return answer
                last = answer.text
            assert time.monotonic() < limit, f"{path}: nobody answers: {last}"
            time.sleep(0.1)

    def get(self, path: str, **query: str) -> Any:
        """The JSON at a path."""
        answer = self.ask(path, **query)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def content(self, repo: str, path: str, ref: str = "master") -> bytes | Gone | None:
        """The bytes of a file; None when it is not there."""
        answer = self.ask(f"/v1/repos/{repo}/commits/{ref}/files{quote(path)}")
        if answer.status_code == 404:
            return None
        if answer.status_code == 410:
            return Gone(answer.text)
        assert answer.status_code == 200, f"{repo}@{ref}:{path}: {answer.text}"
        return answer.content

    def json(self, repo: str, path: str) -> Any:
        """A JSON file at the head of a repo."""
        found = self.content(repo, path)
        assert isinstance(found, bytes), f"{repo}:{path} is not there: {found}"
        return json.loads(found)

    def has(self, repo: str, commit: str) -> bool:
        """Whether a commit is there."""
        answer = self.ask(f"/v1/repos/{repo}/commits/{commit}")
        assert answer.status_code in (200, 404), f"{repo}@{commit}: {answer.text}"
        return answer.status_code == 200

    def listing(self, repo: str, ref: str = "master") -> dict[str, str]:
        """Paths and object ids of all files of a commit; none of one that is not there."""
        return self._listing(repo, ref) or {}

    def _listing(self, repo: str, ref: str) -> dict[str, str] | None:
        found: dict[str, str] = {}
        after = ""
        while True:
            where = f"/v1/repos/{repo}/commits/{ref}/glob"
            answer = self.ask(where, pattern="/**", limit="5000", after=after)
            if answer.status_code == 404:
                return None
            assert answer.status_code == 200, f"{repo}@{ref}: {answer.text}"
            page = answer.json()
            found.update((row["path"], row["object"]) for row in page if row["type"] == "file")
            if len(page) < 5000:
                return found
            after = page[-1]["path"]

    def digest(self, repo: str, ref: str) -> str:
        """One hash over all paths and objects of a commit; nothing of one that is not there."""
        found = self._listing(repo, ref)
        if found is None:
            return ""
        text = "".join(f"{path}\0{object}\n" for path, object in sorted(found.items()))
        return hashlib.sha256(text.encode()).hexdigest()

    def commits(self, repo: str, enough: int = 0) -> Iterator[dict[str, Any]]:
        """The commits of a repo, newest first."""
        yield from self._pages(f"/v1/repos/{repo}/commits", enough)

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, newest first."""
        return list(self._pages("/v1/jobs"))

    def _pages(self, path: str, enough: int = 0) -> Iterator[dict[str, Any]]:
        size = enough or 1000
        before: dict[str, str] = {}
        while True:
            page = self.get(path, limit=str(size), **before)
            yield from page
            if len(page) < size or enough:
                return
            before = {"before": str(page[-1]["number"])}

    def sweep(self, seconds: float = 30.0) -> None:
        """Let garbage go until none is suspected any more, or the time is over.

        A store may keep what is young longer than that.
        """
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            answer = self.http.post(f"{self.addresses[0]}/v1/garbage?full=true")
            assert answer.status_code == 200, answer.text
            if not answer.json()["busy"] and not answer.json()["suspects"]:
                return
            time.sleep(0.5)

    def idle(self, seconds: float = 120.0) -> None:
        """Wait until nothing is left to do."""
        self.get("/v1/idle", timeout=f"{seconds:.0f}")
