"""Pictures a second from the camera's request to the decision and its mail, beside the bare loop.

The bare loop reads, decodes, resizes and infers in two processes of one inference thread each, with
the same model in the same run, before and after; it uses none of our code (bench/bare.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from clients import run
from measure import ROOT, Report, Server, arguments, cpu, median, percentile, scratch, server
from pictures import write
from vedette.client import Client, HttpTransport
from vedette.model.files import Write
from vedette_cameras.setup import set_up

BUNDLED = ROOT / "src/vedette_cameras/models/nanodet_g_416.onnx"
FEMTO = "models/deimv2_femto_416.onnx"
CLIENTS = 4
ALERTING = 10
SAMPLE = 40
SLACK = 60.0


def main() -> None:
    """Measure and print, for each model."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument(
        "--model", type=Path, action="append", help="a model file (default: those that are here)"
    )
    parser.add_argument("--no-latency", action="store_true", help="only throughput")
    options = parser.parse_args()
    report = Report("alerts", options.json)
    for model in options.model or models():
        name = model.stem
        with scratch(options.scratch) as folder:
            measure(report, folder, model, name, options)
    report.end()


def models() -> list[Path]:
    """The bundled one, and DEIMv2 Femto where the test data is."""
    given = os.environ.get("VEDETTE_TEST_DATA")
    femto = Path(given) / FEMTO if given else None
    return [BUNDLED, *([femto] if femto is not None and femto.is_file() else [])]


def measure(report: Report, folder: Path, model: Path, name: str, options: Any) -> None:
    """All figures of one model."""
    count = options.pictures
    report.say(f"{name}: {count} pictures, every {ALERTING}th alerting")
    least = 0.80 if "nanodet" in name else 0.70
    by_http = write(folder / "http", count, ALERTING)
    bare_before = bare(model, folder / "http")
    watched = folder / "watched"
    watched.mkdir()
    with server(folder / "data", {"VEDETTE_CAMERAS_WATCH": str(watched)}) as serving:
        asyncio.run(prepare(serving.address, model))
        send(serving, write(folder / "warm", 8, 4, start=1_600_000_000))
        decided(serving, 8)
        rate, clients, spent = throughput(serving, by_http)
        stages = by_stage(serving)
        through_folder = by_folder(serving, folder, watched, count)
        bare_after = bare(model, folder / "http")
        floor = (bare_before["rate"] + bare_after["rate"]) / 2
        report.add(f"{name}: bare loop", floor, "pictures/s")
        report.add(f"{name}: end to end, {CLIENTS} clients", rate, "pictures/s")
        report.goal(f"{name}: ratio to the bare loop", rate / floor, "", least=least)
        report.add(f"{name}: end to end, a folder", through_folder, "pictures/s")
        report.add(f"{name}: a folder, ratio", through_folder / floor, "")
        bare_cpu = (bare_before["cpu"] + bare_after["cpu"]) / 2
        report.add(f"{name}: processor per picture, bare loop", bare_cpu * 1000, "ms")
        for role, seconds in {**spent, "clients": clients}.items():
            if seconds:
                per_picture = seconds / count * 1000
                report.add(f"{name}: processor per picture, {role}", per_picture, "ms")
        for stage, seconds in sorted(stages.items()):
            report.add(f"{name}: time in stage {stage}", seconds * 1000, "ms")
        if not options.no_latency:
            latency(report, serving, name, folder, model, rate / 2, count)


def bare(model: Path, folder: Path) -> dict[str, Any]:
    """The floor: both processes begin together; each one's share counts by its own time."""
    before = os.times()
    processes = []
    for start in range(2):
        command = [sys.executable, str(ROOT / "bench/bare.py"), str(model), str(folder)]
        process = subprocess.Popen(
            [*command, str(start), "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        processes.append(process)
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    loaded = {process.pid: ticks(process.pid) for process in processes}
    begin = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
    results = []
    for process in processes:
        assert process.stdout is not None
        results.append(json.loads(process.stdout.readline()))
    seconds = time.perf_counter() - begin
    for process in processes:
        process.wait()
    after = os.times()
    total = after.children_user + after.children_system
    total -= before.children_user + before.children_system + sum(loaded.values())
    pictures = sum(result["pictures"] for result in results)
    return {"rate": pictures / seconds, "cpu": total / pictures}


def ticks(pid: int) -> float:
    """Processor seconds of a process so far."""
    return cpu(pid)["server"]


async def prepare(address: str, model: Path) -> None:
    """Set the application up, with this model in place of the bundled one."""
    async with Client(HttpTransport(address)) as client:
        await set_up(client)
        if model == BUNDLED:
            return
        there = await client.list_file("model", "master", "/")
        writes = [Write(repo="model", path=file.path, delete=True) for file in there]
        writes.append(Write(repo="model", path=f"/{model.name}", data=model.read_bytes()))
        await client.transaction(writes)


def send(serving: Server, paths: list[Path], rate: float = 0.0) -> tuple[float, list[Any]]:
    """Post pictures, one by one from each client: the clients' processor seconds, the answers."""
    requests = [(f"/v1/devices/-/images?filename={path.name}", path) for path in paths]
    _, processor, results = run(serving.port, "POST", requests, processes=CLIENTS, rate=rate)
    return processor, results


def decided(serving: Server, more: int, before: int = 0) -> float:
    """When `more` pictures have come in since there were `before`, all are decided, and their
    mails written (`perf_counter`); returns later, when the charts have followed too.

    The charts follow by a timer of ten seconds: their work is measured, their timer is not.
    """
    while True:
        summary = serving.get("/v1/cameras/summary")
        if summary["received"] - before >= more and not summary["in_flight"]:
            break
        # Asking costs the server some milliseconds, which would count as the pictures'.
        time.sleep(0.25)
    while serving.get("/v1/cameras/deliveries"):
        time.sleep(0.02)
    at = time.perf_counter()
    serving.wait_idle()
    return at


def throughput(serving: Server, paths: list[Path]) -> tuple[float, float, dict[str, float]]:
    """Pictures a second over HTTP, the clients' processor seconds, those of the server's tree."""
    before = serving.get("/v1/cameras/summary")
    used = cpu(serving.pid)
    begin = time.perf_counter()
    processor, _ = send(serving, paths)
    seconds = decided(serving, len(paths), before["received"]) - begin
    after = cpu(serving.pid)
    check(serving, before, len(paths))
    return len(paths) / seconds, processor, {role: after[role] - used[role] for role in after}


def check(serving: Server, before: dict[str, int], count: int) -> None:
    """What is measured must be the whole work: every alert, and no failure.

    The pictures are chosen for the bundled model; another may see somebody in more of them.
    """
    after = serving.get("/v1/cameras/summary")
    alerted = after["alerted"] - before["alerted"]
    wanted = -(-count // ALERTING)
    if alerted < wanted or after["failed"] != before["failed"]:
        raise SystemExit(f"{alerted} alerts of {wanted} expected, {after['failed']} failed")


def by_folder(serving: Server, folder: Path, watched: Path, count: int) -> float:
    """Pictures a second when they appear in a folder that the server watches."""
    paths = write(folder / "folder", count, ALERTING, start=1_650_000_000)
    before = serving.get("/v1/cameras/summary")
    begin = time.perf_counter()
    for path in paths:
        path.rename(watched / path.name)
    seconds = decided(serving, count, before["received"]) - begin
    check(serving, before, count)
    return count / seconds


def by_stage(serving: Server) -> dict[str, float]:
    """Seconds that workers spent on one datum of each pipeline, the mean of the newest jobs."""
    spent: dict[str, list[float]] = defaultdict(list)
    for pipeline in serving.get("/v1/pipelines"):
        name = pipeline["name"]
        for job in serving.get(f"/v1/jobs?pipeline={name}&limit={SAMPLE}"):
            for datum in serving.get(f"/v1/jobs/{job['id']}/datums"):
                if datum["state"] == "SUCCESS":
                    spent[name].append(datum["seconds"])
    return {name: sum(values) / len(values) for name, values in spent.items() if values}


def latency(
    report: Report,
    serving: Server,
    name: str,
    folder: Path,
    model: Path,
    rate: float,
    count: int,
) -> None:
    """From the last byte of a request to the decision's commit, pictures coming at a fixed rate."""
    paths = write(folder / "latency", count // 2, ALERTING, start=1_680_000_000)
    alone = single(model, folder / "latency")
    before = serving.get("/v1/cameras/summary")["received"]
    _, results = send(serving, paths, rate)
    decided(serving, len(paths), before)
    finished = decisions(serving, len(paths) + 100)
    waits = []
    for sent, _, answer in results:
        at = finished[answer["commit"]]
        waits.append((datetime.fromisoformat(at).timestamp() - sent) * 1000)
    report.add(f"{name}: bare, one picture alone, p50", alone, "ms", "read, decode, resize, infer")
    report.add(f"{name}: rate offered", rate, "pictures/s")
    report.goal(f"{name}: latency p50", median(waits), "ms", most=alone + SLACK)
    for share in (0.95, 0.99):
        report.add(f"{name}: latency p{share * 100:.0f}", percentile(waits, share), "ms")


def single(model: Path, folder: Path) -> float:
    """Milliseconds of one picture in one process with nothing beside it, the middle one."""
    command = [sys.executable, str(ROOT / "bench/bare.py"), str(model), str(folder), "0", "1", "60"]
    done = subprocess.run(command, input=b"\n", stdout=subprocess.PIPE, check=True)
    return median(json.loads(done.stdout.splitlines()[-1])["milliseconds"])


def decisions(serving: Server, count: int) -> dict[str, str]:
    """When the decision of each global id was committed."""
    found: dict[str, str] = {}
    before = ""
    while len(found) < count:
        page = serving.get(f"/v1/repos/judge/commits?branch=master&limit=1000{before}")
        found.update({commit["id"]: commit["finished"] for commit in page})
        if len(page) < 1000:
            break
        before = f"&before={page[-1]['number']}"
    return found


if __name__ == "__main__":
    main()
