"""`migrate`: brings a database to the schema of this program, while servers use it."""

from __future__ import annotations

from vedette import config
from vedette.cli import words
from vedette.model.errors import Invalid


@words.command("migrate")
@words.option("--database", metavar="URL", help="postgresql://USER@HOST:PORT/NAME.")
@words.option("--finish", is_flag=True,
              help="Take away what only older servers need. Not while one is there.")  # fmt: skip
def migrate(database: str | None, finish: bool) -> None:
    """Bring a database to this program's schema; servers may use it meanwhile.

    Servers do this by themselves when they start, but for the last step, --finish: after it older
    servers are refused.
    """
    settings = config.load({"database": database})
    if not settings.database:
        raise Invalid(
            "say --database: rows in a data folder are brought to the schema at the start"
        )
    try:
        from vedette.metadata.postgres_schema import bring
    except ImportError:
        raise Invalid(
            "rows in PostgreSQL need another package: pip install 'vedette[postgres]'"
        ) from None
    done, left = bring(settings.database, finish=finish)
    print(f"{done} steps done")
    if left:
        print(f"to be finished, once no older server is there: {', '.join(left)}")
