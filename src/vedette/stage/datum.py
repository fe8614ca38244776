"""A datum as a stage sees it: the files to read, and the place to write to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vedette.model.errors import Invalid, NotFound, PathConflict
from vedette.model.ids import object_id
from vedette.model.paths import clean, parents


class NotReady(Exception):  # noqa: N818 - it is a state of the stage, not an error of the datum
    """The stage cannot work yet: no try is used, and the pipeline is CRASHING with this text."""


class File:
    """A file of an input: `path` is absolute in the repo, `size` in bytes."""

    __slots__ = ("_fetch", "_object", "path", "size")

    def __init__(self, path: str, size: int, fetch: Callable[[], bytes], object: str = "") -> None:
        self.path = path
        self.size = size
        self._fetch = fetch
        self._object = object

    @property
    def object(self) -> str:
        """The id of the bytes, in hex. Equal bytes have equal ids."""
        if not self._object:
            self._object = object_id(self._fetch()).hex()
        return self._object

    def read(self) -> bytes:
        """All bytes of the file."""
        return self._fetch()

    def __repr__(self) -> str:
        return f"File({self.path!r}, size={self.size})"


class Input:
    """One input of a datum: `path` is what the glob matched, `files` all that is there or below.

    A group has several matches of an input: `paths` are all of them, `path` is the last. `join_on`
    and `group_by` are the keys by which it came here, "" outside of a join or a group.
    """

    __slots__ = ("commit", "files", "group_by", "join_on", "name", "path", "paths", "repo")

    def __init__(
        self,
        name: str,
        repo: str,
        commit: str,
        path: str,
        files: tuple[File, ...],
        *,
        paths: tuple[str, ...] = (),
        join_on: str = "",
        group_by: str = "",
    ) -> None:
        self.name = name
        self.repo = repo
        self.commit = commit
        self.path = path
        self.files = files
        self.paths = paths or (path,)
        self.join_on = join_on
        self.group_by = group_by

    @property
    def file(self) -> File:
        """The only file. Raises `Invalid` when there is none or more than one."""
        if len(self.files) != 1:
            raise Invalid(
                f"input {self.name!r} has {len(self.files)} files at {self.path}, not one: "
                "loop over .files, or let the glob match single files"
            )
        return self.files[0]

    def __repr__(self) -> str:
        return f"Input({self.name!r}, path={self.path!r}, files={len(self.files)})"


class Datum:
    """One unit of work. `env` holds the spec's environment and secrets; `attempt` counts from 1."""

    def __init__(
        self,
        *,
        id: str,
        pipeline: str,
        job: str,
        commit: str,
        attempt: int,
        env: dict[str, str],
        inputs: dict[str, Input],
        log: Callable[[str], None],
    ) -> None:
        self.id = id
        self.pipeline = pipeline
        self.job = job
        self.commit = commit
        self.attempt = attempt
        self.env = env
        self.inputs = inputs
        self.written: dict[str, bytes | File] = {}
        self._directories: set[str] = set()
        self._log = log

    def write(self, path: str, data: bytes) -> None:
        """Add a new output file.

        Raises `InvalidPath`, and `PathConflict` when this datum has written the path already or the
        path is both a file and a directory.
        """
        if not isinstance(data, bytes):
            if not isinstance(data, bytearray | memoryview):
                raise Invalid(f"output {path!r} is {type(data).__name__}, not bytes: encode it")
            data = bytes(data)
        self._add(path, data)

    def link(self, path: str, file: File) -> None:
        """Add an input's file as an output by reference: no byte is moved. Raises as `write`."""
        self._add(path, file)

    def log(self, text: str) -> None:
        """Add a line to the datum's log. What is printed gets there too."""
        self._log(text)

    def _add(self, path: str, content: bytes | File) -> None:
        path = clean(path)
        if path == "/":
            raise PathConflict("output path '/' is the root directory: name a file")
        if path in self.written:
            raise PathConflict(f"output {path} was written twice by one datum: use two names")
        above = parents(path)
        blocked = path if path in self._directories else None
        for parent in above:
            if parent in self.written:
                blocked = parent
        if blocked is not None:
            raise PathConflict(f"output {path}: {blocked} would be both a file and a directory")
        self._directories.update(above)
        self.written[path] = content

    @classmethod
    def of(
        cls,
        inputs: Mapping[str, Mapping[str, bytes]],
        *,
        matches: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        id: str = "datum",
        pipeline: str = "pipeline",
        job: str = "job",
        commit: str = "commit",
        attempt: int = 1,
    ) -> Datum:
        """A datum made from plain values, to test a stage without a platform.

        `inputs` gives for each input its files by path. `matches` gives what an input's glob
        matched: by default the file when there is one, else "/".
        """
        lines: list[str] = []
        chosen = dict(matches or {})
        made = {
            name: _input_of(name, commit, chosen.get(name), files) for name, files in inputs.items()
        }
        datum = cls(
            id=id, pipeline=pipeline, job=job, commit=commit, attempt=attempt,
            env=dict(env or {}), inputs=made, log=lines.append,
        )  # fmt: skip
        datum.logged = lines
        return datum

    logged: list[str]
    """The lines given to `log`, of a datum made by `Datum.of`."""

    @property
    def outputs(self) -> dict[str, bytes]:
        """The bytes of every output by path, those passed on by reference too."""
        return {
            path: content.read() if isinstance(content, File) else content
            for path, content in self.written.items()
        }

    @property
    def links(self) -> dict[str, File]:
        """The outputs passed on by reference."""
        return {path: file for path, file in self.written.items() if isinstance(file, File)}


def _input_of(name: str, commit: str, match: str | None, files: Mapping[str, bytes]) -> Input:
    made = tuple(
        File(path, len(data), _constant(data), object_id(data).hex())
        for path, data in sorted((clean(path), data) for path, data in files.items())
    )
    if match is None:
        match = made[0].path if len(made) == 1 else "/"
    elif not made:
        raise NotFound(f"input {name!r} has no file at {match}")
    return Input(name, name, commit, clean(match), made)


def _constant(data: bytes) -> Callable[[], bytes]:
    return lambda: data
