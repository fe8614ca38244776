"""A warm process that runs the datums of many pipelines, one after the other."""

from __future__ import annotations

import faulthandler
import importlib
import os
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from vedette.model.errors import Unavailable, VedetteError
from vedette.model.work import TaskFile, TaskInput
from vedette.stage import frames
from vedette.stage.datum import Datum, File, Input, NotReady
from vedette.stage.frames import Begin, Bytes, Cancel, Done, Fetch, Mirror, Run, Written
from vedette.stage.output import Capture, LineLimit

Function = Callable[..., Any]
MAX_TRACE_FRAMES = 30


class Cannot(Exception):  # noqa: N818 - said to the agent as a state
    """The stage's function cannot be had."""


def find(target: str) -> Function:
    """The function that MODULE:FUNCTION names. Raises `Cannot`, or `NotReady` from the import."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise Cannot(f"stage {target!r}: write MODULE:FUNCTION, as in shop.stages:validate")
    try:
        module = importlib.import_module(module_name)
    except NotReady:
        raise
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything when imported
        raise Cannot(
            f"stage {target!r}: importing {module_name} failed: {describe(error)}"
        ) from None
    function = getattr(module, name, None)
    if not callable(function):
        raise Cannot(f"stage {target!r}: module {module_name} has no function {name!r}")
    found: Function = function
    return found


def describe(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, VedetteError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Host:
    """Serves the datums that arrive on a socket until it is closed."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray()
        self._scratch = bytearray(256 * 1024)
        self._waiting: deque[Run] = deque()
        self._cancelled: set[int] = set()
        self._announced = 0
        self._codes: dict[str, Begin] = {}
        self._functions: dict[str, Function] = {}
        self._objects: dict[bytes, bytes] = {}
        self._mirror = Mirror()
        self._answers: dict[bytes, Bytes] = {}
        self._capture = Capture()

    def serve(self) -> None:
        """Work until the agent closes the socket."""
        self._socket.sendall(frames.pack(frames.Ready()))
        while True:
            while not self._waiting:
                if not self._receive(block=True):
                    return
            run = self._waiting.popleft()
            if run.number in self._cancelled:
                self._cancelled.discard(run.number)
                continue
            if run.number != self._announced:
                self._socket.sendall(frames.pack(frames.Begun(run.number)))
            done = self._run(run)
            self._announced = done.next
            self._socket.sendall(frames.pack(done))
            self._receive(block=False)

    def _receive(self, *, block: bool) -> bool:
        """Take in what the socket holds; False when the other side has gone."""
        try:
            count = self._socket.recv_into(self._scratch, 0, 0 if block else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if not count:
            return not block
        self._buffer += memoryview(self._scratch)[:count]
        for body in frames.split(self._buffer):
            self._take(frames.to_stage.decode(body))
        return True

    def _take(self, message: frames.ToStage) -> None:
        if isinstance(message, Run):
            for object_id, data in message.eager.items():
                self._hold(object_id, data)
            self._waiting.append(message)
        elif isinstance(message, Begin):
            self._codes[message.code] = message
        elif isinstance(message, Cancel):
            if any(run.number == message.number for run in self._waiting):
                self._cancelled.add(message.number)
        else:
            self._answers[message.object] = message

    def _hold(self, object_id: bytes, data: bytes) -> None:
        self._objects[object_id] = data
        for gone in self._mirror.add(object_id, len(data)):
            del self._objects[gone]

    def _bytes(self, object_id: bytes) -> bytes:
        data = self._objects.get(object_id)
        if data is not None:
            self._mirror.touch(object_id)
            return data
        self._socket.sendall(frames.pack(Fetch(object_id)))
        while object_id not in self._answers:
            if not self._receive(block=True):
                raise Unavailable(
                    "the server went away while a file was read; the datum runs again"
                )
        answer = self._answers.pop(object_id)
        if answer.error:
            raise Unavailable(answer.error)
        if len(answer.data) <= frames.EAGER_BYTES:
            self._hold(object_id, answer.data)
        return answer.data

    def _run(self, run: Run) -> Done:
        begin = self._codes[run.code]
        limit = LineLimit(run.attempt)
        datum = self._datum(run, begin)
        started, cpu = time.perf_counter(), time.process_time()
        state, reason = self._call(begin, datum)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        self._capture.take(limit)
        outputs: tuple[Written, ...] = ()
        size = sum(len(made) for made in datum.written.values() if isinstance(made, bytes))
        if state == "success" and size > frames.MAX_BYTES:
            limits = f"at most {frames.MAX_BYTES:,} in a Python stage: run it as a command"
            state, reason = "failed", f"the outputs have {size:,} bytes, {limits}"
        if state == "success":
            outputs = tuple(_written(path, made) for path, made in datum.written.items())
        waiting = (each.number for each in self._waiting if each.number not in self._cancelled)
        return Done(
            run.number, state, reason, outputs, tuple(limit.entries), seconds, cpu,  # type: ignore[arg-type]
            next(waiting, 0),
        )  # fmt: skip

    def _call(self, begin: Begin, datum: Datum) -> tuple[str, str]:
        try:
            function = self._functions.get(begin.code)
            if function is None:
                function = self._functions[begin.code] = find(begin.target)
            function(datum, *begin.args)
        except NotReady as error:
            return "not_ready", " ".join(str(error).split()) or f"{begin.target} is not ready"
        except Cannot as error:
            return "crash", str(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - user code: whatever it raises fails the datum
            trace = traceback.format_exception(error, limit=-MAX_TRACE_FRAMES)
            sys.stderr.write("".join(trace))
            return "failed", describe(error)
        return "success", ""

    def _datum(self, run: Run, begin: Begin) -> Datum:
        inputs = {given.name: self._input(given, begin) for given in run.inputs}
        return Datum(
            id=run.id, pipeline=begin.pipeline, job=run.job, commit=run.commit,
            attempt=run.attempt, env=dict(begin.env), inputs=inputs, log=_print_line,
        )  # fmt: skip

    def _input(self, given: TaskInput, begin: Begin) -> Input:
        make = self._nothing if given.name in begin.empty else self._file
        files = tuple(make(file) for file in given.files)
        return Input(
            given.name, given.repo, given.commit, given.path, files, paths=given.paths,
            join_on=given.join_on, group_by=given.group_by,
        )  # fmt: skip

    def _nothing(self, file: TaskFile) -> File:
        """A name without content; passed on by reference it has its content again."""
        return File(file.path, 0, bytes, file.object.hex())

    def _file(self, file: TaskFile) -> File:
        object_id = file.object
        return File(file.path, file.size, lambda: self._bytes(object_id), object_id.hex())


def _print_line(text: str) -> None:
    sys.stdout.write(text + "\n")


def _written(path: str, made: bytes | File) -> Written:
    if isinstance(made, File):
        return Written(path, None, bytes.fromhex(made.object))
    return Written(path, made)


def serve(descriptor: int) -> None:
    """Speak with the agent on an inherited socket until it is closed."""
    os.set_inheritable(descriptor, False)
    faulthandler.enable(file=2)
    with socket.socket(fileno=descriptor) as connection:
        Host(connection).serve()
