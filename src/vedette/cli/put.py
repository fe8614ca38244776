"""`put-file`: files, folders, standard input and web addresses into a repo (ENGINE P2, P3)."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from vedette.cli import words
from vedette.cli.session import place, speak
from vedette.cli.sources import Source, listed, refuse_equal, sources_of
from vedette.cli.web import fetched, is_address
from vedette.model.errors import Invalid, NotFound, VedetteError
from vedette.model.paths import clean

if TYPE_CHECKING:
    from vedette.client import Client
    from vedette.model.files import WriteResult

_WHOLE = 4 << 20


@words.command("put-file")
@words.argument("where", nargs=-1, metavar="REPO BRANCH [PATH] | REPO@BRANCH[:PATH]")
@words.option("-f", "--file", "files", multiple=True, metavar="SRC",
              help="A file, - for standard input, a web address, or with -r a folder.")  # fmt: skip
@words.option("-i", "--input-file", metavar="LIST", help="Read sources from a file, one a line.")
@words.option("-r", "--recursive", is_flag=True, help="Put all that is below a folder.")
@words.option("-a", "--append", is_flag=True, help="Add to what is there instead of replacing it.")
@words.option("-o", "--overwrite", is_flag=True, help="Replace what is there (the default).")
@words.option("-c", "--commit", is_flag=True, help="Accepted: a put makes its own commit anyway.")
@words.option("-p", "--parallelism", type=words.integer(1), default=10,
              help="Web addresses read at a time; files are sent in one stream.")  # fmt: skip
@words.option("--full-path", is_flag=True, help="Without PATH: keep the whole path of SRC.")
@words.option("--split", type=words.choice("line", "json"),
              help="Cut SRC into files PATH/0000000000000000, ...")  # fmt: skip
@words.option("--target-file-datums", type=words.integer(1), default=1, metavar="N",
              help="With --split: so many lines or values a file.")  # fmt: skip
@words.option("--wait", is_flag=True, help="Wait for all jobs that it causes; fails if one does.")
@words.option("--timeout", type=words.number(0), default=3600.0,
              help="With --wait: give up after so many seconds.")  # fmt: skip
@words.option("--compat", type=words.choice("1.x"), help="1.x: append, as that release did.")
def put_file(
    where: tuple[str, ...],
    files: tuple[str, ...],
    input_file: str | None,
    recursive: bool,
    append: bool,
    overwrite: bool,
    commit: bool,
    parallelism: int,
    full_path: bool,
    split: str | None,
    target_file_datums: int,
    wait: bool,
    timeout: float,
    compat: str | None,
) -> None:
    """Write files into a branch: into its open commit if it has one, else as one new commit."""
    repo, branch, path = place(where)
    origins = [*files, *listed(input_file)] or ["-"]
    sources = list(sources_of(origins, path, recursive=recursive, full_path=full_path))
    if not sources:
        raise NotFound(f"there is no file below {', '.join(origins)}")
    adds = append or (compat == "1.x" and not overwrite)
    if len(origins) > 1 and not adds and split is None:
        refuse_equal(sources)

    async def put(client: Client) -> WriteResult:
        if split is not None:
            from vedette.cli.packing import put_split

            return await put_split(client, repo, branch, sources, split, target_file_datums)
        if len(sources) == 1:
            return await _put_one(client, repo, branch, sources[0], adds)
        from vedette.cli.packing import packed

        # Made anew when it must be sent again: then the files are read again.
        tar = partial(packed, sources, parallelism)
        return await client.put_tar(repo, branch, tar, append=adds)

    async def put_and_wait(client: Client) -> None:
        made = await put(client)
        if wait:
            await _ended(client, made, timeout)

    speak(put_and_wait, together=any(is_address(source.origin) for source in sources))


async def _ended(client: Client, made: WriteResult, timeout: float) -> None:
    """Wait for what a put causes. Raises Invalid where nothing is to come of it yet."""
    for commit in made.commits:
        if commit.state == "started":
            raise Invalid(
                f"the files are in the open commit of {commit.repo}@{commit.branch}, so there is "
                "nothing to wait for: `vedette finish-commit` first"
            )
    flushed = await client.flush_commit(made.id, timeout)
    for job in flushed.jobs:
        if job.state != "SUCCESS":
            raise VedetteError(f"job {job.id} of {job.pipeline}: {job.state} {job.reason}".strip())


async def _put_one(
    client: Client, repo: str, branch: str, source: Source, append: bool
) -> WriteResult:
    path = clean(source.path)
    if source.origin == "-":
        from vedette.cli.packing import read_pieces

        return await client.put_file(
            repo, branch, path, read_pieces(sys.stdin.buffer), append=append
        )
    if is_address(source.origin):
        web = partial(fetched, source.origin)
        return await client.put_file(repo, branch, path, web, append=append)
    if os.stat(source.origin).st_size <= _WHOLE:
        with open(source.origin, "rb") as file:
            content = file.read()
        return await client.put_file(repo, branch, path, content, append=append)
    from vedette.cli.packing import bytes_of

    return await client.put_file(repo, branch, path, partial(bytes_of, source), append=append)
