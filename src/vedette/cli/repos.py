"""Commands on repos and branches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vedette.cli import shown, words
from vedette.cli.session import connected, place, raw_option
from vedette.cli.sizes import max_bytes_option, read_bytes
from vedette.model.errors import Invalid

if TYPE_CHECKING:
    from vedette.client import Client


@words.command("create-repo")
@words.argument("repo")
@words.option("-d", "--description", default="", help="What it is for.")
@max_bytes_option
@connected
async def create_repo(client: Client, repo: str, description: str, max_bytes: str | None) -> None:
    """Create a repo."""
    most = None if max_bytes is None else read_bytes(max_bytes)
    await client.create_repo(repo, description, max_bytes=most)


@words.command("list-repo")
@raw_option
@connected
async def list_repo(client: Client, raw: bool) -> None:
    """List all repos."""
    repos = await client.list_repo()
    if raw:
        shown.raw(repos)
        return
    rows = ((repo.name, shown.age(repo.created), shown.size(repo.size)) for repo in repos)
    shown.table(("NAME", "CREATED", "SIZE"), rows)


@words.command("inspect-repo")
@words.argument("repo")
@raw_option
@connected
async def inspect_repo(client: Client, repo: str, raw: bool) -> None:
    """Show one repo."""
    shown.details(await client.inspect_repo(repo), as_raw=raw)


@words.command("delete-repo")
@words.argument("repo", required=False)
@words.option("-f", "--force", is_flag=True, help="Also when a pipeline reads it.")
@words.option("--all", "everything", is_flag=True, help="All repos that no pipeline owns.")
@connected
async def delete_repo(client: Client, repo: str | None, force: bool, everything: bool) -> None:
    """Delete a repo with its history."""
    if bool(repo) == everything:
        raise Invalid("name one repo, or use --all")
    names = [repo] if repo else [r.name for r in await client.list_repo() if r.kind == "user"]
    for name in names:
        await client.delete_repo(name, force=force)


@words.command("create-branch")
@words.argument("where", nargs=-1, metavar="REPO BRANCH | REPO@BRANCH")
@words.option("--head", metavar="COMMIT", help="A branch, commit id or ancestor to point to.")
@connected
async def create_branch(client: Client, where: tuple[str, ...], head: str | None) -> None:
    """Create a branch, or move it to another commit."""
    repo, branch, _ = place(where)
    await client.put_branch(repo, branch, head)


@words.command("list-branch")
@words.argument("repo")
@raw_option
@connected
async def list_branch(client: Client, repo: str, raw: bool) -> None:
    """List the branches of a repo."""
    branches = await client.list_branch(repo)
    if raw:
        shown.raw(branches)
        return
    shown.table(("BRANCH", "HEAD"), ((b.name, b.head or "-") for b in branches))


@words.command("delete-branch")
@words.argument("where", nargs=-1, metavar="REPO BRANCH | REPO@BRANCH")
@words.option("-f", "--force", is_flag=True, help="Also when a pipeline reads it.")
@connected
async def delete_branch(client: Client, where: tuple[str, ...], force: bool) -> None:
    """Delete a branch; its commits stay."""
    repo, branch, _ = place(where)
    await client.delete_branch(repo, branch, force=force)
