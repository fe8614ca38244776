"""Why is this there?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vedette.cli import shown, words
from vedette.cli.session import connected, place, raw_option
from vedette.model.api import DatumWhy, FileWhy, JobWhy

if TYPE_CHECKING:
    from vedette.client import Client

_JOB = re.compile(r"[0-9a-f]{32}")
_DATUM = re.compile(r"[0-9]{1,18}|[0-9a-f]{64}")


@words.command("why")
@words.argument("what", nargs=-1, required=True, metavar="REPO@BRANCH:/PATH | JOB | DATUM")
@words.option("--job", default="", help="Of a datum: also what this job did with it.")
@raw_option
@connected
async def why(client: Client, what: tuple[str, ...], job: str, raw: bool) -> None:
    """Say which commits woke a job, why a datum ran or was skipped, or what made a file.

    A job is named by its id or as PIPELINE@COMMIT, a datum by its number or id.
    """
    found = await _asked(client, what, job)
    if raw:
        shown.raw([found])
        return
    for line in found.told:
        print(line)


async def _asked(client: Client, what: tuple[str, ...], job: str) -> JobWhy | DatumWhy | FileWhy:
    if len(what) == 1 and _DATUM.fullmatch(what[0]) and not _JOB.fullmatch(what[0]):
        return await client.why_datum(what[0], job)
    if len(what) == 1 and ":" not in what[0]:
        pipeline, _, ref = what[0].partition("@")
        if ref and not _JOB.fullmatch(ref):
            ref = (await client.inspect_commit(pipeline, ref)).id
        return await client.why_job(f"{pipeline}@{ref}" if ref else pipeline)
    repo, ref, path = place(what)
    return await client.why_file(repo, ref, path or "/")
