"""Which rules held at a commit, for the service: whom to tell, and what is a threat."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from vedette.client import Client
from vedette.model.errors import NotFound
from vedette_cameras.judge.rules import Effective, RulesError, effective

REPO = "rules"
_COMMITS = 16
_FILES = 10_000


class RuleBook:
    """Rules by commit and device, kept as long as they are in use."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._files: OrderedDict[str, dict[str, bytes]] = OrderedDict()
        self._jobs: dict[str, str] = {}

    async def of(self, commit: str, device: str) -> Effective | None:
        """What held for a device at a commit of `rules`; None where nothing sensible did.

        A commit that was squashed since: what holds now, for somebody has to be told.
        """
        files = await self._read(commit)
        if files is None:
            head = await self.head()
            files = (await self._read(head) if head else None) or {}
        try:
            return effective({path: partial(files.__getitem__, path) for path in files}, device)
        except RulesError:
            return None

    async def head(self) -> str:
        """The id of the newest commit of `rules`, or empty."""
        try:
            return (await self._client.inspect_commit(REPO, "master")).id
        except NotFound:
            return ""

    async def used_by(self, pipeline: str, commit: str) -> str:
        """The commit of `rules` that the job behind a pipeline's output commit read."""
        if commit not in self._jobs:
            jobs = await self._client.list_job(pipeline, limit=1000)
            self._jobs = {
                job.commit: leaf.commit for job in jobs for leaf in job.inputs if leaf.repo == REPO
            }
        return self._jobs.get(commit) or await self.head()

    async def _read(self, commit: str) -> dict[str, bytes] | None:
        """The files of a commit; None when it is not there."""
        if commit in self._files:
            self._files.move_to_end(commit)
            return self._files[commit]
        files: dict[str, bytes] = {}
        try:
            found = await self._client.glob_file(REPO, commit, "/**", limit=_FILES)
            for file in found:
                if file.type == "file" and file.gone is None:
                    files[file.path] = await self._client.get_file(REPO, commit, file.path)
        except NotFound:
            return None
        self._files[commit] = files
        if len(self._files) > _COMMITS:
            self._files.popitem(last=False)
        return files
