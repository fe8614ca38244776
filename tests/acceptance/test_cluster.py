"""Two servers and three workers on hosts of their own, with PostgreSQL and a bucket on others.

The original pipeline must come to what it comes to on one machine, whatever happens to the network.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster import Cluster, hosts
from tests.program import Server, serving

from vedette_cameras.runtimes import code_folder

SPECS = Path(__file__).parent / "original_specs"
ORIGINAL = ("validate", "object-detect", "threat-detect", "plot")
BUNDLED = code_folder().parents[1] / "models" / "nanodet_g_416.onnx"
RULE = {"from_email": "a@b.c", "to_email": "d@e.f", "threat_classes": [1, 3, 4, 8]}
FEW = ("blah.jpg", "dev1_1511891155.jpg", "dev2_1511891326.jpg")

Outputs = dict[str, dict[str, str]]
"""Of each pipeline: paths, and what their bytes are or hash to."""


def begin(server: Server, specs: list[Path]) -> None:
    """Repos, a model, a rule and pipelines."""
    for repo in ("images", "model", "rules"):
        answer = server.http.post(f"{server.address}/v1/repos", json={"name": repo})
        assert answer.status_code < 300, answer.text
    server.put("model", BUNDLED.name, BUNDLED.read_bytes())
    server.put("rules", "rule.json", json.dumps(RULE).encode())
    server("create-pipeline", "-f", "-", stdin=b"".join(spec.read_bytes() for spec in specs))


def outputs(server: Server, names: tuple[str, ...]) -> Outputs:
    """Of each pipeline, but for the id of the rules' commit, which decisions name."""
    rules = server.get("/v1/repos/rules/commits")[0]["id"]

    def known(name: str, path: str, found: str) -> str:
        if name not in ("judge", "threat-detect"):
            return found
        return server.content(name, path).decode().replace(rules, "RULES")

    return {
        name: {path: known(name, path, found) for path, found in server.files(name).items()}
        for name in names
    }


def alone(folder: Path, specs: list[Path], pictures: dict[str, bytes]) -> Outputs:
    """What comes out on one machine."""
    with serving(folder / "alone") as server:
        begin(server, specs)
        for name, content in pictures.items():
            server.put("images", name, content)
        server.idle()
        return outputs(server, tuple(spec.stem for spec in specs))


def check(cluster: Cluster, wanted: Outputs) -> None:
    """The outputs are those, counts add up, no commit has two jobs, nothing is missing."""
    leader = cluster.settle()
    for server in cluster.servers:
        if server.role():
            assert outputs(server, tuple(wanted)) == wanted
    for name in wanted:
        jobs = leader.get("/v1/jobs", pipeline=name, limit="1000")
        commits = [job["commit"] for job in jobs]
        assert len(commits) == len(set(commits))
        for job in jobs:
            done = sum(job[kind] for kind in ("processed", "skipped", "failed", "recovered"))
            assert (job["state"], done) == ("SUCCESS", job["total"]), job
    leader("garbage-collect", "--full")  # a cut leaves bytes that nobody came to name
    leader("fsck")


def test_the_original_pipeline_runs_on_several_hosts(tmp_path: Path, data_dir: Path) -> None:
    """DESIGN 5 over hosts: every server shows the same, workers over HTTP do all the work."""
    pictures = {name: (data_dir / "original" / name).read_bytes() for name in FEW}
    specs = [SPECS / f"{name}.json" for name in ORIGINAL]
    with hosts(tmp_path) as cluster:
        cluster.serve(2, cluster.database, cluster.objects.environ)
        cluster.work(3)
        first, second = cluster.servers
        assert (first.role(), second.role()) == ("leader", "follower")
        begin(second, specs)
        for name in FEW:
            second("put-file", "images", "master", "-c", "-f", data_dir / "original" / name)
        check(cluster, alone(tmp_path, specs, pictures))
        assert len(first.get("/v1/workers")) == 3
