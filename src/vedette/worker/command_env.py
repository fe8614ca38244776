"""The words and the environment with which a command runs (ENGINE R1, R2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vedette.model.runtime import Runtime
from vedette.model.work import Code, Task
from vedette.worker import view

_SHELLS = {"/bin/ash": "", "/bin/bash": "there is no /bin/bash on this host: /bin/sh runs instead"}


def base(runtime: Runtime) -> dict[str, str]:
    """What every program of a runtime finds: its tools, `python` always among them."""
    path = ":".join([*runtime.path, view.python_folder(), view.PYTHON_LINK, view.SEARCH])
    env = {"PATH": path, "HOME": view.DEFAULT_WORKDIR, "LANG": "C.UTF-8"}
    env["PYTHONPATH"] = view.python_path()
    env.update(runtime.env)
    return env


def user(code: Code) -> dict[str, str]:
    """The spec's `env` and the secrets that it wants as variables."""
    env = dict(code.spec.transform.env)
    for secret in code.spec.transform.secrets:
        if secret.env_var:
            env[secret.env_var] = code.secrets.get(secret.name, {}).get(secret.key, "")
    return env


def secret_files(code: Code) -> dict[str, bytes]:
    """The secrets that the spec wants as files, by path."""
    files = {}
    for secret in code.spec.transform.secrets:
        if secret.mount_path:
            for key, value in code.secrets.get(secret.name, {}).items():
                files[f"/{secret.mount_path.strip('/')}/{key}"] = value.encode()
    return files


def for_code(runtime: Runtime, code: Code) -> dict[str, str]:
    """What is the same in the environment of a command for each datum."""
    env = {**base(runtime), **user(code)}
    if view.python_folder() not in env["PATH"].split(":"):
        env["PATH"] += f":{view.python_folder()}:{view.PYTHON_LINK}"
    env["PPS_PIPELINE_NAME"] = code.pipeline
    return env


def for_task(alike: Mapping[str, str], task: Task) -> dict[str, str]:
    """The whole environment of a command for one datum."""
    env = dict(alike)
    env["PACH_JOB_ID"] = task.job
    env["PACH_OUTPUT_COMMIT_ID"] = task.commit
    env["PACH_DATUM_ID"] = task.id
    for given in task.inputs:
        env[given.name] = f"/pfs/{given.name}{given.path}".rstrip("/")
        env[f"{given.name}_COMMIT"] = given.commit
        if given.join_on:
            env[f"PACH_DATUM_{given.name}_JOIN_ON"] = given.join_on
        if given.group_by:
            env[f"PACH_DATUM_{given.name}_GROUP_BY"] = given.group_by
    return env


def words(cmd: Sequence[str]) -> tuple[list[str], str]:
    """The command to execute, and a remark when a shell that this host lacks is replaced."""
    if cmd[0] in _SHELLS and not Path(cmd[0]).exists():
        return ["/bin/sh", *cmd[1:]], _SHELLS[cmd[0]]
    return list(cmd), ""


def standard_input(lines: Sequence[str]) -> bytes | None:
    """The lines of `stdin`, joined by newlines and ending with one; None when there are none."""
    if not lines:
        return None
    text = "\n".join(lines)
    return (text if text.endswith("\n") else text + "\n").encode()
