"""Reads Pachyderm's pipeline specs, with the words of 1.6 and of 2.x, and ours (DESIGN 4).

>>> text = b'''{"pipeline": {"name": "plot"}, "transform": {"cmd": ["sh"]},
...             "input": {"atom": {"repo": "threats", "glob": "/*"}}}'''
>>> [document] = parse_documents(text)
>>> parse_spec(document).spec.output_conflict
'concat'
"""

from __future__ import annotations

import json
from collections.abc import Collection
from difflib import get_close_matches
from textwrap import indent
from typing import Any, NoReturn

from msgspec import Struct

from vedette.model.egress import egress
from vedette.model.errors import InvalidName, InvalidSpec
from vedette.model.inputs import Input, Union
from vedette.model.paths import check_name
from vedette.model.pipeline import OutputConflict, PipelineSpec, SecretMount, Transform
from vedette.model.spec_fields import spec_fields
from vedette.model.spec_input import InputReader, check_environment_name
from vedette.model.spec_limits import check_limits, datum_set, limits
from vedette.model.spec_lint import likely_conflicts
from vedette.model.spec_long_running import standing
from vedette.model.spec_read import Reading

__all__ = ["ParsedSpec", "absent", "parse_documents", "parse_spec", "spec_fields", "unsupported"]

MAX_WORKERS = 1000
MAX_TRIES = 100


class ParsedSpec(Struct, frozen=True):
    """A checked spec, and what was accepted without effect, one line each."""

    spec: PipelineSpec
    warnings: tuple[str, ...]


def parse_documents(text: bytes) -> list[dict[str, Any]]:
    """The specs in a file: one object, several one after the other, or a list of them.

    JSON, or YAML with `---` between documents: what begins with a brace or a bracket is JSON.
    Raises InvalidSpec with line and column where it is neither.
    """
    try:
        source = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise InvalidSpec(f"pipeline spec, line {line}: this is not UTF-8 text") from None
    start = _skip_space(source, 0)
    if source[start : start + 1] not in ("{", "["):
        from vedette.model.spec_yaml import yaml_documents

        found = [each for value in yaml_documents(source) for each in _documents(value)]
    else:
        found = _json_documents(source)
    if not found:
        raise InvalidSpec("there is no pipeline spec in it: a JSON or YAML object is needed")
    return found


def _json_documents(source: str) -> list[dict[str, Any]]:
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
    found: list[dict[str, Any]] = []
    at = _skip_space(source, 0)
    while at < len(source):
        try:
            value, at = decoder.raw_decode(source, at)
        except json.JSONDecodeError as error:
            raise InvalidSpec(
                f"pipeline spec, line {error.lineno}:{error.colno}: not valid JSON: {error.msg}"
            ) from None
        except RecursionError:
            raise InvalidSpec("pipeline spec: nested too deeply") from None
        except ValueError as error:
            raise InvalidSpec(f"pipeline spec: not valid JSON: {error}") from None
        found.extend(_documents(value))
        at = _skip_space(source, at)
    return found


def parse_spec(document: dict[str, Any], known: Collection[str] | None = None) -> ParsedSpec:
    """Read one spec; InvalidSpec names every fault at once, each with its JSON path (ENGINE U6).

    Whether repos exist is not asked here, nor what the engine can do: see `unsupported`. But where
    there are faults, the repos that are not among the `known` ones are added to them.
    """
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidSpec("pipeline spec: it holds text that is not valid Unicode") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidSpec(f"pipeline spec: not a JSON document: {error}") from None
    reading = Reading()
    words = reading.read(document)
    name = _pipeline_name(reading, words)
    transform = _transform(reading, words.get("transform", {}))
    tree, inputs = _input(reading, words, name)
    service, spout = standing(reading, words)
    target = egress(reading, words)
    parallelism = _parallelism(reading, words.get("parallelism_spec", {}))
    tries = words.get("datum_tries", 3)
    if not 1 <= tries <= MAX_TRIES:
        reading.fault("datum_tries", f"{tries} is not from 1 to {MAX_TRIES}")
    for key in ("datum_timeout", "job_timeout"):
        if key in words and words[key] <= 0:
            reading.fault(key, "a time of more than 0 is needed; leave it out for no limit")
    for key, value in words.get("retain", {}).items():
        if value <= 0:
            reading.fault(f"retain.{key}", "more than 0 is needed; leave it out to keep everything")
    branch = words.get("output_branch") or "master"
    _check_name(reading, branch, "branch", "output_branch")
    code_change = _code_change(reading, words.get("reprocess"))
    check_limits(reading, words)
    if reading.faults or tree is None:
        for path, repo in inputs.repos.items():
            if repo and known is not None and repo not in known:
                reading.fault(path, absent(repo, known))
        _refuse(name, reading.faults)
    spec = PipelineSpec(
        name=name,
        transform=transform,
        input=tree,
        description=words.get("description", ""),
        parallelism=parallelism,
        output_branch=branch,
        datum_timeout=words.get("datum_timeout"),
        job_timeout=words.get("job_timeout"),
        datum_tries=tries,
        reprocess_every_job=words.get("reprocess_spec") == "every_job",
        reprocess_on_code_change=code_change,
        output_conflict=_output_conflict(words, inputs.atoms),
        on_datum_failure=words.get("on_datum_failure", "job"),
        compat="1.x" if words.get("compat") == "1.x" else "",
        network=words.get("network", False),
        retain_age=words.get("retain", {}).get("age"),
        retain_last=words.get("retain", {}).get("last"),
        limits=limits(words),
        datum_set=datum_set(words),
        service=service,
        spout=spout,
        egress=target,
        document=document,
    )
    return ParsedSpec(spec, (*reading.warnings, *likely_conflicts(spec)))


def unsupported(spec: PipelineSpec) -> list[str]:
    """What the spec asks for that comes with a later release, one line each; [] if nothing."""
    reading = Reading()
    reading.read(spec.document)
    return reading.later


def _refuse(name: str, faults: list[str]) -> NoReturn:
    of = f"pipeline spec {name!r}" if name else "pipeline spec"
    if len(faults) == 1:
        raise InvalidSpec(f"{of}: {faults[0]}", faults=1)
    lines = indent("\n".join(faults), "  ")
    raise InvalidSpec(f"{of} has {len(faults)} faults:\n{lines}", faults=len(faults))


def absent(repo: str, known: Collection[str]) -> str:
    """What to say of a repo that is not there."""
    near = get_close_matches(repo, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"create it: create-repo {repo}"
    return f"repo {repo} does not exist; {hint}"


def _check_name(reading: Reading, name: str, what: str, path: str) -> None:
    try:
        check_name(name, what)
    except InvalidName as error:
        reading.fault(path, error.message)


def _pipeline_name(reading: Reading, words: dict[str, Any]) -> str:
    name = str(words.get("pipeline", {}).get("name", ""))
    if name:
        _check_name(reading, name, "pipeline", "pipeline.name")
    else:
        reading.missing("pipeline.name", "what is the pipeline called?")
    return name


def _input(reading: Reading, words: dict[str, Any], name: str) -> tuple[Input | None, InputReader]:
    reader = InputReader(reading, name)
    if "input" in words:
        return reader.tree(words["input"]), reader
    if "spout" in words:
        return Union(()), reader
    reading.missing("input", "which repo is read?")
    return None, reader


def _transform(reading: Reading, words: dict[str, Any]) -> Transform:
    command = tuple(words.get("cmd", ()))
    if not any(command[:1]):
        reading.missing("transform.cmd", "what is run?")
    for name in words.get("env", {}):
        wrong = check_environment_name(name)
        if wrong:
            reading.fault("transform.env", wrong)
    for index, code in enumerate(words.get("accept_return_code", ())):
        if code > 255:
            reading.fault(f"transform.accept_return_code[{index}]", f"{code} is not from 0 to 255")
    return Transform(
        image=words.get("image", ""),
        cmd=command,
        stdin=tuple(words.get("stdin", ())),
        env=words.get("env", {}),
        secrets=tuple(
            _secret(reading, secret, f"transform.secrets[{index}]")
            for index, secret in enumerate(words.get("secrets", ()))
        ),
        image_pull_secrets=tuple(words.get("image_pull_secrets", ())),
        accept_return_code=tuple(words.get("accept_return_code", ())),
        err_cmd=tuple(words.get("err_cmd", ())),
        err_stdin=tuple(words.get("err_stdin", ())),
        user=words.get("user", ""),
        working_dir=words.get("working_dir", ""),
        datum_batching=words.get("datum_batching", False),
    )


def _secret(reading: Reading, words: dict[str, Any], path: str) -> SecretMount:
    mount = SecretMount(**{"name": "", **words})
    if not mount.name:
        reading.missing(f"{path}.name", "which secret?")
    if bool(mount.mount_path) == bool(mount.env_var):
        reading.fault(path, "either 'mount_path' or 'env_var' with 'key' is needed")
    elif mount.env_var:
        wrong = check_environment_name(mount.env_var)
        if wrong:
            reading.fault(f"{path}.env_var", wrong)
        if not mount.key:
            reading.missing(f"{path}.key", "which of the secret's keys?")
    elif not mount.mount_path.startswith("/"):
        reading.fault(f"{path}.mount_path", f"{mount.mount_path!r} is not an absolute path")
    return mount


def _parallelism(reading: Reading, words: dict[str, Any]) -> int | None:
    constant = words.get("constant")
    if constant is None:
        return None
    if "coefficient" in words:
        reading.fault("parallelism_spec", "give 'constant' or 'coefficient', not both")
    if not 1 <= constant <= MAX_WORKERS:
        reading.fault("parallelism_spec.constant", f"{constant} is not from 1 to {MAX_WORKERS}")
    return int(constant)


def _code_change(reading: Reading, value: object) -> bool:
    """`reprocess` is our word; as a flag it is part of a 1.x request and means nothing here."""
    if value is True:
        reading.warnings.append("reprocess: use update-pipeline --reprocess")
    elif value not in (None, False, "", "on_code_change"):
        reading.fault("reprocess", f"{value!r} is not on_code_change")
    return value == "on_code_change"


def _output_conflict(words: dict[str, Any], atoms: bool) -> OutputConflict:
    """ENGINE M2: what the spec says; else what its age says."""
    old = words.get("compat", "1.x" if atoms else "") == "1.x"
    policy: OutputConflict = words.get("output_conflict") or ("concat" if old else "error")
    return policy


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} is given twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _documents(value: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for document in value if isinstance(value, list) else [value]:
        if not isinstance(document, dict):
            raise InvalidSpec(f"a pipeline spec is an object, not {document!r:.40}")
        found.append(document)
    return found


def _skip_space(source: str, at: int) -> int:
    while at < len(source) and source[at] in " \t\r\n":
        at += 1
    return at
