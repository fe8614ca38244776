"""The command line against a real server: both spellings, tables, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.typed import Run, typing

COPY = {
    "pipeline": {"name": "copy"},
    "transform": {"cmd": ["sh"], "stdin": ["cp $images /pfs/out/", "echo done $images"]},
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
}


@pytest.fixture
def run(
    address: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Runs a command line. Repos and pipelines are gone afterwards."""
    said = typing(address, capfd, monkeypatch)
    yield said
    said("delete-pipeline", "--all")
    said("delete-repo", "--all")


def test_a_fresh_server_has_nothing(run: Run) -> None:
    assert run("list-repo").out == "NAME  CREATED  SIZE\n"
    assert run("list-pipeline").out == "NAME  INPUT  OUTPUT  CREATED  STATE\n"
    assert run("list-job", "--raw").objects() == []


def test_version_shows_both_sides(run: Run) -> None:
    said = run("version")
    assert said.code == 0
    assert [row[0] for row in said.rows()] == ["COMPONENT", "vedette", "server"]


def test_version_fails_when_no_server_answers(run: Run) -> None:
    said = run("--address", "http://127.0.0.1:9", "version")
    assert said.code == 7
    assert said.err == (
        "vedette: no server answers at http://127.0.0.1:9: start one with `vedette serve`\n"
    )
    assert "vedette" in said.out


@pytest.mark.parametrize("words", [["create-repo"], ["create", "repo"], ["repo", "create"]])
def test_commands_have_both_spellings(run: Run, words: list[str]) -> None:
    assert run(*words, "images").code == 0
    assert run("list", "repo", "--raw").objects()[0]["name"] == "images"


def test_the_original_instructions_run_as_written(run: Run, tmp_path: Path) -> None:
    """`pachctl put-file model master -c -f frozen_inference_graph.pb` (issue, Server and CLI)."""
    graph = tmp_path / "frozen_inference_graph.pb"
    graph.write_bytes(bytes(100_000))
    assert run("create-repo", "model").code == 0
    assert run("put-file", "model", "master", "-c", "-f", str(graph)).code == 0
    assert run("list-file", "model", "master").rows()[1] == [
        "/frozen_inference_graph.pb", "file", "97.7KiB"
    ]  # fmt: skip
    assert run("list-repo").rows()[1][-1] == "97.7KiB"


def test_put_file_names_files_as_p3_says(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "a.txt").write_text("a")
    (tmp_path / "d" / "e" / "b.txt").write_text("b")
    one, folder = str(tmp_path / "d" / "a.txt"), str(tmp_path / "d")
    run("create-repo", "images")

    def paths(*words: str, stdin: bytes = b"") -> list[str]:
        """The files there are after this alone."""
        run("delete-file", "images", "master", "/")
        said = run("put-file", *words, stdin=stdin)
        assert said.code == 0, said.err
        return [f["path"] for f in run("glob-file", "images", "master", "**", "--raw").objects()]

    assert paths("images", "master", "-f", one) == ["/a.txt"]
    assert paths("images", "master", "x/y", "-f", one) == ["/x/y"]
    assert paths("images", "master", "x/", "-f", one) == ["/x/a.txt"]
    assert paths("images", "master", "-f", one, "--full-path") == [one]
    assert paths("images@master:/x", "-f", one) == ["/x"]
    assert paths("images", "master", "in", stdin=b"text") == ["/in"]
    assert paths("images", "master", "in", "-f", "-", stdin=b"text") == ["/in"]
    assert paths("images", "master", "-r", "-f", folder) == ["/d/a.txt", "/d/e/b.txt"]
    assert paths("images", "master", "/", "-r", "-f", folder) == ["/a.txt", "/e/b.txt"]
    assert paths("images", "master", "x", "-r", "-f", folder) == ["/x/a.txt", "/x/e/b.txt"]
    listed = tmp_path / "list"
    listed.write_text(f"{one}\n{folder}/e/b.txt\n")
    assert paths("images", "master", "-i", str(listed)) == ["/a.txt", "/b.txt"]
    assert paths("images", "master", "x", "-i", str(listed)) == ["/x/a.txt", "/x/b.txt"]


def test_a_folder_is_one_commit(run: Run, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.bin").write_bytes(bytes([number]) * 100_000)
    run("create-repo", "images")
    assert run("put-file", "images", "master", "/", "-r", "-f", str(tmp_path)).code == 0
    (commit,) = run("list-commit", "images", "--raw").objects()
    assert (commit["files"], commit["size"]) == (30, 3_000_000)


def test_put_file_replaces_unless_asked_to_append(run: Run) -> None:
    """P2, and what release 1.x did."""
    run("create-repo", "rules")

    def content(*options: str) -> str:
        assert run("put-file", "rules", "master", "r", *options, stdin=b"x").code == 0
        return run("get-file", "rules", "master", "r").out

    assert content() == "x"
    assert content("-o") == "x"
    assert content("-a") == "xx"
    assert content("--compat", "1.x") == "xxx"
    assert content("--compat", "1.x", "-o") == "x"


def test_files_come_back_alone_and_in_folders(run: Run, tmp_path: Path) -> None:
    run("create-repo", "images")
    for name in ("a", "d/b", "d/e/c"):
        run("put-file", "images", "master", name, stdin=name.encode())
    assert run("get-file", "images@master:/d/b").out == "d/b"
    target = tmp_path / "out.bin"
    assert run("get-file", "images", "master", "a", "-o", str(target)).code == 0
    assert target.read_text() == "a"
    folder = tmp_path / "new" / "folder"
    assert run("get-file", "images", "master", "d", "-r", "-o", str(folder)).code == 0
    assert (folder / "b").read_text() == "d/b"
    assert (folder / "e" / "c").read_text() == "d/e/c"
    assert not list(tmp_path.rglob("*.part"))
    assert run("get-file", "images", "master", "d", "-r").code == 2


def test_a_long_directory_is_listed_whole(run: Run, tmp_path: Path) -> None:
    for number in range(1200):
        (tmp_path / f"{number:04}").write_bytes(b"")
    run("create-repo", "images")
    run("put-file", "images", "master", "/", "-r", "-f", str(tmp_path))
    assert len(run("list-file", "images", "master").rows()) == 1201
    assert len(run("glob-file", "images", "master", "/*", "--raw").objects()) == 1200


def test_copies_move_no_bytes(run: Run) -> None:
    """P10."""
    run("create-repo", "images")
    run("create-repo", "kept")
    run("put-file", "images", "master", "d/a", stdin=b"x")
    assert run("copy-file", "images@master:/d", "kept@master:/old").code == 0
    (copied,) = run("glob-file", "kept", "master", "**", "--raw").objects()
    original = run("inspect-file", "images", "master", "d/a", "--raw").objects()[0]
    assert (copied["path"], copied["object"]) == ("/old/a", original["object"])


def test_a_source_is_cut_into_numbered_files(run: Run) -> None:
    """P3: numbered on from the highest."""
    run("create-repo", "data")

    def put(text: bytes, *options: str) -> int:
        return run("put-file", "data", "master", "log", *options, stdin=text).code

    assert put(b"a\nb\nc", "--split", "line") == 0
    assert put(b'{"x": 1} [2]\n3', "--split", "json", "--target-file-datums", "2") == 0
    found = [f["path"] for f in run("list-file", "data", "master", "log", "--raw").objects()]
    assert found == [f"/log/{number:016x}" for number in range(5)]
    assert run("get-file", "data", "master", found[2]).out == "c"
    assert run("get-file", "data", "master", found[3]).out == '{"x": 1}\n[2]\n'
    assert put(b"{", "--split", "json") == 2


def test_what_differs_is_listed_by_content(run: Run) -> None:
    """P9."""
    run("create-repo", "images")
    for name, text in (("d/same", b"1"), ("d/e/old", b"2"), ("d/changed", b"3")):
        run("put-file", "images", "master", name, stdin=text)
    run("start-commit", "images", "master")
    run("put-file", "images", "master", "d/same", stdin=b"1")
    run("put-file", "images", "master", "d/changed", stdin=b"longer")
    run("put-file", "images", "master", "d/new/x", stdin=b"4")
    run("delete-file", "images", "master", "d/e/old")
    run("finish-commit", "images", "master")
    found = run("diff-file", "images", "master", "d", "--raw").objects()
    sides = {d["path"]: (d["old"] is not None, d["new"] is not None) for d in found}
    assert sides == {
        "/d/changed": (True, True), "/d/e/old": (True, False), "/d/new/x": (False, True),
    }  # fmt: skip
    back = run("diff-file", "images@master^:/d", "images@master:/d", "--raw").objects()
    assert {d["path"] for d in back} == set(sides)
    shallow = run("diff-file", "images", "master", "d", "-s").rows()
    assert ["/d/new", "dir", "1B"] in shallow and ["/d/e", "dir", "1B"] in shallow
    assert run("diff-file", "images", "master", "d/e").rows()[-1][0] == "/d/e/old"


def test_commits_are_started_finished_and_reached_by_ancestry(run: Run) -> None:
    run("create-repo", "images")
    identity = run("start-commit", "images", "master").out.strip()
    run("put-file", "images", "master", "a", stdin=b"1")
    assert run("get-file", "images", "master", "a").code == 3
    assert run("finish-commit", "images", "master").code == 0
    run("put-file", "images", "master", "a", stdin=b"2")
    assert run("get-file", "images", "master^", "a").out == "1"
    assert run("get-file", "images", identity, "a").out == "1"
    listed = run("list-commit", "images").rows()
    assert listed[0] == ["REPO", "ID", "PARENT", "STARTED", "DURATION", "SIZE"]
    assert [row[0] for row in listed[1:]] == ["images", "images"]
    assert run("list-commit", "images", "-n", "1", "--raw").objects()[0]["parent"] == identity
    assert run("inspect-commit", f"images@{identity}", "--raw").objects()[0]["files"] == 1


def test_a_pipeline_from_spec_to_logs(run: Run, tmp_path: Path) -> None:
    spec = tmp_path / "copy.json"
    spec.write_text(json.dumps(COPY))
    run("create-repo", "images")
    run("put-file", "images", "master", "a.txt", stdin=b"hello")
    assert run("validate-pipeline", "-f", str(spec)).code == 0
    assert run("create-pipeline", "-f", str(spec), "--dry-run").code == 0
    assert run("list-pipeline", "--raw").objects() == []
    assert run("create-pipeline", "-f", str(spec)).code == 0
    assert run("create-pipeline", "-f", str(spec)).code == 4
    assert run("wait", "--idle", "--timeout", "60").code == 0
    assert run("get-file", "copy", "master", "a.txt").out == "hello"
    (job,) = run("list-job", "-p", "copy", "--raw").objects()
    assert (job["state"], job["processed"], job["total"]) == ("SUCCESS", 1, 1)
    header = "ID OUTPUT COMMIT STARTED DURATION RESTART PROGRESS DL UL STATE"
    assert " ".join(run("list-job").rows()[0]) == header
    assert "1 + 0 / 1" in run("list-job").out
    assert run("list-pipeline").rows()[1][:3] == ["copy", "images:/*", "copy/master"]
    assert run("get-logs", "--pipeline", "copy").out == "done /pfs/images/a.txt\n"
    assert run("get-logs", "--job", job["id"], "--raw").objects()[0]["stream"] == "stdout"
    (datum,) = run("list-datum", job["id"], "--raw").objects()
    assert datum["state"] == "SUCCESS"
    assert run("inspect-datum", str(datum["number"])).code == 0
    run("put-file", "images", "master", "b.txt", stdin=b"more")
    flushed = run("flush-commit", "images@master", "--raw").objects()
    assert run("get-file", "copy", "master", "b.txt").out == "more"
    assert {commit["repo"] for commit in flushed} == {"images", "copy"}
    assert run("update-pipeline", "-f", str(spec), "--reprocess").code == 0
    assert run("delete-repo", "images").code == 4
    assert run("delete-pipeline", "copy").code == 0
    assert run("get-file", "copy", "master", "a.txt").code == 3


def test_several_specs_from_standard_input(run: Run) -> None:
    run("create-repo", "images")
    second = {**COPY, "pipeline": {"name": "again"}}
    text = (json.dumps(COPY) + "\n" + json.dumps(second)).encode()
    said = run("create-pipeline", "-f", "-", stdin=text)
    assert said.code == 0, said.err
    names = [p["name"] for p in run("list-pipeline", "--raw").objects()]
    assert sorted(names) == ["again", "copy"]


def test_a_typo_in_a_spec_names_the_nearest_field(run: Run, tmp_path: Path) -> None:
    run("create-repo", "images")
    spec = tmp_path / "typo.json"
    spec.write_text(json.dumps(COPY).replace('"stdin"', '"stdn"'))
    for command in ("create-pipeline", "validate-pipeline"):
        said = run(command, "-f", str(spec))
        assert said.code == 2
        assert "stdn" in said.err and "stdin" in said.err
        assert len(said.err.splitlines()) == 1


def test_damaged_json_is_told_with_its_place(run: Run, tmp_path: Path) -> None:
    spec = tmp_path / "bad.json"
    spec.write_text('{"pipeline": {\n "name": }}')
    said = run("create-pipeline", "-f", str(spec))
    assert said.code == 2 and "2:" in said.err and "bad.json" in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["list-rep"], 2, "did you mean list-repo"),
        (["list"], 2, "list-repo"),
        (["token"], 2, "create-token"),
        (["list-repo", "--rww"], 2, "--raw"),
        (["create-repo"], 2, "REPO"),
        (["create-repo", "a/b"], 2, "a/b"),
        (["inspect-repo", "nothing"], 3, "nothing"),
        (["put-file", "images"], 2, "REPO BRANCH"),
        (["put-file", "nothing", "master", "-f", "/nowhere/x"], 3, "/nowhere/x"),
        (["put-file", "nothing", "master", "-f", "/"], 2, "-r"),
        (["put-file", "nothing", "master"], 2, "PATH"),
        (["put-file", "nothing", "master", "a/../b"], 2, ".."),
        (["get-file", "nothing", "master", "a"], 3, "nothing"),
        (["create-pipeline", "-f", "/nowhere.json"], 3, "/nowhere.json"),
        (["get-logs"], 2, "--pipeline"),
        (["wait"], 2, "--idle"),
        (["inspect-job", "nothing"], 3, "nothing"),
        (["list-datum"], 2, "--failed"),
        (["restart-datum", "99999"], 3, "99999"),
        (["--address", "no url", "list-repo"], 7, "no url"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    run: Run, words: list[str], code: int, part: str
) -> None:
    said = run(*words)
    assert said.code == code, said.err
    assert part in said.err
    assert said.err.startswith("vedette: ") and len(said.err.splitlines()) == 1


def test_tokens_and_secrets(run: Run) -> None:
    made = run("token", "create", "camera", "--scope", "device:dev1").out.strip()
    listed = run("token", "list", "--raw").objects()
    mine = next(t for t in listed if t["label"] == "camera")
    assert mine["scope"] == "device:dev1" and made not in str(listed)
    assert run("--token", made, "list-repo").code == 6
    assert run("token", "revoke", mine["id"]).code == 0
    assert run("--token", made, "list-repo").code == 6
    assert run("create-secret", "mail", "SGKEY=-", stdin=b"SG.x\n").code == 0
    assert run("list-secret", "--raw").objects()[0]["keys"] == ["SGKEY"]
    assert run("delete-secret", "mail").code == 0


def test_branches(run: Run) -> None:
    run("create-repo", "images")
    run("put-file", "images", "master", "a", stdin=b"1")
    assert run("create-branch", "images@kept", "--head", "master").code == 0
    assert [row[0] for row in run("list-branch", "images").rows()[1:]] == ["kept", "master"]
    assert run("delete-branch", "images", "kept").code == 0


def test_waiting_fails_on_time_out(run: Run) -> None:
    slow = {**COPY, "transform": {"cmd": ["sleep", "30"]}}
    run("create-repo", "images")
    run("put-file", "images", "master", "a", stdin=b"1")
    assert run("create-pipeline", "-f", "-", stdin=json.dumps(slow).encode()).code == 0
    said = run("wait", "--idle", "--timeout", "0.1")
    assert said.code == 7 and "1 jobs unfinished" in said.err
    (job,) = run("list-job", "--raw").objects()
    assert run("stop-job", job["id"]).code == 0
    assert run("inspect-job", job["id"], "--raw").objects()[0]["state"] == "KILLED"
