"""The typed client: one method for each operation of the API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from vedette.client import endpoints as at
from vedette.client.keep_calls import KeepCalls
from vedette.client.life_calls import LifeCalls
from vedette.client.lines import lines
from vedette.client.transport import Chunks, Transport
from vedette.model import api
from vedette.model.errors import NotFound

if TYPE_CHECKING:
    from vedette.model.events import Event
    from vedette.model.files import BranchInfo, CommitInfo, FileInfo, RepoInfo, Write, WriteResult
    from vedette.model.hosts import HostInfo
    from vedette.model.job import DatumInfo, DatumPreview, JobInfo
    from vedette.model.pipeline import PipelineInfo


class Client(LifeCalls, KeepCalls):
    """A server's API. Every method raises the `VedetteError` that the server answered with."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._call = transport.call

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transport.close()

    # server
    async def version(self) -> api.Version:
        """Which release answers."""
        return await self._call(at.VERSION, {})

    async def health(self) -> api.Health:
        """Whether the server can read its metadata."""
        return await self._call(at.HEALTH, {})

    async def status(self) -> api.Status:
        """The server and the services of its applications."""
        return await self._call(at.STATUS, {})

    async def idle(self, timeout: float = 60.0) -> api.Idle:
        """Wait until nothing is left to do; `Unavailable` after `timeout` seconds."""
        return await self._call(at.IDLE, {}, {"timeout": timeout})

    async def events(self) -> AsyncGenerator[Event, None]:
        """What happens from now on. Under load only the newest of each sort is told."""
        async with aclosing(self.transport.events()) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def list_worker(self) -> list[HostInfo]:
        """The hosts that have workers."""
        from vedette.client.worker_endpoints import LIST_WORKER

        return await self._call(LIST_WORKER, {})

    # repos
    async def create_repo(
        self, name: str, description: str = "", *, max_bytes: int | None = None
    ) -> RepoInfo:
        """Create a repo, which may have `max_bytes` in all versions of its files."""
        new = api.NewRepo(name=name, description=description, max_bytes=max_bytes)
        return await self._call(at.CREATE_REPO, {}, None, new)

    async def list_repo(self) -> list[RepoInfo]:
        """All repos."""
        return await self._call(at.LIST_REPO, {})

    async def inspect_repo(self, repo: str) -> RepoInfo:
        """One repo."""
        return await self._call(at.INSPECT_REPO, {"repo": repo})

    async def delete_repo(self, repo: str, *, force: bool = False) -> None:
        """Delete a repo with its history; refused while a pipeline reads it, unless forced."""
        await self._call(at.DELETE_REPO, {"repo": repo}, {"force": force})

    # branches
    async def list_branch(self, repo: str) -> list[BranchInfo]:
        """The branches of a repo."""
        return await self._call(at.LIST_BRANCH, {"repo": repo})

    async def put_branch(self, repo: str, branch: str, head: str | None = None) -> BranchInfo:
        """Create a branch, or move it to `head` (a branch, commit id or ancestor of one)."""
        params = {"repo": repo, "branch": branch}
        return await self._call(at.PUT_BRANCH, params, None, api.BranchHead(head=head))

    async def delete_branch(self, repo: str, branch: str, *, force: bool = False) -> None:
        """Delete a branch; its commits stay."""
        await self._call(at.DELETE_BRANCH, {"repo": repo, "branch": branch}, {"force": force})

    # commits
    async def start_commit(
        self, repo: str, branch: str = "master", description: str = ""
    ) -> CommitInfo:
        """Open a commit: files put on the branch go into it until it is finished."""
        body = api.NewCommit(branch=branch, description=description)
        return await self._call(at.START_COMMIT, {"repo": repo}, None, body)

    async def finish_commit(self, repo: str, ref: str = "master") -> CommitInfo:
        """Finish the open commit of a branch, or the one with this id."""
        return await self._call(at.FINISH_COMMIT, {"repo": repo, "ref": ref})

    async def list_commit(
        self,
        repo: str,
        branch: str = "",
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 100,
    ) -> list[CommitInfo]:
        """Commits, newest first; `before` is a commit's number. With `after`: oldest first."""
        query = {"branch": branch, "before": before, "after": after, "limit": limit}
        return await self._call(at.LIST_COMMIT, {"repo": repo}, query)

    def subscribe_commit(
        self, repo: str, branch: str = "master", *, after: int = 0
    ) -> AsyncGenerator[CommitInfo, None]:
        """The finished commits of a branch in order, now and as they come, without an end.

        `after` is the number of the last one that is known. Lost connections are made again.
        """
        from vedette.client import subscription

        return subscription.finished(self, repo, branch, after)

    async def inspect_commit(self, repo: str, ref: str) -> CommitInfo:
        """One commit; `ref` is a branch, a commit id, or an ancestor such as `master^2`."""
        return await self._call(at.INSPECT_COMMIT, {"repo": repo, "ref": ref})

    async def commits_of(self, commit: str) -> list[CommitInfo]:
        """Every commit of a global id."""
        return await self._call(at.COMMITS_OF, {"id": commit})

    async def flush_commit(self, commit: str, timeout: float = 60.0) -> api.Flushed:
        """Wait until every job that a global id caused has ended."""
        return await self._call(at.FLUSH, {"id": commit}, {"timeout": timeout})

    # files
    async def put_file(
        self,
        repo: str,
        branch: str,
        path: str,
        data: bytes | Chunks | Callable[[], Chunks] = b"",
        *,
        append: bool = False,
        object: str = "",
    ) -> WriteResult:
        """Write a file, from bytes, from a stream, or from an object that is stored already.

        What makes streams (instead of one) lets the call be sent again when its answer was lost.
        """
        params = {"repo": repo, "branch": branch, "path": path}
        return await self._call(at.PUT_FILE, params, {"append": append, "object": object}, data)

    async def put_tar(
        self,
        repo: str,
        branch: str,
        tar: bytes | Chunks | Callable[[], Chunks],
        *,
        append: bool = False,
    ) -> WriteResult:
        """Write the files of a tar stream as one commit; of streams see `put_file`."""
        params = {"repo": repo, "branch": branch}
        return await self._call(at.PUT_TAR, params, {"append": append}, tar)

    async def delete_file(self, repo: str, branch: str, path: str) -> WriteResult:
        """Remove a file, or a directory with all below it."""
        return await self._call(
            at.DELETE_FILE, {"repo": repo, "branch": branch, "path": path}
        )  # fmt: skip

    async def transaction(self, writes: Sequence[Write]) -> WriteResult:
        """Write to several repos at once: all of it, or `Conflict` and nothing."""
        return await self._call(at.TRANSACTION, {}, None, api.Transaction(writes=tuple(writes)))

    async def get_file(self, repo: str, ref: str, path: str) -> bytes:
        """The bytes of a file."""
        return await self._call(at.GET_FILE, {"repo": repo, "ref": ref, "path": path})

    def stream_file(
        self, repo: str, ref: str, path: str
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes of a file in pieces."""
        return self.transport.stream(at.GET_FILE, {"repo": repo, "ref": ref, "path": path})

    def archive(
        self, repo: str, ref: str, path: str = "/"
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """A tar stream of all files at or below a path, with their full paths."""
        return self.transport.stream(at.ARCHIVE, {"repo": repo, "ref": ref, "path": path})

    async def list_file(
        self, repo: str, ref: str, path: str = "/", *, after: str = "", limit: int = 1000
    ) -> list[FileInfo]:
        """What is in a directory; `after` is the last path of the page before."""
        params = {"repo": repo, "ref": ref, "path": path}
        return await self._call(at.LIST_FILE, params, {"after": after, "limit": limit})

    async def glob_file(
        self, repo: str, ref: str, pattern: str, *, after: str = "", limit: int = 1000
    ) -> list[FileInfo]:
        """Files and directories that match; `after` is the last path of the page before."""
        query = {"pattern": pattern, "after": after, "limit": limit}
        return await self._call(at.GLOB_FILE, {"repo": repo, "ref": ref}, query)

    async def inspect_file(self, repo: str, ref: str, path: str) -> FileInfo:
        """One file or directory."""
        return await self._call(at.INSPECT_FILE, {"repo": repo, "ref": ref, "path": path})

    async def diff_file(
        self,
        repo: str,
        ref: str,
        path: str = "/",
        *,
        against: str = "",
        other: str = "",
        after: str = "",
        limit: int = 1000,
    ) -> list[api.Difference]:
        """Files that differ from another commit, of the same repo or of `other` (ENGINE P9)."""
        params = {"repo": repo, "ref": ref, "path": path}
        query = {"against": against, "other": other, "after": after, "limit": limit}
        return await self._call(at.DIFF_FILE, params, query)

    async def changes(
        self, repo: str, branch: str, *, after: int = 0, limit: int = 1000
    ) -> api.ChangesPage:
        """What the commits of a branch did after the commit with the number `after`."""
        params = {"repo": repo, "branch": branch}
        return await self._call(at.CHANGES, params, {"after": after, "limit": limit})

    # pipelines
    async def create_pipeline(
        self,
        document: Mapping[str, Any],
        *,
        update: bool = False,
        reprocess: bool = False,
        dry_run: bool = False,
        since: str = "",
    ) -> api.PipelinePlan:
        """Create or update a pipeline from its spec; `since` replays an input's history."""
        query = {"update": update, "reprocess": reprocess, "dry_run": dry_run, "since": since}
        return await self._call(at.CREATE_PIPELINE, {}, query, document)

    async def list_pipeline(self) -> list[PipelineInfo]:
        """All pipelines."""
        return await self._call(at.LIST_PIPELINE, {})

    async def inspect_pipeline(self, name: str) -> PipelineInfo:
        """One pipeline."""
        return await self._call(at.INSPECT_PIPELINE, {"name": name})

    async def delete_pipeline(
        self, name: str, *, force: bool = False, keep_repo: bool = False
    ) -> None:
        """Delete a pipeline and, unless kept, its repo."""
        query = {"force": force, "keep_repo": keep_repo}
        await self._call(at.DELETE_PIPELINE, {"name": name}, query)

    # jobs and datums
    async def list_job(
        self, pipeline: str = "", *, commit: str = "", before: int | None = None, limit: int = 100
    ) -> list[JobInfo]:
        """Jobs, newest first; with `commit` those of that global id."""
        query = {"pipeline": pipeline, "commit": commit, "before": before, "limit": limit}
        return await self._call(at.LIST_JOB, {}, query)

    async def inspect_job(self, job: str) -> JobInfo:
        """One job."""
        return await self._call(at.INSPECT_JOB, {"id": job})

    async def stop_job(self, job: str) -> JobInfo:
        """End a job; nothing of it is committed."""
        return await self._call(at.STOP_JOB, {"id": job})

    async def list_datum(self, job: str, *, after: int = 0, limit: int = 1000) -> list[DatumInfo]:
        """The datums of a job; `after` is the last number that was seen."""
        return await self._call(at.LIST_DATUM, {"id": job}, {"after": after, "limit": limit})

    async def preview_datum(
        self, document: Mapping[str, Any], *, after: int = 0, limit: int = 1000
    ) -> DatumPreview:
        """The datums that a pipeline of this spec has; `after` of them are passed over."""
        return await self._call(at.PREVIEW_DATUM, {}, {"after": after, "limit": limit}, document)

    async def failed_datums(
        self, pipeline: str = "", *, after: int = 0, limit: int = 1000
    ) -> list[DatumInfo]:
        """Failed datums, of one pipeline or of all."""
        query = {"pipeline": pipeline, "after": after, "limit": limit}
        return await self._call(at.FAILED_DATUMS, {}, query)

    async def inspect_datum(self, datum: str | int) -> DatumInfo:
        """One datum, by number or id."""
        return await self._call(at.INSPECT_DATUM, {"id": str(datum)})

    async def restart_datum(self, number: int) -> DatumInfo:
        """Run a datum again."""
        return await self._call(at.RESTART_DATUM, {"id": str(number)})

    async def logs(
        self,
        *,
        pipeline: str = "",
        job: str = "",
        datum: str = "",
        after: int = 0,
        follow: bool = False,
    ) -> AsyncGenerator[api.NumberedLine, None]:
        """Lines of logs; with `follow` until the server ends or the caller leaves."""
        query = {
            "pipeline": pipeline, "job": job, "datum": datum, "after": after, "follow": follow
        }  # fmt: skip
        decoder = msgspec.json.Decoder(api.NumberedLine)
        async with self.transport.stream(at.LOGS, {}, query) as chunks:
            async for line in lines(chunks):
                if line:
                    yield decoder.decode(line)

    # tokens and secrets
    async def create_token(self, label: str = "", scope: str = "admin") -> api.CreatedToken:
        """Create a token; its secret part is in the answer and nowhere else."""
        return await self._call(
            at.CREATE_TOKEN, {}, None, api.NewToken(label=label, scope=scope)
        )  # fmt: skip

    async def list_token(self) -> list[api.TokenInfo]:
        """All tokens."""
        return await self._call(at.LIST_TOKEN, {})

    async def revoke_token(self, token: str) -> None:
        """Revoke the token with this id."""
        await self._call(at.REVOKE_TOKEN, {"id": token})

    async def list_secret(self) -> list[api.SecretInfo]:
        """Names and keys of secrets."""
        return await self._call(at.LIST_SECRET, {})

    async def put_secret(self, name: str, values: Mapping[str, str]) -> api.SecretInfo:
        """Set the values of a secret."""
        body = api.SecretValues(values=dict(values))
        return await self._call(at.PUT_SECRET, {"name": name}, None, body)

    async def delete_secret(self, name: str) -> None:
        """Delete a secret."""
        await self._call(at.DELETE_SECRET, {"name": name})

    async def secret(self, name: str, key: str) -> str | None:
        """One value of a secret, or None; `Forbidden` for all but services."""
        try:
            found = await self._call(at.READ_SECRET, {"name": name, "key": key})
        except NotFound:
            return None
        return found.value
