"""The part of the typed client that is about the life of pipelines and jobs."""

from __future__ import annotations

from vedette.client import life as at
from vedette.client.transport import Transport
from vedette.model import api
from vedette.model.job import JobInfo
from vedette.model.pipeline import PipelineInfo


class LifeCalls:
    """One method for each operation of `vedette.client.life`."""

    transport: Transport

    async def stop_pipeline(self, pipeline: str) -> PipelineInfo:
        """Start nothing more of a pipeline; what runs goes on to its end."""
        return await self.transport.call(at.STOP_PIPELINE, {"name": pipeline})

    async def start_pipeline(self, pipeline: str) -> PipelineInfo:
        """Let a stopped pipeline go on."""
        return await self.transport.call(at.START_PIPELINE, {"name": pipeline})

    async def run_pipeline(self, pipeline: str) -> JobInfo:
        """One job over the newest inputs, though none of them is new."""
        return await self.transport.call(at.RUN_PIPELINE, {"name": pipeline})

    async def wait_job(self, job: str, timeout: float = 60.0) -> JobInfo:
        """A job when it has ended; `Unavailable` after `timeout` seconds."""
        return await self.transport.call(at.WAIT_JOB, {"id": job}, {"timeout": timeout})

    async def delete_job(self, job: str) -> None:
        """Forget a job that has ended; its commit stays."""
        await self.transport.call(at.DELETE_JOB, {"id": job})

    async def rerun_pipeline(
        self,
        pipeline: str,
        *,
        everything: bool = False,
        branch: str = "",
        dry_run: bool = False,
    ) -> api.PipelinePlan:
        """Run again what failed, or everything, that also into another branch."""
        query = {"all": everything, "branch": branch, "dry_run": dry_run}
        return await self.transport.call(at.RERUN_PIPELINE, {"name": pipeline}, query)

    async def pipeline_versions(self, pipeline: str) -> list[api.PipelineVersion]:
        """The versions of a pipeline, newest first."""
        return await self.transport.call(at.PIPELINE_VERSIONS, {"name": pipeline})

    async def pipeline_version(self, pipeline: str, version: int) -> api.PipelineVersion:
        """One version of a pipeline."""
        given = {"name": pipeline, "version": str(version)}
        return await self.transport.call(at.PIPELINE_VERSION, given)

    async def why_job(self, job: str) -> api.JobWhy:
        """Why a job is there."""
        return await self.transport.call(at.WHY_JOB, {"id": job})

    async def why_datum(self, datum: str | int, job: str = "") -> api.DatumWhy:
        """Why a datum ran, and what a job did with it."""
        return await self.transport.call(at.WHY_DATUM, {"id": str(datum)}, {"job": job})

    async def why_file(self, repo: str, ref: str, path: str) -> api.FileWhy:
        """Which datum, job and commits made a file."""
        given = {"repo": repo, "ref": ref, "path": path.strip("/")}
        return await self.transport.call(at.WHY_FILE, given)

    async def run_cron(self, pipeline: str) -> list[api.Tick]:
        """Tick each cron input of a pipeline now."""
        return await self.transport.call(at.RUN_CRON, {"name": pipeline})
