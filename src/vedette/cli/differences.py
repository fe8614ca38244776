"""`diff-file`: what differs between two commits (ENGINE P9)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vedette.cli import shown, words
from vedette.cli.session import connected, place, raw_option
from vedette.model.api import Difference
from vedette.model.errors import Invalid
from vedette.model.files import FileInfo
from vedette.model.paths import clean

if TYPE_CHECKING:
    from vedette.client import Client

_PAGE = 1000


@words.command("diff-file")
@words.argument("words", nargs=-1, metavar="NEW [OLD], each REPO BRANCH PATH | REPO@BRANCH[:PATH]")
@words.option("-s", "--shallow", is_flag=True, help="Only what is directly below PATH.")
@raw_option
@connected
async def diff_file(client: Client, words: tuple[str, ...], shallow: bool, raw: bool) -> None:
    """List files that differ by content; without OLD, from the commit before."""
    new, old = _sides(words)
    repo, ref, path = place(new, path="/")
    other, against, old_path = place(old, path=path) if old else ("", "", path)
    if old_path != path:
        raise Invalid(f"{path} and {old_path}: compare the same PATH on both sides")
    found: list[Difference] = []
    while page := await client.diff_file(
        repo, ref, path or "/", against=against, other=other,
        after=found[-1].path if found else "", limit=_PAGE,
    ):  # fmt: skip
        found += page
        if len(page) < _PAGE:
            break
    if raw:
        shown.raw(found)
        return
    top = clean(path or "/")
    for title, files in (
        ("New Files", [d.new for d in found if d.new]),
        ("Old Files", [d.old for d in found if d.old]),
    ):
        if files:
            print(f"{title}:")
            shown.table(("NAME", "TYPE", "SIZE"), _rows(files, top, shallow))


def _sides(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if words and "@" in words[0]:
        if len(words) > 2:
            raise Invalid("name at most two places: NEW and OLD")
        return words[:1], words[1:]
    if len(words) in (4, 6):
        return words[: len(words) // 2], words[len(words) // 2 :]
    return words, ()


def _rows(files: Iterable[FileInfo], top: str, shallow: bool) -> list[tuple[str, str, str]]:
    if not shallow:
        return [(file.path, file.type, shown.size(file.size)) for file in files]
    sizes: dict[tuple[str, str], int] = {}
    for file in files:
        base = "" if top == "/" else top
        first, slash, _ = file.path.removeprefix(base + "/").partition("/")
        name = (
            (file.path, "file")
            if file.path == top
            else ((f"{base}/{first}", "dir" if slash else "file"))
        )
        sizes[name] = sizes.get(name, 0) + file.size
    return [(path, kind, shown.size(size)) for (path, kind), size in sizes.items()]
