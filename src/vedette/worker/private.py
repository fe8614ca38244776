"""The private root of a pipeline's command: its image, user, secrets and programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vedette.model.runtime import Runtime
from vedette.model.work import Code
from vedette.worker import command_env, lasting_command, view
from vedette.worker.identity import identify
from vedette.worker.root import Layout


class CannotRun(Exception):  # noqa: N818 - the pipeline is CRASHING with this text
    """The command could not even be started."""

    @classmethod
    def because(cls, error: Exception) -> CannotRun:
        """The same, for what the host or the spec does not allow."""
        if isinstance(error, CannotRun):
            return error
        if not isinstance(error, OSError):
            return cls(str(error))
        where = f"{error.filename}: " if error.filename else ""
        return cls(f"no worker can be started here: {where}{error.strerror or error}")


def private_layout(
    code: Code, runtime: Runtime, folder: Path, pfs: Path, hidden: Sequence[str]
) -> Layout:
    """What the command of a pipeline sees. Raises `CannotRun`, and `OSError` for a folder."""
    transform = code.spec.transform
    try:
        identity = identify(transform.user)
    except LookupError as error:
        raise CannotRun(str(error.args[0])) from None
    batches = transform.datum_batching
    return view.layout(
        runtime, base=str(folder / "root"), pfs=str(pfs), hidden=hidden,
        network=code.spec.network, working_dir=transform.working_dir,
        secrets=command_env.secret_files(code), identity=identity,
        programs=lasting_command.programs() if batches else {},
        pipes=(lasting_command.ASK, lasting_command.GIVEN) if batches else (),
    )  # fmt: skip
