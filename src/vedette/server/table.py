"""Finds the operation that a method and a path name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from vedette.client.transport import Endpoint
from vedette.model.errors import InvalidPath, WrongMethod
from vedette.server.call import Handler


class Operation:
    """An endpoint and what carries it out."""

    __slots__ = ("endpoint", "flags", "handler")

    def __init__(self, endpoint: Endpoint[Any], handler: Handler) -> None:
        self.endpoint = endpoint
        self.handler = handler
        query = endpoint.query
        hints = query.__annotations__ if query is not None else {}
        self.flags = frozenset(name for name, kind in hints.items() if kind in ("bool", bool))


class _Node:
    __slots__ = ("any", "fixed", "operations", "tail")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.any: tuple[str, _Node] | None = None
        self.tail: _Node | None = None
        self.operations: dict[str, Operation] = {}


class Table:
    """A tree of path elements. `{path}` takes all that is left, also nothing."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            node = self._root
            for element in operation.endpoint.path.strip("/").split("/"):
                node = _step(node, element)
            if operation.endpoint.method in node.operations:
                raise ValueError(f"two operations at {operation.endpoint.path}")
            node.operations[operation.endpoint.method] = operation

    def find(self, method: str, raw_path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation and its path parameters, each percent-decoded once; None if there is none.

        Raises WrongMethod where the path is known for other methods.
        """
        elements = raw_path.split("/")[1:]
        params: dict[str, str] = {}
        node = self._root
        for index, element in enumerate(elements):
            if element in node.fixed:
                node = node.fixed[element]
            elif node.any is not None and element:
                name, node = node.any
                params[name] = _decoded(element)
            elif node.tail is not None:
                node = node.tail
                params["path"] = _decoded("/".join(elements[index:]))
                break
            else:
                return None
        if not node.operations and node.tail is not None:
            node = node.tail
            params["path"] = ""
        return self._operation(node, method, params, raw_path)

    def _operation(
        self, node: _Node, method: str, params: dict[str, str], raw_path: str
    ) -> tuple[Operation, dict[str, str]] | None:
        found = node.operations.get("GET" if method == "HEAD" else method)
        if found is not None:
            return found, params
        if not node.operations:
            return None
        allowed = ", ".join(sorted(node.operations))
        raise WrongMethod(f"{method} {raw_path}: this path answers to {allowed}")


def _step(node: _Node, element: str) -> _Node:
    if element == "{path}":
        node.tail = node.tail or _Node()
        return node.tail
    if element.startswith("{"):
        if node.any is None:
            node.any = (element.strip("{}"), _Node())
        return node.any[1]
    return node.fixed.setdefault(element, _Node())


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise InvalidPath(f"{text!r} in the address is not UTF-8 once decoded") from None
