"""Glob patterns: which nodes of a repo are datums of an input (ENGINE G1 to G7).

>>> glob = compile_glob("/*/(*)_*.jpg")
>>> glob.match("/dev1/porch_1.jpg")
('porch',)
>>> compile_glob("*").matches_of("/dev1/1.json")
['/dev1']
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from vedette.model.errors import InvalidSpec
from vedette.model.glob_match import Program, assemble, regex_source, run
from vedette.model.glob_parse import Group, Run, Sequence, Text, parse
from vedette.model.paths import parents

MAX_TEMPLATE = 256
_SPACE = 32
_REFERENCE = re.compile(r"\$(?:([0-9]+)|\{([0-9]+)\})")


class Glob(Struct, frozen=True, kw_only=True):
    """A checked pattern. Make one with `compile_glob`.

    `pattern` is its cleaned form (G2). `depth` is how many levels a match lies below the root,
    None if that differs. `prefix` is a directory that every match lies below (the root's own
    prefix is "/"), as deep as the pattern's text allows. `literal` is the one path that a
    pattern without metacharacters selects (G4). `files_only` is set by `**` (G3). `root` is set
    for "/". `captures` counts the groups that `match` returns.
    """

    pattern: str
    depth: int | None
    prefix: str
    literal: str | None
    files_only: bool
    root: bool
    captures: int
    whole: re.Pattern[str] | None
    front: re.Pattern[str] | None
    program: Program

    def match(self, path: str) -> tuple[str, ...] | None:
        """The captures of a clean path, numbered by opening parenthesis; None if it differs.

        A capture in an alternative that was not taken is empty. Whether the node is a file is
        not asked here: see `files_only`.
        """
        text = "" if path == "/" else path
        if self.whole is None:
            return run(self.program, text, self.captures)
        found = self.whole.fullmatch(text)
        return None if found is None else found.groups("")

    def matches_of(self, file_path: str) -> list[str]:
        """The nodes that match among a file and the directories above it, shallowest first."""
        if self.front is not None:
            found = self.front.match(file_path)
            return [] if found is None else [found[0]]
        if self.root:
            return ["/"]
        if self.files_only:
            return [] if self.match(file_path) is None else [file_path]
        nodes = [*reversed(parents(file_path)), file_path]
        if self.depth is not None:
            nodes = nodes[self.depth - 1 : self.depth]
        return [node for node in nodes if self.match(node) is not None]


@lru_cache(maxsize=1024)
def compile_glob(pattern: str) -> Glob:
    """Read a pattern; a malformed one raises InvalidGlob with a caret under the fault (G5)."""
    parsed = parse(pattern)
    nodes = parsed.nodes
    least, most = _levels(nodes)
    source = regex_source(nodes)
    depth = least if least == most else None
    text = "".join(node.text for node in nodes if isinstance(node, Text))
    literal = (text or "/") if all(isinstance(node, Text) for node in nodes) else None
    front = f"(?:{source})(?=/|\\Z)" if source is not None and depth else None
    return Glob(
        pattern=parsed.pattern,
        depth=depth,
        prefix=_prefix(nodes),
        literal=literal,
        files_only=_has_deep_run(nodes),
        root=not nodes,
        captures=parsed.captures,
        whole=None if source is None else re.compile(source),
        front=None if front is None else re.compile(front),
        program=assemble(nodes) if source is None else (),
    )


def expand_key(template: str, captures: tuple[str, ...]) -> str:
    """A join or group key: `$1` and `${1}` stand for captures, `$$` for a dollar sign (G6).

    Raises InvalidSpec for a number that the glob does not capture.
    """

    def value(found: re.Match[str]) -> str:
        number = int(found[1] or found[2])
        if not 1 <= number <= len(captures):
            raise InvalidSpec(
                f"key {template!r} names ${number}, but the glob captures {len(captures)}: "
                "put parentheses around what the key is made of"
            )
        return captures[number - 1]

    return "$".join(_REFERENCE.sub(value, part) for part in template.split("$$"))


def check_template(template: str, glob: str, captures: int) -> str:
    """What is wrong with a join or group key over a glob with so many captures; "" if nothing."""
    if len(template) > MAX_TEMPLATE or any(ord(letter) < _SPACE for letter in template):
        return f"{template[:40]!r}: at most {MAX_TEMPLATE} characters, none of them a control one"
    for part in template.split("$$"):
        for first, second in _REFERENCE.findall(part):
            number = int(first or second)
            if number > captures:
                return f"{template!r} names more captures than the glob {glob!r} has: {captures}"
            if not number:
                return f"{template!r} names ${number}: captures are numbered from 1"
    return ""


def _levels(nodes: Sequence) -> tuple[int, int | None]:
    """The least and the greatest number of "/" in a match; None for no bound."""
    least, most = 0, 0
    bounded = True
    for node in nodes:
        if isinstance(node, Text):
            least += node.text.count("/")
            most += node.text.count("/")
        elif isinstance(node, Run):
            bounded = bounded and not node.deep
        elif isinstance(node, Group) and node.kind != "!":
            low, high = _levels_of_group(node)
            least += low
            bounded = bounded and high is not None
            most += high or 0
    return least, most if bounded else None


def _levels_of_group(group: Group) -> tuple[int, int | None]:
    inner = [_levels(option) for option in group.options]
    low = 0 if group.kind in ("?", "*") else min(least for least, _ in inner)
    high = 0
    for _, most in inner:
        if most is None or (most > 0 and group.kind in ("*", "+")):
            return low, None
        high = max(high, most)
    return low, high


def _has_deep_run(nodes: Sequence) -> bool:
    return any(
        (isinstance(node, Run) and node.deep)
        or (isinstance(node, Group) and any(_has_deep_run(option) for option in node.options))
        for node in nodes
    )


def _prefix(nodes: Sequence) -> str:
    first = nodes[0] if nodes else None
    text = first.text if isinstance(first, Text) else "/"
    return text.rpartition("/")[0] or "/"
