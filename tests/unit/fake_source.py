"""A server in a few dictionaries, for tests of workers: real processes, real private roots."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from vedette.model.errors import NotFound
from vedette.model.ids import object_id
from vedette.model.inputs import Pfs
from vedette.model.pipeline import PipelineSpec, Transform
from vedette.model.work import Code, Result, Source, Task, TaskFile, TaskInput


class FakeSource:
    """Implements `Source`; every call has taken effect when it returns."""

    def __init__(self) -> None:
        self.objects: dict[bytes, bytes] = {}
        self.codes: dict[str, Code] = {}
        self.results: list[Result] = []
        self.registered: list[str] = []
        self.released: dict[str, str] = {}
        self.refused: set[int] = set()
        self.batches: list[int] = []
        self.reads = 0
        self.taking = 0.0
        """Seconds that results take to be taken."""
        self._queue: list[tuple[str, Task]] = []
        self._pools: dict[str, str] = {}
        self._waiting: dict[str, tuple[int, Future[list[Task]]]] = {}
        self._changed = threading.Condition(threading.RLock())
        self._numbers = 0

    def add_code(self, spec: PipelineSpec, pool: str, version: int = 1) -> str:
        key = f"{spec.name}-{version}"
        self.codes[key] = Code(
            key=key, pool=pool, pipeline=spec.name, version=version, spec=spec,
            secrets={"mail": {"key": "s3cret"}},
        )  # fmt: skip
        return key

    def file(self, path: str, data: bytes) -> TaskFile:
        identity = object_id(data)
        self.objects[identity] = data
        return TaskFile(path, identity, len(data))

    def task(self, code: str, inputs: dict[str, tuple[str, dict[str, bytes]]]) -> Task:
        """A task; `inputs` gives by name the match and the files."""
        with self._changed:
            self._numbers += 1
            number = self._numbers
        return Task(
            datum=number, lease=number, id=f"datum{number}", code=code, job="job1",
            commit="commit1", attempt=1,
            inputs=tuple(
                TaskInput(name, name, "master", "input-commit", match,
                          tuple(self.file(p, d) for p, d in sorted(files.items())))
                for name, (match, files) in inputs.items()
            ),
        )  # fmt: skip

    def submit(self, *tasks: Task) -> None:
        with self._changed:
            self._queue += [(self.codes[task.code].pool, task) for task in tasks]
        self._hand_out()

    def wait(self, count: int, seconds: float = 30.0) -> list[Result]:
        """The first `count` results."""
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.results) >= count, seconds)
            assert done, f"{len(self.results)} of {count} results: {self.results[-3:]}"
            return list(self.results)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, seconds)

    def waiting_for_tasks(self) -> bool:
        """Whether there are tasks that nobody has taken."""
        return bool(self._queue)

    def _hand_out(self) -> None:
        given: list[tuple[Future[list[Task]], list[Task]]] = []
        with self._changed:
            for worker, (room, future) in list(self._waiting.items()):
                pool = self._pools[worker]
                mine = [task for name, task in self._queue if name == pool][:room]
                if mine:
                    numbers = {task.lease for task in mine}
                    self._queue = [q for q in self._queue if q[1].lease not in numbers]
                    del self._waiting[worker]
                    given.append((future, mine))
        for future, mine in given:
            future.set_result(mine)

    def register(self, worker: str, pool: str) -> None:
        with self._changed:
            self._pools[worker] = pool
            self.registered.append(worker)
            self._changed.notify_all()

    def claim(self, worker: str, room: int) -> Future[list[Task]]:
        assert room >= 1
        future: Future[list[Task]] = Future()
        with self._changed:
            assert worker not in self._waiting, "one claim at a time"
            self._waiting[worker] = (room, future)
        self._hand_out()
        return future

    def report(self, worker: str, results: Sequence[Result]) -> Future[list[int]]:
        future: Future[list[int]] = Future()
        time.sleep(self.taking)
        with self._changed:
            self.results += results
            self.batches.append(len(results))
            self._changed.notify_all()
        future.set_result([])
        return future

    def heartbeat(self, worker: str) -> Future[list[int]]:
        future: Future[list[int]] = Future()
        future.set_result(sorted(self.refused))
        return future

    def release(self, worker: str, reason: str) -> Future[None]:
        future: Future[None] = Future()
        with self._changed:
            self.released[worker] = reason
            self._waiting.pop(worker, None)
            self._changed.notify_all()
        future.set_result(None)
        return future

    def code(self, key: str) -> Code:
        return self.codes[key]

    def read(self, object_id: bytes) -> bytes:
        self.reads += 1
        if object_id not in self.objects:
            raise NotFound(f"there is no object {object_id.hex()[:8]}")
        return self.objects[object_id]

    def fetch(self, object_id: bytes, size: int, descriptor: int) -> None:
        assert os.write(descriptor, self.read(object_id)) == size

    def put_file(self, descriptor: int) -> tuple[bytes, int]:
        data = os.pread(descriptor, 1 << 30, 0)
        return self.put(data), len(data)

    def put(self, data: bytes) -> bytes:
        identity = object_id(data)
        self.objects[identity] = data
        return identity


def spec(name: str, *cmd: str, **fields: object) -> PipelineSpec:
    """A spec with one input; the fields of `Transform` and `PipelineSpec` by name."""
    inner = {key: fields.pop(key) for key in list(fields) if key in Transform.__struct_fields__}
    return PipelineSpec(
        name=name,
        transform=Transform(cmd=cmd, **inner),  # type: ignore[arg-type]
        **{"input": Pfs(name="images", repo="images", glob="/*"), **fields},  # type: ignore[arg-type]
    )


_checked: type[Source] = FakeSource
