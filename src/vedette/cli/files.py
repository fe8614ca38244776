"""Commands that read, copy and remove files."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.cli import shown, words
from vedette.cli.session import connected, place, raw_option
from vedette.model.errors import Invalid, NotFound
from vedette.model.paths import clean

if TYPE_CHECKING:
    from vedette.client import Client
    from vedette.model.files import FileInfo, Write

_PAGE = 1000
_WHERE = "REPO BRANCH [PATH] | REPO@BRANCH[:PATH]"


@words.command("get-file")
@words.argument("where", nargs=-1, metavar=_WHERE)
@words.option("-o", "--output", metavar="FILE", help="Write here instead of standard output.")
@words.option("-r", "--recursive", is_flag=True, help="All below PATH, into the folder -o.")
@connected
async def get_file(
    client: Client, where: tuple[str, ...], output: str | None, recursive: bool
) -> None:
    """Read a file to standard output, or with -r what is below PATH into a folder."""
    repo, ref, path = place(where, path="/" if recursive else None)
    if path is None:
        raise Invalid("name the PATH of a file, or use -r")
    if recursive:
        if output in (None, "-"):
            raise Invalid("-r needs a folder to write into: -o DIR")
        async with client.archive(repo, ref, path) as chunks:
            await _unpack(chunks, clean(path), Path(output or ""))
        return
    async with client.stream_file(repo, ref, path) as chunks:
        if output in (None, "-"):
            async for chunk in chunks:
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        else:
            target = Path(output or "")
            await _write(chunks, target / Path(path).name if target.is_dir() else target)


@words.command("list-file")
@words.argument("where", nargs=-1, metavar=_WHERE)
@raw_option
@connected
async def list_file(client: Client, where: tuple[str, ...], raw: bool) -> None:
    """List a directory."""
    repo, ref, path = place(where, path="/")
    found: list[FileInfo] = []
    while page := await client.list_file(
        repo, ref, path or "/", after=found[-1].path if found else "", limit=_PAGE
    ):
        found += page
        if len(page) < _PAGE:
            break
    _show(found, raw)


@words.command("glob-file")
@words.argument("where", nargs=-1, metavar="REPO BRANCH PATTERN | REPO@BRANCH:PATTERN")
@raw_option
@connected
async def glob_file(client: Client, where: tuple[str, ...], raw: bool) -> None:
    """List files and directories that match a pattern."""
    repo, ref, pattern = place(where)
    if pattern is None:
        raise Invalid("name the PATTERN that paths shall match")
    found: list[FileInfo] = []
    while page := await client.glob_file(
        repo, ref, pattern, after=found[-1].path if found else "", limit=_PAGE
    ):
        found += page
        if len(page) < _PAGE:
            break
    _show(found, raw)


@words.command("inspect-file")
@words.argument("where", nargs=-1, metavar="REPO BRANCH PATH | REPO@BRANCH:PATH")
@raw_option
@connected
async def inspect_file(client: Client, where: tuple[str, ...], raw: bool) -> None:
    """Show one file or directory."""
    repo, ref, path = place(where, path="/")
    shown.details(await client.inspect_file(repo, ref, path or "/"), as_raw=raw)


@words.command("delete-file")
@words.argument("where", nargs=-1, metavar="REPO BRANCH PATH | REPO@BRANCH:PATH")
@words.option("-r", "--recursive", is_flag=True, help="Accepted: a directory goes whole anyway.")
@words.option("--for-good", is_flag=True, help="Delete its bytes in all commits of the repo.")
@words.option("--reason", default="", help="Why it is deleted for good; kept, and shown.")
@connected
async def delete_file(
    client: Client, where: tuple[str, ...], recursive: bool, for_good: bool, reason: str
) -> None:
    """Remove a file, or a directory with all below it. Older commits keep it.

    --for-good is something else: no commit is made, and every version of the file in any commit
    and branch of the repo loses its bytes. Path, size, hash and history stay, with the reason.
    """
    repo, branch, path = place(where)
    if path is None:
        raise Invalid("name the PATH to remove")
    if for_good:
        done = await client.delete_for_good(repo, path, reason)
        print(f"{done.files} versions of files are deleted for good")
        return
    if reason:
        raise Invalid("--reason goes with --for-good")
    await client.delete_file(repo, branch, path)


@words.command("copy-file")
@words.argument("words", nargs=-1, metavar="REPO BRANCH PATH REPO BRANCH PATH | FROM TO")
@words.option("-o", "--overwrite", is_flag=True, help="Replace what is there (the default).")
@connected
async def copy_file(client: Client, words: tuple[str, ...], overwrite: bool) -> None:
    """Copy a file or directory, also between repos. No bytes are moved (ENGINE P10).

    A file goes into the directory that a PATH with a slash at its end names.
    """
    half = len(words) // 2
    if len(words) not in (2, 6):
        raise Invalid("write REPO@BRANCH:PATH twice: from where, and to where")
    repo, ref, path = place(words[:half])
    to_repo, to_branch, to_path = place(words[half:])
    if path is None or to_path is None:
        raise Invalid("name both PATHs: from where, and to where")
    from vedette.model.files import Write

    ref = (await client.inspect_commit(repo, ref)).id  # the branch may move meanwhile
    source = await client.inspect_file(repo, ref, path)
    if source.type == "file" and to_path.endswith("/"):
        to_path += source.path.rpartition("/")[2]
    writes: list[Write] = []
    async for file in _files(client, repo, ref, source):
        below = file.path.removeprefix(source.path.rstrip("/"))
        writes.append(
            Write(
                repo=to_repo,
                branch=to_branch,
                path=clean(to_path).rstrip("/") + below,
                object=file.object,
            )
        )
    await client.transaction(writes)


async def _files(client: Client, repo: str, ref: str, top: FileInfo) -> AsyncIterator[FileInfo]:
    if top.type == "file":
        yield top
        return
    after = ""
    while page := await client.list_file(repo, ref, top.path, after=after, limit=_PAGE):
        for child in page:
            async for file in _files(client, repo, ref, child):
                yield file
        after = page[-1].path


async def _unpack(chunks: AsyncIterator[bytes], path: str, folder: Path) -> None:
    """Write the files of a tar stream below a folder, named from `path` on."""
    from vedette.client.tar import Entries

    folder.mkdir(parents=True, exist_ok=True)
    entries = Entries(chunks, 1 << 62)
    while (entry := await entries.next()) is not None:
        name = clean(entry[0])
        below = name.removeprefix(path.rstrip("/")) if name != path else "/" + Path(path).name
        target = folder / clean(below).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        await _write(entries.bytes.pieces(entry[1]), target)


async def _write(chunks: AsyncIterator[bytes], target: Path) -> None:
    """Write a file whole or not at all."""
    if not target.parent.is_dir():
        raise NotFound(f"no folder {target.parent}: make it first")
    draft = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            async for chunk in chunks:
                file.write(chunk)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _show(files: Iterable[FileInfo], raw: bool) -> None:
    if raw:
        shown.raw(files)
        return
    rows = ((file.path, file.type, shown.size(file.size)) for file in files)
    shown.table(("NAME", "TYPE", "SIZE"), rows)
