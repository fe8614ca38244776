"""What image names mean on this host, and which pool a pipeline's workers belong to.

    ["some/image"]                    # exactly as in the spec; without a tag: whatever the tag
    runtime = "process"               # or "python": Python stages run in warm processes
    mount = { "/code" = "folder" }    # path inside = folder here, relative to this file
    working_dir = "/code"
    env = { NAME = "value" }
    path = ["folder"]                 # folders put first in PATH

    [default]                         # for images without an entry, and for specs without image

Without `[default]`, a spec without an image runs in the environment of the server itself.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from vedette.model.errors import Invalid
from vedette.model.pipeline import PipelineSpec
from vedette.model.runtime import Runtime, stage_words
from vedette.model.work import Pool

DEFAULT = "default"
_OWN = Runtime(runtime="python", pool="own")


class Runtimes:
    """Runtimes by image name; an entry may end in `/*`, and the most exact one counts.

    `idle`: they say what other hosts can run, for this one runs nothing.
    """

    def __init__(self, known: Mapping[str, Runtime], *, idle: bool = False) -> None:
        self.idle = idle
        self._known = dict(known)
        self._slots = {entry.pool: entry.slots for entry in known.values() if entry.slots}

    def find(self, image: str) -> Runtime | str:
        """The runtime of an image, or a line that says what to add when it is not known."""
        default = self._known.get(DEFAULT)
        if not image:
            return default or _OWN
        for name in (image, _without_tag(image)):
            if name in self._known:
                return self._known[name]
        stem = _without_tag(image)
        fitting = [
            name for name in self._known if name.endswith("/*") and stem.startswith(name[:-1])
        ]
        if fitting:
            return self._known[max(fitting, key=len)]
        return default or (
            f"image {image!r} is not known on this host: "
            f'add ["{stem}"] runtime = "process" to the file given by --runtimes'
        )

    def of(self, spec: PipelineSpec) -> Runtime | str:
        """The runtime of a spec's image, or what to do about it."""
        return self.find(spec.transform.image)

    def problem(self, spec: PipelineSpec) -> str | None:
        """Why the pipeline cannot run here, in a line that says what to do; None when it can."""
        found = self.of(spec)
        if isinstance(found, str):
            return found
        for target, folder in found.mount.items():
            if not Path(folder).exists():
                return (
                    f"image {spec.transform.image!r}: mount {target!r} = {folder!r}: "
                    "there is no such folder"
                )
        return None

    def pool_of(self, spec: PipelineSpec) -> Pool:
        """The pool whose workers run this pipeline.

        Python stages of one `pool` share its warm processes, as many as there are cores; a stage
        that may use the network has processes apart, and so have those whose image, user, working
        folder or limits differ. Everything else runs as a command.
        """
        found = self.of(spec)
        if isinstance(found, Runtime) and found.runtime == "python" and stage_words(spec):
            key = f"python:{found.pool or 'shared'}" + (":network" if spec.network else "")
            key += _apart(found, spec)
            return Pool(key=key, kind="python", slots=self._slots.get(found.pool, cores()))
        return Pool(key=f"command:{spec.name}", kind="command", slots=max(1, spec.parallelism or 1))


def _apart(runtime: Runtime, spec: PipelineSpec) -> str:
    """What sets the processes of a stage apart from others of its pool; "" for nothing."""
    transform = spec.transform
    own = (runtime.mount, runtime.env, runtime.path, runtime.working_dir, transform.user,
           transform.working_dir, spec.limits.memory, spec.limits.cpu)  # fmt: skip
    if not any(own):
        return ""
    return ":" + hashlib.sha256(msgspec.json.encode(own, order="sorted")).hexdigest()[:12]


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def load(
    file: Path | None, known: Mapping[str, Mapping[str, Any]], *, idle: bool = False
) -> Runtimes:
    """The runtimes known out of the box, and over them those of a TOML file.

    Raises `Invalid` with the entry and the fault.
    """
    found = {name: _runtime(name, dict(entry), None) for name, entry in known.items()}
    if file is not None:
        try:
            document = tomllib.loads(file.read_text("utf-8"))
        except OSError as error:
            raise Invalid(f"--runtimes {file}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Invalid(f"--runtimes {file}: {error}") from None
        for name, entry in document.items():
            try:
                found[name] = _runtime(name, entry, file.parent)
            except Invalid as error:
                raise Invalid(f"--runtimes {file}: {error.message}") from None
    return Runtimes(found, idle=idle)


def _runtime(name: str, entry: Any, base: Path | None) -> Runtime:
    if not isinstance(entry, dict):
        raise Invalid(f'entry {name!r}: write it as a table, ["{name}"]')
    unknown = sorted(set(entry) - set(Runtime.__struct_fields__))
    if unknown:
        fields = ", ".join(Runtime.__struct_fields__)
        raise Invalid(f'entry ["{name}"]: unknown field {unknown[0]!r}; known are {fields}')
    try:
        made = msgspec.convert(entry, Runtime)
    except msgspec.ValidationError as error:
        raise Invalid(f'entry ["{name}"]: {error}') from None
    return msgspec.structs.replace(
        made,
        mount={inside: _here(folder, base) for inside, folder in made.mount.items()},
        path=tuple(_here(folder, base) for folder in made.path),
    )


def _here(folder: str, base: Path | None) -> str:
    path = Path(folder).expanduser()
    return str(path if path.is_absolute() else ((base or Path()) / path).absolute())


def _without_tag(image: str) -> str:
    image = image.partition("@")[0]
    head, slash, last = image.rpartition("/")
    return head + slash + last.partition(":")[0]
