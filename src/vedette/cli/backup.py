"""Commands that copy a data folder and make one from a copy. They work on this machine's disk."""

from __future__ import annotations

from pathlib import Path

from vedette import config
from vedette.cli import shown, words
from vedette.model.errors import Invalid

_FOLDER = words.PATH


@words.command("backup")
@words.argument("folder", metavar="DIR", type=_FOLDER)
@words.option("--data", type=_FOLDER, metavar="DIR", help="What to copy (~/.local/share/vedette).")
def backup(folder: Path, data: Path | None) -> None:
    """Copy a data folder to DIR, also while its server runs; a second time only what is new.

    DIR then holds the installation as it was at one instant, verified. Killed on the way, it holds
    what it held before.
    """
    from vedette.versioning.backup import backup as copy

    settings = config.load({"data": data})
    elsewhere = settings.objects or ("a PostgreSQL database" if settings.database else "")
    if elsewhere:
        raise Invalid(
            f"part of this installation is in {elsewhere}: use the means of that store, rows first"
        )
    made = copy(settings.data, folder.absolute())
    print(
        f"all rows, small files among them, and {made.objects} objects ({shown.size(made.size)}) "
        f"are in {folder}; {shown.size(made.new)} of it new"
    )


@words.command("restore")
@words.argument("folder", metavar="DIR", type=_FOLDER)
@words.option("--data", type=_FOLDER, metavar="DIR", required=True,
              help="The folder to make; it must be empty or not there.")  # fmt: skip
def restore(folder: Path, data: Path) -> None:
    """Make a data folder from the backup in DIR; every byte is verified on the way."""
    from vedette.versioning.backup import restore as copy

    made = copy(folder.absolute(), data.expanduser().absolute())
    print(
        f"all rows, small files among them, and {made.objects} objects ({shown.size(made.size)}) "
        f"are in {data}"
    )
    print(f"start it: vedette serve --data {data}")
