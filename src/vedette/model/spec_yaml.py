"""YAML specs, read as JSON would be: plain values only, nothing that YAML would guess.

A date stays the text it is, `no` and `on` stay words, `1:30` is no number of seconds: of what is
not quoted only null, true, false and numbers mean something. Anchors are refused, for a few lines
of them can stand for gigabytes.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

from vedette.model.errors import InvalidSpec

_TYPES = {
    "null": r"~|null|",
    "bool": r"true|false",
    "int": r"-?(?:0|[1-9][0-9]{0,18})",
    "float": r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?",
}


class _Loader(yaml.SafeLoader):
    """YAML's JSON schema, without anchors and without repeated fields."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - as its base declares it

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse anchors and aliases."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            _refuse(event.start_mark, "anchors and aliases are not read: write it out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse fields that are given twice, and names that are no text."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                _refuse(key.start_mark, "the name of a field is a text; put it in quotes")
            if key.value in seen:
                _refuse(key.start_mark, f"the field {key.value!r} is given twice in one object")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


for _name, _pattern in _TYPES.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), None
    )


def _refuse(mark: Any, what: str) -> NoReturn:
    raise InvalidSpec(f"pipeline spec, line {mark.line + 1}:{mark.column + 1}: {what}")


def yaml_documents(source: str) -> list[Any]:
    """The documents of a YAML text, those that are empty left out. Raises InvalidSpec."""
    try:
        return [each for each in yaml.load_all(source, _Loader) if each is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is None:
            raise InvalidSpec(f"pipeline spec: not valid YAML: {error.problem}") from None
        _refuse(mark, f"not valid YAML: {error.problem}")
    except yaml.YAMLError as error:
        raise InvalidSpec(f"pipeline spec: not valid YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise InvalidSpec("pipeline spec: nested too deeply") from None
