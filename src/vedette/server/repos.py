"""Operations on repos and branches."""

from __future__ import annotations

from vedette.model.api import BranchHead, NewRepo
from vedette.model.files import BranchInfo, RepoInfo
from vedette.model.paths import check_name
from vedette.scheduling import removal, rerun
from vedette.scheduling.intents import BranchMoved, PipelineMoved, intend
from vedette.server.call import Call
from vedette.server.site import Site
from vedette.versioning import branches, commits, quota, repos
from vedette.versioning.transaction import Transaction


async def create_repo(site: Site, call: Call) -> RepoInfo:
    """Create a repo."""
    new: NewRepo = call.body

    def work(tx: Transaction) -> RepoInfo:
        repos.create(tx, new.name, description=new.description)
        quota.limit(tx, new.name, new.max_bytes)
        return repos.inspect(tx.rows, new.name)

    return await site.write(work)


async def list_repo(site: Site, _: Call) -> list[RepoInfo]:
    """All repos."""
    with site.read() as rows:
        return repos.listing(rows)


async def inspect_repo(site: Site, call: Call) -> RepoInfo:
    """One repo."""
    with site.read() as rows:
        return repos.inspect(rows, call.params["repo"])


async def delete_repo(site: Site, call: Call) -> None:
    """Delete a repo, unless a pipeline needs it (ENGINE U4)."""
    name, force = call.params["repo"], call.query.force
    await site.write(lambda tx: removal.delete_repo(tx, name, force=force))


async def list_branch(site: Site, call: Call) -> list[BranchInfo]:
    """The branches of a repo."""
    with site.read() as rows:
        return branches.listing(rows, call.params["repo"])


async def put_branch(site: Site, call: Call) -> BranchInfo:
    """Create a branch or move it."""
    repo, branch = call.params["repo"], call.params["branch"]
    body: BranchHead = call.body

    def work(tx: Transaction) -> BranchInfo:
        check_name(branch, "branch")
        head = None if not body.head else commits.resolve(tx.rows, repo, body.head).num
        adopted = rerun.adopt(tx, repo, branch, head)
        branches.move(tx, repo, branch, head)
        if head is not None:
            # Pipelines that read this branch have something new to look at (ENGINE T6).
            intend(tx, BranchMoved(repos.get(tx.rows, repo).id, branch, head))
        if adopted:
            intend(tx, PipelineMoved(repo))
        return next(b for b in branches.listing(tx.rows, repo) if b.name == branch)

    return await site.write(work)


async def delete_branch(site: Site, call: Call) -> None:
    """Delete a branch."""
    repo, branch, force = call.params["repo"], call.params["branch"], call.query.force
    await site.write(lambda tx: removal.delete_branch(tx, repo, branch, force=force))
