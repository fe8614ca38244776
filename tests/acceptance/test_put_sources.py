"""Where `put-file` reads from, and odd names on the way in and out (ENGINE P1 to P4, P10)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.typed import Run, typing


@pytest.fixture
def run(
    address: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Runs a command line; there is a repo `images`."""
    said = typing(address, capfd, monkeypatch)
    said("create-repo", "images", code=0)
    yield said
    said("delete-repo", "--all")


def files(run: Run, ref: str = "master") -> dict[str, str]:
    """The files of a commit with what is in them."""
    found = run("glob-file", "images", ref, "**", "--raw", code=0).objects()
    return {f["path"]: run("get-file", "images", ref, f["path"]).out for f in found}


class Page(BaseHTTPRequestHandler):
    """Answers with the path that was asked for."""

    def do_GET(self) -> None:
        self.send_response(404 if "missing" in self.path else 200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """A web server; where it is."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_p3_web_addresses_are_read_in_parallel_and_keep_their_places(
    run: Run, site: str, tmp_path: Path
) -> None:
    """P3: with `-i` and `-p`, files of this machine between them."""
    here = tmp_path / "here"
    here.write_text("here")
    lines = [f"{site}/{n}.jpg?size=1" for n in range(5)] + [str(here)]
    listed = tmp_path / "list"
    listed.write_text("\r\n".join(lines) + "\n\n")
    run("put-file", "images", "master", "in", "-p", "3", "-i", str(listed), code=0)
    expected = {f"/in/{n}.jpg": f"/{n}.jpg?size=1" for n in range(5)}
    assert files(run) == {**expected, "/in/here": "here"}
    (commit,) = run("list-commit", "images", "--raw").objects()
    said = run("put-file", "images", "master", "-f", f"{site}/missing", "-f", f"{site}/a", code=3)
    assert "answers 404" in said.err
    assert run("list-commit", "images", "--raw").objects() == [commit]


def test_p3_a_file_address_is_a_file_and_other_sorts_are_refused(run: Run, tmp_path: Path) -> None:
    """P3."""
    odd = tmp_path / "a b#ü"
    odd.write_text("x")
    run("put-file", "images", "master", "-f", odd.as_uri(), code=0)
    assert files(run) == {"/a b#ü": "x"}
    said = run("put-file", "images", "master", "-f", "s3://bucket/key", code=2)
    assert "only http, https and file addresses" in said.err
    assert "on another machine" in run(
        "put-file", "images", "master", "-f", "file://host/x", code=2
    ).err  # fmt: skip


def test_p3_a_list_may_name_any_file_there_can_be(run: Run, tmp_path: Path) -> None:
    """P3, P1: one whose name is no text is refused by name, and does not stop the reading."""
    line = tmp_path / "one\x0btwo\u2028three"
    line.write_text("x")
    listed = tmp_path / "list"
    listed.write_text(f"{line}\n", encoding="utf-8")
    run("put-file", "images", "master", "-i", str(listed), code=0)
    assert files(run) == {"/one\x0btwo\u2028three": "x"}
    latin = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(latin)).write_text("x")
    listed.write_bytes(latin + b"\n")
    said = run("put-file", "images", "master", "-i", str(listed), code=2)
    assert said.err.count("\n") == 1 and "is not valid Unicode: rename the file" in said.err


def test_p3_sources_without_a_size_are_read_to_their_end(run: Run, tmp_path: Path) -> None:
    """P3: `-f <(one) -f <(two)`."""
    names = [str(tmp_path / name) for name in ("one", "two")]
    for name in names:
        os.mkfifo(name)
    writers = [threading.Thread(target=Path(n).write_text, args=(n[-3:],)) for n in names]
    for writer in writers:
        writer.start()
    run("put-file", "images", "master", "-f", names[0], "-f", names[1], code=0)
    for writer in writers:
        writer.join()
    assert files(run) == {"/one": "one", "/two": "two"}


def test_p3_one_source_never_replaces_another_of_the_same_call(run: Run, tmp_path: Path) -> None:
    """P2, P3."""
    words = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same").write_text(f"{name}1\n{name}2\n")
        words += ["-f", str(tmp_path / name / "same")]
    said = run("put-file", "images", "master", *words, code=2)
    assert "would both be /same" in said.err
    run("put-file", "images", "master", *words, "-a", code=0)
    run("put-file", "images", "master", *words, "-a", code=0)
    assert files(run) == {"/same": 2 * "a1\na2\nb1\nb2\n"}
    run("put-file", "images", "cut", *words, "--split", "line", code=0)
    lines = ("a1\n", "a2\n", "b1\n", "b2\n")
    assert files(run, "cut") == {f"/same/{n:016x}": line for n, line in enumerate(lines)}


def test_p2_what_is_appended_in_one_call_keeps_its_order(run: Run, tmp_path: Path) -> None:
    """P2: small and large files of one name take different ways in."""
    words = []
    for number, size in enumerate((1, 9 << 20, 2)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "same").write_bytes(b"%d" % number * size)
        words += ["-f", str(tmp_path / str(number) / "same")]
    run("put-file", "images", "master", *words, "-a", code=0)
    run("get-file", "images", "master", "same", "-o", str(tmp_path / "all"), code=0)
    assert (tmp_path / "all").read_bytes() == b"0" + b"1" * (9 << 20) + b"22"


def test_p3_what_a_folder_holds_besides_files_is_told(run: Run, tmp_path: Path) -> None:
    """P3."""
    folder = tmp_path / "folder"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "file").write_text("x")
    (folder / "linked").symlink_to(folder / "in" / "file")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere").symlink_to("nothing")
    os.mkfifo(folder / "pipe")
    said = run("put-file", "images", "master", "/", "-r", "-f", str(folder), code=0)
    assert files(run) == {"/in/file": "x", "/linked": "x"}
    left = [line.partition(" is left out: ") for line in said.err.splitlines()]
    assert [(name.rpartition("/")[2], why) for name, _, why in left] == [
        ("loop'", "it is a link to a folder"),
        ("nowhere'", "it is neither a file nor a folder"),
        ("pipe'", "it is neither a file nor a folder"),
    ]


def test_p1_a_name_may_hold_anything_and_steers_no_terminal(run: Run) -> None:
    """P1: both ways to write an accent are names of their own; bytes decide the order."""
    names = ["\x1b[2J", "a\nb", "é", "e\u0301", "ж" * 127 + "x", "*", "[x]", "\\", "~", " "]
    for name in names:
        run("put-file", "images", "master", f"/{name}", stdin=name.encode(), code=0)
    assert files(run) == {f"/{name}": name for name in names}
    assert list(files(run)) == sorted((f"/{n}" for n in names), key=str.encode)
    shown = run("list-file", "images", "master").out
    assert len(shown.splitlines()) == len(names) + 1
    assert "\x1b" not in shown and "/\\x1b[2J" in shown
    assert "\x1b" not in run("inspect-file", "images", "master", "\x1b[2J").out
    (star,) = run("glob-file", "images", "master", r"/\*", "--raw").objects()
    assert star["path"] == "/*"
    for empty in ("//a", "a//b", "//"):
        said = run("put-file", "images", "master", empty, "-f", "-", stdin=b"x", code=2)
        assert "holds the element ''" in said.err or "has no name" in said.err


def test_p1_a_directory_is_listed_where_its_files_are(run: Run) -> None:
    """P1: the order of files by their bytes, page by page."""
    for name in ("a!", "a/x", "a0", "b"):
        run("put-file", "images", "master", name, stdin=b"x", code=0)
    for command in (("list-file", "images", "master"), ("glob-file", "images", "master", "/*")):
        found = run(*command, "--raw", code=0).objects()
        assert [f["path"] for f in found] == ["/a!", "/a", "/a0", "/b"]


def test_p10_a_path_that_ends_in_a_slash_is_a_directory_to_copy_into(run: Run) -> None:
    """P10, P3."""
    run("put-file", "images", "master", "d/a", stdin=b"1", code=0)
    run("copy-file", "images@master:d/a", "images@copy:in/", code=0)
    run("copy-file", "images@master:d/a", "images@copy:/", code=0)
    run("copy-file", "images@master:d", "images@copy:all/", code=0)
    assert files(run, "copy") == {"/in/a": "1", "/a": "1", "/all/a": "1"}


def test_p10_a_large_directory_is_copied_by_one_commit(run: Run) -> None:
    """P10: as many files as one call may put."""
    lines = b"\n".join(b"%d" % number for number in range(10_001))
    run("put-file", "images", "master", "all", "--split", "line", stdin=lines, code=0)
    run("copy-file", "images@master:/all", "images@copy:/", code=0)
    (head,) = run("inspect-commit", "images", "copy", "--raw", code=0).objects()
    assert (head["files"], head["parent"], head["size"]) == (10_001, None, len(lines))
