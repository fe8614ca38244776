"""How a glob's tree is matched: by a regular expression, or by a machine of bounded cost.

Python's regular expressions backtrack, and some patterns make them take for ever. So they serve
only where the number of ways to try is small, and that is nearly always. Everything else, and all
that they cannot say (`!(x)`), is matched by a machine that visits each pair of instruction and
position a fixed number of times. Both prefer the same match: the longest run, the first
alternative.
"""

from __future__ import annotations

import re
from math import prod
from typing import Literal

from msgspec import Struct

from vedette.model.glob_parse import Group, Node, One, Run, Sequence, Text

_MANY = 64
_MAX_WAYS = _MANY * _MANY


def regex_source(nodes: Sequence) -> str | None:
    """The tree as a regular expression, or None where that could be slow or cannot be said."""
    return _expression(nodes) if _ways(nodes, "end") <= _MAX_WAYS else None


def _expression(nodes: Sequence) -> str:
    return "".join(_term(node) for node in nodes)


def _term(node: Node) -> str:
    match node:
        case Text(text):
            return re.escape(text)
        case Run(deep):
            return "(?s:.*)" if deep else "[^/]*"
        case One(ranges, negated):
            inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges)
            return f"[^/{inside}]" if negated else f"(?!/)[{inside}]"
        case Group(kind, options, capture):
            inside = "|".join(_expression(option) for option in options)
            group = f"({inside})" if capture else f"(?:{inside})"
            return group + "?" if kind == "?" else group


def _ways(nodes: Sequence, after: Literal["end", "slash", "more"]) -> int:
    """How many ways there are to try, at most; `after` says what follows the sequence."""
    factors = []
    for index, node in enumerate(nodes):
        follows = _begins(nodes[index + 1]) if index + 1 < len(nodes) else after
        match node:
            case Run(deep):
                certain = follows == "end" or (follows == "slash" and not deep)
                factors.append(1 if certain else _MANY)
            case Group(kind, options, _):
                if kind in ("*", "+", "!"):
                    return _MAX_WAYS + 1
                inner = sum(_ways(option, follows) for option in options)
                factors.append(inner + (kind == "?"))
    return prod(factors)


def _begins(node: Node) -> Literal["slash", "more"]:
    return "slash" if isinstance(node, Text) and node.text.startswith("/") else "more"


class Step(Struct, frozen=True):
    """One instruction; `next` (and for a fork, second, `other`) says where to go on."""

    what: Literal["text", "one", "deep", "fork", "save", "not", "end"]
    next: int = 0
    other: int = 0
    text: str = ""
    one: One | None = None
    program: tuple[Step, ...] = ()


Program = tuple[Step, ...]


def assemble(nodes: Sequence) -> Program:
    """The tree as a program; its first step is step 0 and its last one ends."""
    steps: list[Step] = []
    _emit_sequence(nodes, steps)
    steps.append(Step("end"))
    return tuple(steps)


def _emit_sequence(nodes: Sequence, steps: list[Step]) -> None:
    for node in nodes:
        match node:
            case Text(text):
                for character in text:
                    steps.append(Step("text", len(steps) + 1, text=character))
            case One():
                steps.append(Step("one", len(steps) + 1, one=node))
            case Run(deep):
                start = len(steps)
                steps.append(Step("fork", start + 1, start + 2))
                steps.append(Step("deep", start) if deep else Step("one", start, one=One()))
            case Group():
                _emit_group(node, steps)


def _emit_group(node: Group, steps: list[Step]) -> None:
    start = len(steps)
    if node.kind == "!":
        inner: list[Step] = []
        _emit_options(node, inner)
        steps.append(Step("not", start + 1, program=(*inner, Step("end"))))
        return
    if node.kind in ("*", "?"):
        steps.append(Step("end"))
    _emit_options(node, steps)
    if node.kind in ("*", "+"):
        again = start + 1 if node.kind == "*" else start
        steps.append(Step("fork", again, len(steps) + 1))
    if node.kind in ("*", "?"):
        steps[start] = Step("fork", start + 1, len(steps))


def _emit_options(node: Group, steps: list[Step]) -> None:
    """All alternatives, the first one preferred, with the marks of a capture around them."""
    if node.capture:
        steps.append(Step("save", len(steps) + 1, node.capture * 2))
    jumps = []
    for option in node.options[:-1]:
        fork = len(steps)
        steps.append(Step("end"))
        _emit_sequence(option, steps)
        jumps.append(len(steps))
        steps.append(Step("end"))
        steps[fork] = Step("fork", fork + 1, len(steps))
    _emit_sequence(node.options[-1], steps)
    for jump in jumps:
        steps[jump] = Step("fork", len(steps), len(steps))
    if node.capture:
        steps.append(Step("save", len(steps) + 1, node.capture * 2 + 1))


def run(program: Program, text: str, captures: int) -> tuple[str, ...] | None:
    """Match the whole text; the captures in order, or None. Cost: steps x characters."""
    reading = _Reading(program, text)
    if not reading.ends[0][0] >> len(text) & 1:
        return None
    marks = reading.marks()
    found = []
    for number in range(1, captures + 1):
        start, end = marks.get(number * 2), marks.get(number * 2 + 1)
        found.append("" if start is None or end is None else text[start:end])
    return tuple(found)


class _Reading:
    """A program over a text. `ends[at][step]` has bit e set where text[at:e] can be matched.

    The table is filled from the end of the text, so each position looks only at later ones, and
    at its own until nothing changes (loops that match nothing).
    """

    def __init__(self, program: Program, text: str) -> None:
        self.program = program
        self.text = text
        self.refused: dict[int, list[list[int]]] = {
            index: _Reading(step.program, text).ends
            for index, step in enumerate(program)
            if step.what == "not"
        }
        self.ends: list[list[int]] = [[0] * len(program) for _ in range(len(text) + 1)]
        for at in range(len(text), -1, -1):
            while self._sweep(at):
                pass

    def _sweep(self, at: int) -> bool:
        here = self.ends[at]
        changed = False
        for index in range(len(self.program) - 1, -1, -1):
            reach = self._reach(at, index)
            if reach != here[index]:
                here[index] = reach
                changed = True
        return changed

    def _reach(self, at: int, index: int) -> int:
        step = self.program[index]
        match step.what:
            case "end":
                return 1 << at
            case "fork":
                return self.ends[at][step.next] | self.ends[at][step.other]
            case "save":
                return self.ends[at][step.next]
            case "not":
                reach = 0
                for end in self._stretches(at, index):
                    reach |= self.ends[end][step.next]
                return reach
            case _:
                return self.ends[at + 1][step.next] if self._admits(step, at) else 0

    def _admits(self, step: Step, at: int) -> bool:
        if at >= len(self.text):
            return False
        if step.what == "text":
            return self.text[at] == step.text
        return step.what == "deep" or (step.one is not None and step.one.admits(self.text[at]))

    def _stretches(self, at: int, index: int) -> list[int]:
        """Where a `!(x)` that starts at `at` may end, the longest first."""
        slash = self.text.find("/", at)
        limit = len(self.text) if slash < 0 else slash
        refused = self.refused[index][at][0]
        return [end for end in range(limit, at - 1, -1) if not refused >> end & 1]

    def marks(self) -> dict[int, int]:
        """Walk the preferred way to the end of the text, noting where captures start and end."""
        marks: dict[int, int] = {}
        at, index = 0, 0
        while True:
            seen: set[int] = set()
            stack = [(index, marks)]
            while stack:
                index, marks = stack.pop()
                if index in seen or not self.ends[at][index] >> len(self.text) & 1:
                    continue
                seen.add(index)
                step = self.program[index]
                if step.what == "fork":
                    stack += [(step.other, marks), (step.next, marks)]
                elif step.what == "save":
                    stack.append((step.next, {**marks, step.other: at}))
                elif step.what == "end":
                    if at == len(self.text):
                        return marks
                else:
                    reached = self._longest(step, index, at)
                    if reached == at:
                        stack.append((step.next, marks))
                        continue
                    at, index = reached, step.next
                    break

    def _longest(self, step: Step, index: int, at: int) -> int:
        """Where a step that consumes ends on the preferred way."""
        if step.what != "not":
            return at + 1
        goal = len(self.text)
        return next(e for e in self._stretches(at, index) if self.ends[e][step.next] >> goal & 1)
