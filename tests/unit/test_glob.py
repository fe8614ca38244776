"""Globs, by the numbers of ENGINE G, and against wcmatch as an oracle."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from wcmatch import glob as wcglob

from vedette.model.errors import InvalidGlob, InvalidSpec
from vedette.model.glob import check_template, compile_glob, expand_key
from vedette.model.glob_match import assemble, regex_source, run
from vedette.model.glob_parse import parse
from vedette.model.paths import clean, parents


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("/*", ["/a", "/.hidden", "/a\nb", "/é"], ["/", "/a/b"]),
        ("/a*c", ["/ac", "/abc"], ["/a/c", "/acd"]),
        ("/**", ["/a", "/a/b/c"], ["/"]),
        ("/**.json", ["/x.json", "/a/b.json"], ["/x.jsonl"]),
        ("/a/**/z", ["/a/b/z", "/a/b/c/z"], ["/a/z", "/a/bz"]),
        ("/?", ["/a", "/é"], ["/ab", "/"]),
        ("/a?b", ["/axb"], ["/a/b", "/ab"]),
        ("/[abc]", ["/a", "/c"], ["/d", "/ab"]),
        ("/[a-c0-9]", ["/b", "/7"], ["/d"]),
        ("/[!a]x", ["/bx"], ["/ax", "//x"]),
        ("/[^a-c]", ["/d"], ["/a"]),
        ("/[]-]", ["/]", "/-"], ["/a"]),
        ("/[a\\]]", ["/a", "/]"], ["/\\"]),
        ("/a[+-9]b", ["/a.b", "/a0b"], ["/a/b"]),
        ("/[[:digit:]x]", ["/1", "/x"], ["/a"]),
        ("/{a,b}.txt", ["/a.txt", "/b.txt"], ["/c.txt", "/{a,b}.txt"]),
        ("/{a,b/c}", ["/a", "/b/c"], ["/b"]),
        ("/x{,y{1,2}}", ["/x", "/xy1", "/xy2"], ["/xy"]),
        ("/\\*\\[\\{\\(", ["/*[{("], ["/a[{("]),
        ("/@(ab|c)", ["/ab", "/c"], ["/abc", "/"]),
        ("/!(ab|c)", ["/a", "/abc", "/d"], ["/ab", "/c", "/x/y"]),
        ("/x!(*.tmp)", ["/x", "/xa.txt"], ["/xa.tmp", "/x.tmp"]),
        ("/x*(ab|c)", ["/x", "/xab", "/xabcab"], ["/xa", "/xabb"]),
        ("/x+(ab|c)", ["/xab", "/xcc"], ["/x"]),
        ("/x?(ab|c)y", ["/xy", "/xaby"], ["/xababy"]),
        ("/!(a!(b))", ["/ab", "/x"], ["/ac", "/a"]),
        ("/a@b!c+d", ["/a@b!c+d"], ["/ab"]),
        ("/a|b,c", ["/a|b,c"], ["/a", "/c"]),
    ],
)
def test_g1_a_pattern_matches_these_paths_and_not_those(
    pattern: str, matching: list[str], other: list[str]
) -> None:
    glob = compile_glob(pattern)
    assert [path for path in matching if glob.match(path) is None] == []
    assert [path for path in other if glob.match(path) is not None] == []


@pytest.mark.parametrize(
    ("pattern", "path", "captures"),
    [
        ("/(*)/(*)_(*).jpg", "/dev1/a_b_1.jpg", ("dev1", "a_b", "1")),
        ("/((a)b)(c)", "/abc", ("ab", "a", "c")),
        ("/@((a)|(b))", "/b", ("", "b")),
        ("/+((?))x", "/abx", ("b",)),
        ("/!(q)(-)*", "/q-a-b", ("-",)),
        ("/(**)/(*)", "/a/b/c", ("a/b", "c")),
        ("/*", "/a", ()),
    ],
)
def test_g1_captures_are_numbered_by_opening_parenthesis(
    pattern: str, path: str, captures: tuple[str, ...]
) -> None:
    glob = compile_glob(pattern)
    assert glob.match(path) == captures
    assert glob.captures == len(captures)


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [("dir/*", "/dir/*"), ("*", "/*"), ("", "/"), ("/", "/"), ("//a/", "/a"), ("///", "/")],
)
def test_g2_the_pattern_is_cleaned_first(given: str, cleaned: str) -> None:
    assert compile_glob(given).pattern == cleaned


@pytest.mark.parametrize(
    ("pattern", "file", "nodes"),
    [
        ("/", "/dev1/x.json", ["/"]),
        ("/*", "/dev1/x.json", ["/dev1"]),
        ("/*", "/x.json", ["/x.json"]),
        ("/*/*", "/dev1/x.json", ["/dev1/x.json"]),
        ("/*/*", "/dev1/a/b/x.json", ["/dev1/a"]),
        ("/*/*", "/x.json", []),
        ("/valid/*", "/valid/x.jpg", ["/valid/x.jpg"]),
        ("/valid/*", "/invalid/x.jpg", []),
        ("/**", "/dev1/x.json", ["/dev1/x.json"]),
        ("/**/x*", "/a/x/y", []),
        ("/{a,a/b}", "/a/b/c", ["/a", "/a/b"]),
        ("/!(b)", "/a/c", ["/a"]),
        ("/!(a)", "/a/c", []),
        ("/a", "/a/c", ["/a"]),
        ("/a", "/ab", []),
        ("/a?(/b)", "/a/b", ["/a", "/a/b"]),
    ],
)
def test_g3_a_file_belongs_to_the_nodes_that_match_at_or_above_it(
    pattern: str, file: str, nodes: list[str]
) -> None:
    assert compile_glob(pattern).matches_of(file) == nodes


def test_g3_two_stars_match_files_only_and_the_root_is_one_datum() -> None:
    assert compile_glob("/**").files_only
    assert compile_glob("/a{b,**}").files_only
    assert not compile_glob("/*").files_only
    assert compile_glob("/").root
    assert compile_glob("/").match("/") == ()
    assert compile_glob("/").match("/a") is None


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [("/a/b.txt", "/a/b.txt"), ("/a\\*", "/a*"), ("/", "/"), ("/a*", None), ("/[a]", None)],
)
def test_g4_a_pattern_without_metacharacters_names_one_node(
    pattern: str, literal: str | None
) -> None:
    assert compile_glob(pattern).literal == literal


@pytest.mark.parametrize(
    ("pattern", "column", "words"),
    [
        ("/a[b", 2, "never closed"),
        ("a[b", 1, "never closed"),
        ("//a[b", 3, "never closed"),
        ("/x(a", 2, "never closed"),
        ("/x/@(a|b", 3, "never closed"),
        ("/{a,b", 1, "never closed"),
        ("/a)", 2, "nothing opens"),
        ("/a}", 2, "nothing opens"),
        ("/a]", 2, "nothing opens"),
        ("/a\\", 2, "escapes nothing"),
        ("/a\\/", 2, "cannot be escaped"),
        ("/[z-a]", 2, "write a-z"),
        ("/[a/b]", 3, "never matches '/'"),
        ("/[[:letter:]]", 2, "unknown class"),
        ("/()", 1, "nothing in this group"),
        ("/a//b", 3, "no path has an element"),
        ("/a/../b", 3, "no path has an element '..'"),
        ("/a\0", 2, "NUL"),
        ("/\ud800", 1, "Unicode"),
        ("/" + "@(" * 11 + "a" + ")" * 11, 21, "nested more than"),
    ],
)
def test_g5_a_malformed_pattern_is_refused_with_a_caret_under_the_fault(
    pattern: str, column: int, words: str
) -> None:
    with pytest.raises(InvalidGlob, match="glob") as caught:
        compile_glob(pattern)
    headline, shown, caret = caught.value.message.splitlines()
    assert words in headline
    assert len(shown) == len(pattern) + 2
    assert caret.index("^") - 2 == column


def test_g5_a_pattern_longer_than_any_path_is_refused() -> None:
    with pytest.raises(InvalidGlob, match="at most 1024"):
        compile_glob("/" + "a" * 2000)


def test_g6_a_key_is_made_of_captures() -> None:
    assert expand_key("$1$2${1}", ("a", "b")) == "aba"
    assert expand_key("$1-x", ("a",)) == "a-x"
    assert expand_key("$$1 $", ("a",)) == "$1 $"
    assert expand_key("same", ()) == "same"


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("$1${2}$$99", ""),
        ("same", ""),
        ("$3", "names more captures than the glob '/(*)-(*)' has: 2"),
        ("${12}", "names more captures"),
        ("$0", "numbered from 1"),
        ("a\0", "none of them a control one"),
        ("a" * 257, "at most 256 characters"),
    ],
)
def test_g6_a_key_that_cannot_be_made_is_refused_at_creation(template: str, fault: str) -> None:
    wrong = check_template(template, "/(*)-(*)", 2)
    assert fault in wrong
    assert bool(wrong) == bool(fault)


def test_g6_a_key_that_names_a_missing_capture_is_refused() -> None:
    with pytest.raises(InvalidSpec, match=r"\$2"):
        expand_key("$2", ("a",))
    with pytest.raises(InvalidSpec, match=r"\$0"):
        expand_key("$0", ("a",))


@pytest.mark.parametrize(
    ("pattern", "depth", "prefix"),
    [
        ("/", 0, "/"),
        ("/*", 1, "/"),
        ("/valid/*", 2, "/valid"),
        ("/a/b/c*", 3, "/a/b"),
        ("/a/b", 2, "/a"),
        ("/a/**", None, "/a"),
        ("/a/{b,c/d}", None, "/a"),
        ("/{a,b}/c", 2, "/"),
        ("/x*(/y)", None, "/"),
        ("/a\\*/b?", 2, "/a*"),
    ],
)
def test_g7_depth_and_prefix_bound_where_matches_are(
    pattern: str, depth: int | None, prefix: str
) -> None:
    glob = compile_glob(pattern)
    assert (glob.depth, glob.prefix) == (depth, prefix)


@pytest.mark.parametrize(
    "pattern",
    [
        "/*a*a*a*a*a*a*a*b",
        "/*(*(*(*a)))b",
        "/" + "{a,aa}" * 40 + "b",
        "/+(+(+(a|aa)))b",
        "/*!(a*b)*!(c*)d",
        "/" + "?(a)" * 60 + "a" * 60 + "b",
    ],
)
def test_a_hostile_pattern_is_answered_all_the_same(pattern: str) -> None:
    """A backtracking matcher would not come back from most of these."""
    assert compile_glob(pattern).match("/" + "a" * 200) is None


NAMES = st.text("ab.", min_size=1, max_size=5).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
ATOMS = st.sampled_from(["a", "b", ".", "?", "*", "[ab]", "[!a]", "\\a"])


def _grouped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sequences = st.lists(inner, min_size=1, max_size=3).map("".join)
    options = st.lists(sequences, min_size=1, max_size=3)
    extended = st.tuples(st.sampled_from("@?*+!"), options).map(
        lambda made: f"{made[0]}({'|'.join(made[1])})"
    )
    braces = st.lists(sequences, min_size=2, max_size=3).map(
        lambda made: "{" + ",".join(made) + "}"
    )
    captures = options.map(lambda made: f"({'|'.join(made)})")
    return extended | braces | captures


ELEMENTS = st.lists(st.recursive(ATOMS, _grouped, max_leaves=6), min_size=1, max_size=4).map(
    "".join
)
PATTERNS = st.lists(ELEMENTS, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


def _compiles(pattern: str) -> bool:
    try:
        compile_glob(pattern)
    except InvalidGlob:
        return False
    return True


@given(PATTERNS.filter(_compiles), PATHS)
def test_the_machine_and_the_regular_expression_agree(pattern: str, path: str) -> None:
    """Two ways to match, one answer, captures too."""
    parsed = parse(pattern)
    assume(regex_source(parsed.nodes) is not None)
    machine = run(assemble(parsed.nodes), path, parsed.captures)
    assert machine == compile_glob(pattern).match(path)


@given(PATTERNS.filter(_compiles), PATHS)
def test_wcmatch_agrees_on_every_pattern_that_it_knows(pattern: str, path: str) -> None:
    assume("**" not in pattern and not re.search(r"(?<![@?*+!])\(", pattern))
    assume("!(" not in pattern or "{" not in pattern)  # wcmatch expands braces first, as a shell
    flags = wcglob.EXTGLOB | wcglob.BRACE | wcglob.DOTGLOB | wcglob.FORCEUNIX
    expected = wcglob.globmatch(path, pattern, flags=flags)
    assert (compile_glob(pattern).match(path) is not None) == expected


@given(PATTERNS.filter(_compiles), PATHS)
def test_matches_of_a_file_are_exactly_the_matching_nodes_above_it(pattern: str, path: str) -> None:
    glob = compile_glob(pattern)
    nodes = [path] if glob.files_only else [*reversed(parents(path)), path]
    assert glob.matches_of(path) == [node for node in nodes if glob.match(node) is not None]
    for node in glob.matches_of(path):
        assert glob.depth in (None, node.count("/"))
        assert node.startswith(glob.prefix)
        assert glob.literal in (None, node)


@given(st.text(max_size=12))
def test_any_text_either_compiles_or_is_refused_as_a_glob(text: str) -> None:
    if _compiles(text):
        assert compile_glob(text).pattern.startswith("/")


@given(st.text(min_size=1, max_size=8).filter(lambda name: name.strip("/") not in ("", ".", "..")))
def test_p1_every_name_is_reachable_by_escaping(name: str) -> None:
    assume(
        "\0" not in name and "//" not in name and not any(0xD800 <= ord(c) < 0xE000 for c in name)
    )
    path = clean(name.replace("/", "_"))
    escaped = "".join("\\" + c if c in "*?[]{}()|,!@+\\" else c for c in path)
    assert compile_glob(escaped).literal == path
