"""The same tiny task for peers: each file of `in` copied to `out` under its name, as each of them
would have it written. `command` finds out by itself what there is to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Project:
    """What a peer is given: files, a command to set up, and the one that is measured.

    `like` is our own stage that does the work in the same way; `most` the most tasks that it is
    asked for, since some take a quarter of a second for each: where more are measured, it is given
    so many in the same run, beside as many of ours. `repeats` is how often each of its later runs
    is timed.
    """

    name: str
    command: tuple[str, ...]
    files: Mapping[str, str]
    like: str
    most: int
    note: str
    repeats: int = 5
    setup: tuple[str, ...] = ()
    system: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


MAKEFILE = """\
IN := $(wildcard in/*)
all: $(IN:in/%=out/%)
out/%: in/%
	cp $< $@
"""

SNAKEFILE = """\
NAMES = glob_wildcards("in/{name}").name
rule all:
    input: expand("out/{name}", name=NAMES)
rule copy:
    input: "in/{name}"
    output: "out/{name}"
    shell: "cp {input} {output}"
"""

DVC = """\
stages:
  copy:
    cmd: mkdir -p out && cp -r in/. out/
    deps: [in]
    outs: [out]
"""

LUIGI = """\
import os, shutil
import luigi

class Copy(luigi.Task):
    name = luigi.Parameter()
    def output(self):
        return luigi.LocalTarget(f"out/{self.name}")
    def run(self):
        shutil.copyfile(f"in/{self.name}", self.output().path)

class All(luigi.WrapperTask):
    def requires(self):
        return [Copy(name=name) for name in sorted(os.listdir("in"))]

if not luigi.build([All()], local_scheduler=True, log_level="CRITICAL"):
    raise SystemExit("tasks failed")
"""

DAGSTER = """\
import hashlib, os, shutil
import dagster as dg

def version(name):
    with open(f"in/{name}", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()

def copy_of(name):
    @dg.asset(name=f"f{name}")
    def copied():
        shutil.copyfile(f"in/{name}", f"out/{name}")
        return dg.MaterializeResult(data_version=dg.DataVersion(version(name)))
    return copied

names = sorted(os.listdir("in"))
assets = {dg.AssetKey(f"f{name}"): copy_of(name) for name in names}
with dg.DagsterInstance.get() as instance:
    found = {}
    for record in instance.get_asset_records(list(assets)):
        entry = record.asset_entry
        if entry.last_materialization is not None:
            found[entry.asset_key] = entry.last_materialization.tags["dagster/data_version"]
    stale = [assets[key] for key, name in zip(assets, names) if found.get(key) != version(name)]
    errors = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    if stale and not dg.materialize(stale, instance=instance, run_config=errors).success:
        raise SystemExit("tasks failed")
"""

QUIET = """\
telemetry:
  enabled: false
"""

REDUN = """\
import os
from redun import File, task

redun_namespace = "bench"

@task()
def copy(source: File, name: str) -> File:
    return source.copy_to(File(f"out/{name}"))

@task(cache=False)
def main():
    return [copy(File(f"in/{name}"), name) for name in sorted(os.listdir("in"))]
"""

PROJECTS = (
    Project(
        "make", ("make", "-s", "-j2"), {"Makefile": MAKEFILE},
        like="command", most=1_000_000, system=True, note="times of files",
    ),
    Project(
        "make -rR", ("make", "-s", "-r", "-R", "-j2"), {"Makefile": MAKEFILE},
        like="command", most=1_000_000, system=True, note="the same without its built-in rules",
    ),
    Project(
        "dvc", ("dvc", "repro", "-q"), {"dvc.yaml": DVC},
        like="command", most=1_000_000, setup=("dvc", "init", "-q", "--no-scm"),
        note="one stage for all files: run as a whole, or not at all",
    ),
    Project(
        "snakemake", ("snakemake", "--cores", "2", "--quiet", "all"), {"Snakefile": SNAKEFILE},
        like="command", most=1000, repeats=3, note="a job a file, two at a time",
    ),
    Project(
        "luigi", ("python", "tasks.py"), {"tasks.py": LUIGI},
        like="python", most=1000, note="a task a file, local scheduler, in one process",
    ),
    Project(
        "dagster", ("python", "tasks.py"), {"tasks.py": DAGSTER, "dagster.yaml": QUIET},
        like="python", most=200, repeats=3,
        note="an asset a file; those whose data version is old, in one process",
    ),
    Project(
        "redun", ("redun", "run", "tasks.py", "main"), {"tasks.py": REDUN},
        like="python", most=200, repeats=3, note="a task a file",
    ),
)  # fmt: skip
