"""Plain words mean to a command what they mean to click; all else is left to click."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import chain
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.cli.catalogue import ALIASES, COMMANDS, named
from vedette.cli.main import loaded
from vedette.cli.words import Command, NotPlain, Word

VALUES = ["a", "in@master:/a", "-", "--", "-1", "0", "1", "3", "2.5", "1e3", "99999999999999999999",
          "line", "json", "1.x", "", " ", "a b", "ä", "-f", "--raw", "-h", "--help", "nan", "+1",
          "-xy", "--no-such", "1_0", "٣"]  # fmt: skip


def lines(command: Command) -> st.SearchStrategy[list[str]]:
    """Command lines of a command: most of them right, some nearly."""
    value = st.sampled_from(VALUES)
    plain = st.sampled_from(["a", "b", "1", "3", "line", "/tmp"])
    loose = st.lists(plain, max_size=3)
    parts = [loose, loose, value.map(lambda text: [text])]
    for word in command.words:
        spelling = st.sampled_from(word.spellings or ["x"])
        if word.flag:
            parts.append(spelling.map(lambda name: [name]))
        elif word.is_option:
            parts.append(st.tuples(spelling, plain | value).map(list))
            parts.append(st.tuples(spelling, plain | value).map(lambda two: ["=".join(two)]))
    return st.lists(st.one_of(parts), max_size=4).map(lambda many: [*chain.from_iterable(many)])


def by_click(command: Command, words: list[str]) -> dict[str, Any]:
    return command.click().make_context(command.name, list(words)).params


@pytest.mark.parametrize("name", COMMANDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_a_command_reads_by_itself_is_what_click_reads(name: str, data: st.DataObject) -> None:
    command = loaded(name)
    words = data.draw(lines(command))
    try:
        found = command.plain(words)
    except NotPlain:
        return
    assert found == by_click(command, words)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("put-file in master /a -f x -r", {"where": ("in", "master", "/a"), "recursive": True}),
        ("put file in@master --file=x -f y", {"where": ("in@master",), "files": ("x", "y")}),
        ("create-repo in -d why", {"repo": "in", "description": "why"}),
        ("list-job --number 3 --raw", {"number": 3, "raw": True}),
        ("wait --idle --timeout 2.5", {"idle": True, "timeout": 2.5}),
        ("logs -p a", {"pipeline": "a"}),
    ],
)
def test_what_is_typed_every_day_is_plain(line: str, wanted: dict[str, Any]) -> None:
    known = named(line.split())
    assert known is not None
    found = loaded(known[0]).plain(known[1])
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    "line",
    ["put-file --help", "put-file -rf x", "put-file -- a", "list-job -n many", "list-job -n 0",
     "create-repo", "create-repo a b", "create-repo -d", "list-job --raw=yes", "status --no-such",
     "put-file a --split words", "delete-all", "put-file -f -r"],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_click(line: str) -> None:
    known = named(line.split())
    assert known is not None
    with pytest.raises(NotPlain):
        loaded(known[0]).plain(known[1])


def test_every_command_is_named_by_itself_by_its_alias_and_in_two_words() -> None:
    for name in COMMANDS:
        assert named([name, "x"]) == (name, ["x"])
        if name.count("-") == 1 and name.partition("-")[0] not in COMMANDS:
            assert named([*name.split("-"), "x"]) == (name, ["x"])
    for alias, name in ALIASES.items():
        assert named([alias]) == (name, [])
    assert named([]) is None
    assert named(["no-such"]) is None
    assert named(["create", "token"]) == named(["token", "create"])


def test_a_word_that_must_be_there_is_missed() -> None:
    assert Word(["a"]).required and not Word(["--a"]).required
    with pytest.raises(NotPlain):
        Word(["a"]).absent()


def test_completion_knows_all_commands_and_options() -> None:
    """Completion asks click, whatever the words are."""
    for typed, wanted in (("vedette put-f", "put-file"), ("vedette put-file --rec", "--recursive")):
        env = {**os.environ, "_VEDETTE_COMPLETE": "bash_complete", "COMP_WORDS": typed,
               "COMP_CWORD": str(typed.count(" "))}  # fmt: skip
        code = "from vedette.cli.main import run; run()"
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
        )
        assert wanted in done.stdout, done


def test_help_of_every_command_is_made_by_click() -> None:
    for name in COMMANDS:
        shown = loaded(name).click()
        assert isinstance(shown, click.Command) and shown.help
        assert {each.name for each in shown.params} == {each.name for each in loaded(name).words}
