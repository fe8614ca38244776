"""One command worker and a server in memory, for the tests of commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from fake_source import FakeSource, spec

from vedette.model.runtime import Runtime
from vedette.model.work import Pool, Result
from vedette.worker.command_agent import CommandAgent
from vedette.worker.settings import Settings

POOL = Pool(key="command:test", kind="command", slots=1)
Inputs = dict[str, tuple[str, dict[str, bytes]]]
ONE: Inputs = {"images": ("/d/a.jpg", {"/d/a.jpg": b"picture"})}

# Where the checkout itself lies under /tmp, a datum's otherwise empty /tmp leads to it.
OWN_IN_TMP = sorted(
    {path.parts[2] for path in map(Path, (sys.prefix, __file__)) if path.parts[1] == "tmp"}
)


class Bench:
    """One command worker; `run` sends datums through it, `sh` a shell command."""

    def __init__(self, source: FakeSource, agent: CommandAgent) -> None:
        self.source = source
        self.agent = agent
        self.runtime: Runtime | str = Runtime()
        self._version = 0

    def code(self, *cmd: str, **fields: object) -> str:
        self._version += 1
        return self.source.add_code(spec("test", *cmd, **fields), POOL.key, self._version)

    def run(self, code: str, *inputs: Inputs) -> list[Result]:
        before = len(self.source.results)
        self.source.submit(*(self.source.task(code, given) for given in inputs))
        return self.source.wait(before + len(inputs))[before:]

    def sh(self, script: str, inputs: Inputs = ONE, **fields: object) -> Result:
        fields.setdefault("datum_tries", 1)
        (result,) = self.run(self.code("/bin/sh", stdin=(script,), **fields), inputs)
        return result


def bench_in(tmp_path: Path) -> Iterator[Bench]:
    """Yields once, and checks that nothing is left behind."""
    source = FakeSource()
    settings = Settings(
        scratch=tmp_path / "scratch", runtime_of=lambda _: made.runtime,
        hidden=(str(tmp_path / "data"),), idle=0.2, heartbeat=0.2,
    )  # fmt: skip
    agent = CommandAgent(POOL, source, source.code, settings)
    made = Bench(source, agent)
    agent.want(1)
    yield made
    agent.stop()
    assert set(source.registered) == set(source.released)
    assert not list((tmp_path / "scratch").glob("*"))


def outputs(result: Result, bench: Bench) -> dict[str, bytes]:
    assert result.state == "success", (result.reason, texts(result))
    return {o.path: bench.source.objects[o.object] if o.data is None else o.data
            for o in result.outputs}  # fmt: skip


def texts(result: Result, stream: str = "") -> list[str]:
    return [entry.text for entry in result.logs if stream in ("", entry.stream)]
