"""Turn what a stage process says into what the server wants to know."""

from __future__ import annotations

from vedette.model.errors import InvalidPath, NoSpace, Unavailable, VedetteError
from vedette.model.paths import clean
from vedette.model.work import LogEntry, Output, Result, Task
from vedette.stage.frames import Done, Written
from vedette.stage.output import MAX_LINES, microseconds
from vedette.worker.gather import BadOutput, Put, store
from vedette.worker.stage_process import Held


def success(held: Held, done: Done, put: Put) -> Result:
    """The result of a datum that the stage has done; failed when its outputs cannot be stored."""
    task = held.task
    try:
        outputs, upload = _outputs(task, done.outputs, put)
    except BadOutput as error:
        return failure(held, str(error))
    except (NoSpace, Unavailable, OSError) as error:
        return given_back(task, "lost", f"an output could not be stored: {error}")
    except VedetteError as error:
        return failure(held, error.message)
    return Result(
        datum=task.datum, lease=task.lease, state="success", outputs=outputs, logs=held.logs,
        tries=held.tries, seconds=held.seconds, cpu_seconds=held.cpu_seconds,
        download=sum(file.size for given in task.inputs for file in given.files), upload=upload,
    )  # fmt: skip


def failure(held: Held, reason: str) -> Result:
    """The result of a datum whose tries are used up."""
    return Result(
        datum=held.task.datum, lease=held.task.lease, state="failed", reason=reason,
        logs=held.logs, tries=held.tries, seconds=held.seconds, cpu_seconds=held.cpu_seconds,
    )  # fmt: skip


def given_back(task: Task, state: str, reason: str) -> Result:
    """The result of a datum that was not run: `lost`, `not_ready` or `crash`."""
    return Result(
        datum=task.datum, lease=task.lease, state=state, reason=reason, tries=0  # type: ignore[arg-type]
    )  # fmt: skip


def last_lines(held: Held, words: list[str], reason: str) -> tuple[LogEntry, ...]:
    """Log entries for a try that ended with its process."""
    attempt, now = held.task.attempt + held.tries - 1, microseconds()
    said = [LogEntry(now, attempt, "stderr", text) for text in words[:MAX_LINES]]
    return (*said, LogEntry(now, attempt, "system", reason))


def _outputs(task: Task, written: tuple[Written, ...], put: Put) -> tuple[tuple[Output, ...], int]:
    outputs, upload = [], 0
    sizes: dict[bytes, int] | None = None
    for made in written:
        if not _is_clean(made.path):
            raise BadOutput(f"output {made.path!r} is not a clean path")
        if made.data is not None:
            outputs.append(store(made.path, made.data, put))
            upload += len(made.data)
            continue
        if sizes is None:
            sizes = {file.object: file.size for given in task.inputs for file in given.files}
        if made.object not in sizes:
            raise BadOutput(f"output {made.path} links to a file that is no input of this datum")
        outputs.append(Output(made.path, made.object, sizes[made.object]))
    return tuple(outputs), upload


def _is_clean(path: str) -> bool:
    try:
        return path != "/" and clean(path) == path
    except InvalidPath:
        return False
