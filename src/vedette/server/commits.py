"""Operations on commits."""

from __future__ import annotations

from vedette.metadata.store import Rows
from vedette.model.api import Flushed, NewCommit
from vedette.model.errors import Conflict, Invalid, NotFound, Unavailable
from vedette.model.files import CommitInfo
from vedette.model.job import TERMINAL
from vedette.scheduling import jobs
from vedette.server.call import Call
from vedette.server.site import Site
from vedette.server.waiting import waited
from vedette.versioning import commits, repos
from vedette.versioning.transaction import Transaction


async def start_commit(site: Site, call: Call) -> CommitInfo:
    """Open a commit."""
    repo = call.params["repo"]
    new: NewCommit = call.body

    def work(tx: Transaction) -> CommitInfo:
        row = commits.start(tx, repo, new.branch, description=new.description)
        return commits.info(tx.rows, row, repo)

    return await site.write(work)


async def finish_commit(site: Site, call: Call) -> CommitInfo:
    """Finish an open commit, named by its branch or id."""
    repo, ref = call.params["repo"], call.params["ref"]

    def work(tx: Transaction) -> CommitInfo:
        number = commits.tip(tx.rows, repo, ref).open
        if number is None:
            row = commits.resolve(tx.rows, repo, ref)
            if row.state != "started":
                raise Conflict(f"{repo}@{ref} has no open commit: start one first", repo=repo)
            number = row.num
        if commits.by_num(tx.rows, number).origin != "user":
            raise Conflict(f"{repo}@{ref} is being made by a job: stop the job to end it")
        commits.finish(tx, number)
        return commits.info(tx.rows, commits.by_num(tx.rows, number), repo)

    return await site.write(work)


async def list_commit(site: Site, call: Call) -> list[CommitInfo]:
    """Commits of a repo, newest first."""
    repo, query = call.params["repo"], call.query
    limit = site.page(query.limit)
    if query.after is not None and not query.branch:
        raise Invalid("after needs a branch: commits of several branches end out of order")
    with site.read() as rows:
        if query.after is not None:
            number = repos.get(rows, repo).id
            later = commits.since(rows, number, query.branch, query.after, limit)
            return [commits.info(rows, row, repo) for row in later]
        found = commits.listing(
            rows,
            repos.get(rows, repo).id,
            query.branch or None,
            2**62 if query.before is None else query.before,
            limit,
        )
        return [commits.info(rows, row, repo) for row in found]


async def inspect_commit(site: Site, call: Call) -> CommitInfo:
    """One commit."""
    repo = call.params["repo"]
    with site.read() as rows:
        row = commits.resolve(rows, repo, call.params["ref"])
        return commits.info(rows, row, repo)


async def commits_of(site: Site, call: Call) -> list[CommitInfo]:
    """Every commit of a global id."""
    with site.read() as rows:
        return _all_of(rows, call.params["id"])


async def flush_commit(site: Site, call: Call) -> Flushed:
    """Wait until all that a global id caused has ended (ENGINE T3)."""
    identity = call.params["id"]

    async def look() -> Flushed | None:
        with site.read() as rows:
            found = Flushed(
                commits=tuple(_all_of(rows, identity)), jobs=tuple(jobs.of_commit(rows, identity))
            )
        open_jobs = any(job.state not in TERMINAL for job in found.jobs)
        open_commits = any(commit.state == "started" for commit in found.commits)
        return None if open_jobs or open_commits else found

    found = await waited(site, look, call.query.timeout)
    if found is None:
        raise Unavailable(f"commit {identity} still has work to do after {call.query.timeout:g} s")
    return found


def _all_of(rows: Rows, identity: str) -> list[CommitInfo]:
    found = [commits.info(rows, row) for row in commits.with_id(rows, identity)]
    if not found:
        raise NotFound(f"no commit has the id {identity!r}: see `vedette list-commit REPO`")
    return found
