"""What words a command takes, declared as with click, which is loaded only where it is needed.

To load click and to have it read three words takes a quarter of a command's time. So a command
reads by itself what is plain: known options, each with its value, and values that can be meant in
one way only. For all else (help, completion, a fault, `-xyz`, `--`) it becomes a click command,
which must give the same for what is plain (tests/unit/test_words.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

_INTEGER = re.compile(r"[0-9]{1,15}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_DECLARED = "__vedette_words__"
Function = Callable[..., Any]


class NotPlain(Exception):  # noqa: N818 - it is no error: click reads the words then
    """Words that are not plain."""


class Kind:
    """What the text of a value must be. `low` and `high` are bounds that may be reached."""

    def __init__(
        self, name: str, low: float | None = None, high: float | None = None,
        choices: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._name, self._low, self._high, self._choices = name, low, high, choices

    def plain(self, text: str) -> Any:
        """The value of a text. Raises NotPlain."""
        if not text or (self._choices and text not in self._choices):
            raise NotPlain
        if self._name == "path":
            from pathlib import Path

            return Path(text)
        if self._name == "text":
            return text
        whole = self._name == "integer"
        if not (_INTEGER if whole else _NUMBER).fullmatch(text):
            raise NotPlain
        value = int(text) if whole else float(text)
        if (self._low is not None and value < self._low) or (
            self._high is not None and value > self._high
        ):
            raise NotPlain
        return value

    def click(self) -> Any:
        """The same as a type of click."""
        import click

        if self._choices:
            return click.Choice(self._choices)
        bounded = self._low is not None or self._high is not None
        if self._name == "integer":
            return click.IntRange(self._low, self._high) if bounded else click.INT  # type: ignore[arg-type]
        if self._name == "number":
            return click.FloatRange(self._low, self._high) if bounded else click.FLOAT
        if self._name == "path":
            from pathlib import Path

            return click.Path(path_type=Path)
        return click.STRING


TEXT = Kind("text")
PATH = Kind("path")


def integer(low: int | None = None, high: int | None = None) -> Kind:
    """A whole number."""
    return Kind("integer", low, high)


def number(low: float | None = None) -> Kind:
    """A number."""
    return Kind("number", low)


def choice(*choices: str) -> Kind:
    """One of these texts."""
    return Kind("text", choices=choices)


class Word:
    """An option or an argument. `given` is what click is told of it besides its names."""

    def __init__(self, names: Sequence[str], kind: Kind = TEXT, **given: Any) -> None:
        self.names, self.kind, self.given = names, kind, given
        self.is_option = names[0].startswith("-")
        self.flag = bool(given.get("is_flag"))
        self.several = bool(given.get("multiple")) or given.get("nargs") == -1
        without = "default" not in given and not self.several
        self.required = bool(given.get("required", without and not self.is_option))
        self.spellings = [name for name in names if name.startswith("-")]
        bare = [name for name in names if not name.startswith("-")]
        long = [name for name in self.spellings if name.startswith("--")]
        self.name = (bare or long or self.spellings)[0].lstrip("-").replace("-", "_")

    def absent(self) -> Any:
        """The value where the word is not given."""
        if self.required:
            raise NotPlain
        return self.given.get("default", () if self.several else False if self.flag else None)

    def click(self) -> Callable[[Function], Function]:
        """The same for click."""
        import click

        given = self.given if self.flag else {**self.given, "type": self.kind.click()}
        return (click.option if self.is_option else click.argument)(*self.names, **given)


def option(*names: str, type: Kind = TEXT, **given: Any) -> Callable[[Function], Function]:
    """Declare an option of a command, as `click.option` does."""
    return _declared(Word(names, type, **given))


def argument(name: str, type: Kind = TEXT, **given: Any) -> Callable[[Function], Function]:
    """Declare an argument of a command, as `click.argument` does."""
    return _declared(Word((name,), type, **given))


def _declared(word: Word) -> Callable[[Function], Function]:
    def keep(function: Function) -> Function:
        setattr(function, _DECLARED, [word, *getattr(function, _DECLARED, ())])
        return function

    return keep


def command(name: str, *, by_click: bool = False) -> Callable[[Function], Command]:
    """Make a command of a function; `by_click`: it is click that must call it."""

    def make(function: Function) -> Command:
        return Command(name, function, getattr(function, _DECLARED, []), by_click)

    return make


class Command:
    """A command: a function, and the words that it takes."""

    def __init__(
        self, name: str, function: Function, words: Sequence[Word], by_click: bool
    ) -> None:  # fmt: skip
        self.name, self.words = name, words
        self._function, self._by_click = function, by_click

    def __call__(self, **given: Any) -> Any:
        """Carry it out."""
        return self._function(**given)

    def plain(self, arguments: Sequence[str]) -> dict[str, Any]:
        """What the function is given for plain words. Raises NotPlain."""
        if self._by_click:
            raise NotPlain
        options = {name: word for word in self.words for name in word.spellings}
        found: dict[str, Any] = {}
        loose: list[str] = []
        left = iter(arguments)
        for text in left:
            if text.startswith("-") and text != "-":
                word, value = option_of(options, text, left)
                found[word.name] = (*found.get(word.name, ()), value) if word.several else value
            elif text:
                loose.append(text)
            else:
                raise NotPlain
        for word in self.words:
            if not word.is_option:
                _take(word, loose, found)
            if word.name not in found:
                found[word.name] = word.absent()
        if loose:
            raise NotPlain
        return found

    def click(self) -> click.Command:
        """The command as one of click."""
        import click

        def run(**given: Any) -> Any:
            return self._function(**given)

        run.__doc__ = self._function.__doc__
        made: Function = run
        for word in reversed(self.words):
            made = word.click()(made)
        return click.command(self.name)(made)


def option_of(options: dict[str, Word], text: str, left: Iterator[str]) -> tuple[Word, Any]:
    """An option and its value, which may be the next word."""
    name, equals, value = text.partition("=") if text.startswith("--") else (text, "", "")
    word = options.get(name)
    if word is None or (word.flag and equals):
        raise NotPlain
    if word.flag:
        return word, True
    if not equals:
        value = next(left, "")
        if value.startswith("-") and value != "-":
            raise NotPlain
    return word, word.kind.plain(value)


def _take(word: Word, loose: list[str], found: dict[str, Any]) -> None:
    """Give an argument what is its own of the words that are no options."""
    if word.several and loose:
        found[word.name] = tuple(map(word.kind.plain, loose))
        loose.clear()
    elif loose:
        found[word.name] = word.kind.plain(loose.pop(0))
