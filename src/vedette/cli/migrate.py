"""`migrate-store`: from a data folder to a database and a bucket."""

from __future__ import annotations

from pathlib import Path

from vedette import config
from vedette.cli import words


@words.command("migrate-store")
@words.option("--data", type=words.PATH, metavar="DIR",
              help="The data folder (~/.local/share/vedette).")  # fmt: skip
@words.option("--database", metavar="URL", default="",
              help="Where its rows are, if they are in a database already.")  # fmt: skip
@words.option("--to-database", metavar="URL", default="",
              help="Move the rows there: postgresql://USER@HOST/NAME, an empty one.")  # fmt: skip
@words.option("--to-objects", metavar="s3://BUCKET/PREFIX", default="",
              help="Move the objects there.")  # fmt: skip
def migrate_store(data: Path | None, database: str, to_database: str, to_objects: str) -> None:
    """Move an installation to other stores, while no server runs.

    Everything is copied and compared before it is used: rows one by one, objects with their hashes.
    What was interrupted goes on when the same command is given again.
    """
    from vedette.store_migration.move import Plan, move
    from vedette.wiring import locked

    settings = config.load({"data": data})
    plan = Plan(
        data=settings.data, database=database, to_database=to_database, to_objects=to_objects
    )
    with locked(settings.data):
        done = move(plan, print)
    words = [f"--data {settings.data}"]
    words += ["--database URL"] if database or to_database else []  # it may hold a password
    words += [f"--objects {to_objects.rstrip('/')}"] if to_objects else []
    print(f"moved {sum(done.rows.values())} rows and {done.objects} objects ({done.bytes} bytes)")
    print(f"go on with: vedette serve {' '.join(words)}")
