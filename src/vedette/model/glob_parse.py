"""What a glob pattern says: its text read into a small tree (ENGINE G1, G5)."""

from __future__ import annotations

from typing import Literal, NoReturn

from msgspec import Struct

from vedette.model.errors import InvalidGlob

MAX_PATTERN_BYTES = 1024
MAX_NESTING = 10

_NAMED_CLASSES: dict[str, tuple[tuple[str, str], ...]] = {
    "alnum": (("0", "9"), ("A", "Z"), ("a", "z")),
    "alpha": (("A", "Z"), ("a", "z")),
    "digit": (("0", "9"),),
    "lower": (("a", "z"),),
    "upper": (("A", "Z"),),
    "xdigit": (("0", "9"), ("A", "F"), ("a", "f")),
    "space": ((" ", " "), ("\t", "\r")),
    "punct": (("!", "."), (":", "@"), ("[", "`"), ("{", "~")),
}


class Text(Struct, frozen=True):
    """These characters."""

    text: str


class One(Struct, frozen=True):
    """One character that is not "/" and lies in `ranges` (or outside, if `negated`)."""

    ranges: tuple[tuple[str, str], ...] = ()
    negated: bool = True

    def admits(self, character: str) -> bool:
        """Whether the character may stand here."""
        if character == "/":
            return False
        return any(low <= character <= high for low, high in self.ranges) != self.negated


class Run(Struct, frozen=True):
    """Any run of characters, empty too; over "/" as well if `deep`."""

    deep: bool


class Group(Struct, frozen=True):
    """Alternatives: `@` one of them, `?` one or none, `*` and `+` repeated, `!` anything else.

    `capture` numbers a plain group from 1; 0 captures nothing.
    """

    kind: Literal["@", "?", "*", "+", "!"]
    options: tuple[Sequence, ...]
    capture: int = 0


Node = Text | One | Run | Group
Sequence = tuple[Node, ...]


class Parsed(Struct, frozen=True):
    """A cleaned pattern and its tree. The tree of "/" is empty, as every path starts with "/"."""

    pattern: str
    nodes: Sequence
    captures: int


def parse(source: str) -> Parsed:
    """Read a pattern; a malformed one raises InvalidGlob with a caret under the fault."""
    return _Parser(source).parse()


class _Parser:
    """One reading of one pattern, from left to right."""

    def __init__(self, source: str) -> None:
        self.source = source
        body = source.lstrip("/")
        self.lead = len(source) - len(body)
        self.text = "/" + _without_trailing_slashes(body)
        self.at = 0
        self.element = 1
        self.captures = 0

    def parse(self) -> Parsed:
        try:
            size = len(self.text.encode())
        except UnicodeEncodeError as error:
            self.fail(error.start, "this is not valid Unicode")
        if size > MAX_PATTERN_BYTES:
            raise InvalidGlob(
                f"glob {self.source[:40]!r}... has {size} bytes: at most {MAX_PATTERN_BYTES}"
            )
        if "\0" in self.text:
            self.fail(self.text.index("\0"), "a NUL character is in no path")
        if self.text == "/":
            return Parsed("/", (), 0)
        nodes = self.sequence("", 0)
        self.end_element()
        return Parsed(self.text, nodes, self.captures)

    def fail(self, at: int, what: str) -> NoReturn:
        """Refuse the pattern as it was given, with a caret under position `at` of the text."""
        column = max(at - 1 + self.lead, 0)
        shown = "".join(c if c.isprintable() else "?" for c in self.source)
        raise InvalidGlob(
            f"glob {self.source!r}: {what}\n  {shown}\n  {' ' * column}^", column=column
        )

    def sequence(self, ends: str, nesting: int) -> Sequence:
        """Nodes up to one of the characters `ends`, or to the end of the text at the top."""
        nodes: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] not in ends:
            node = self.node(nesting)
            if isinstance(node, Text) and nodes and isinstance(nodes[-1], Text):
                nodes[-1] = Text(nodes[-1].text + node.text)
            else:
                nodes.append(node)
        return tuple(nodes)

    def node(self, nesting: int) -> Node:
        start = self.at
        character = self.text[start]
        if character in "@?*+!" and self.text[start + 1 : start + 2] == "(":
            self.at += 1
            return self.group(character, ")|", start, nesting)
        if character == "(":
            self.captures += 1
            return self.group("", ")|", start, nesting)
        if character == "{":
            return self.group("@", "},", start, nesting)
        if character == "[":
            return self.one_of()
        if character == "*":
            return self.run()
        if character in ")}]":
            self.fail(
                start, f"nothing opens this {character!r}: write \\{character} if it is meant"
            )
        if character == "\\":
            return Text(self.escaped())
        self.at += 1
        if character == "?":
            return One()
        if character == "/" and nesting == 0 and start > 0:
            self.at = start
            self.end_element()
            self.element = self.at = start + 1
        return Text(character)

    def end_element(self) -> None:
        """Refuse a path element that no path has (ENGINE P1)."""
        element = self.text[self.element : self.at]
        if element in ("", ".", ".."):
            self.fail(self.element, f"no path has an element {element!r}")

    def run(self) -> Run:
        """`*`, or `**`; the star of a `*(` that follows belongs to its group."""
        start = self.at
        while (
            self.text[self.at : self.at + 1] == "*" and self.text[self.at + 1 : self.at + 2] != "("
        ):
            self.at += 1
        return Run(self.at - start > 1)

    def group(self, kind: str, ends: str, start: int, nesting: int) -> Group:
        """A group whose opening bracket is at `self.at`; `ends` are its closer and separator."""
        if nesting >= MAX_NESTING:
            self.fail(start, f"groups are nested more than {MAX_NESTING} deep")
        capture = 0 if kind else self.captures
        opened = self.at
        options: list[Sequence] = []
        while True:
            self.at += 1
            options.append(self.sequence(ends, nesting + 1))
            if self.at >= len(self.text):
                self.fail(start, f"this {self.text[start : opened + 1]!r} is never closed")
            if self.text[self.at] == ends[0]:
                break
        self.at += 1
        if options == [()]:
            self.fail(start, "there is nothing in this group")
        return Group(_kind(kind), tuple(options), capture)

    def escaped(self) -> str:
        """The character after a backslash."""
        if self.at + 1 >= len(self.text):
            self.fail(self.at, "a backslash at the end escapes nothing")
        character = self.text[self.at + 1]
        if character == "/":
            self.fail(self.at, "'/' cannot be escaped: it always separates")
        self.at += 2
        return character

    def one_of(self) -> One:
        """`[...]`; a `]` that comes first, and a `-` at either end, mean themselves."""
        start = self.at
        self.at += 1
        negated = self.text[self.at : self.at + 1] in ("!", "^")
        self.at += negated
        ranges: list[tuple[str, str]] = []
        while self.text[self.at : self.at + 1] != "]" or not ranges:
            if self.at >= len(self.text):
                self.fail(start, "this '[' is never closed")
            if self.text.startswith("[:", self.at):
                ranges.extend(self.named_class())
                continue
            here = self.at
            low = high = self.class_character()
            if self.text[self.at : self.at + 1] == "-" and self.text[
                self.at + 1 : self.at + 2
            ] not in (
                "]",
                "",
            ):
                self.at += 1
                high = self.class_character()
                if high < low:
                    self.fail(here, f"the range {low}-{high} is empty: write {high}-{low}")
            ranges.append((low, high))
        self.at += 1
        return One(tuple(ranges), negated)

    def class_character(self) -> str:
        character = self.text[self.at]
        if character == "\\":
            return self.escaped()
        if character == "/":
            self.fail(self.at, "'[...]' never matches '/'")
        self.at += 1
        return character

    def named_class(self) -> tuple[tuple[str, str], ...]:
        end = self.text.find(":]", self.at + 2)
        name = self.text[self.at + 2 : end] if end > 0 else ""
        if name not in _NAMED_CLASSES:
            self.fail(self.at, f"unknown class: one of {', '.join(_NAMED_CLASSES)} in [: :]")
        self.at = end + 2
        return _NAMED_CLASSES[name]


def _kind(kind: str) -> Literal["@", "?", "*", "+", "!"]:
    kinds: dict[str, Literal["@", "?", "*", "+", "!"]] = {"?": "?", "*": "*", "+": "+", "!": "!"}
    return kinds.get(kind, "@")


def _without_trailing_slashes(body: str) -> str:
    """`dir/` is `dir`; but the slash of `dir\\/` stays, to be refused."""
    stripped = body.rstrip("/")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + "/" if backslashes % 2 and stripped != body else stripped
