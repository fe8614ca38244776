"""The OpenAPI document, made from the operations themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from vedette.client.transport import Endpoint
from vedette.model.api import Problem
from vedette.server.idempotency import LONGEST

_REF = "#/components/schemas/{name}"
_BINARY = {"type": "string", "format": "binary"}


def document(endpoints: Sequence[Endpoint[Any]], version: str) -> dict[str, Any]:
    """An OpenAPI 3.1 document that describes these operations."""
    types: list[Any] = [Problem]
    for endpoint in endpoints:
        types += [
            kind
            for kind in (endpoint.body, endpoint.answer, endpoint.query)
            if kind not in (None, bytes, type(None))
        ]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, schema_of, components)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Vedette", "version": version},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _operation(
    endpoint: Endpoint[Any], schema_of: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": schema_of[repr(Problem)]}}
    found: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": _parameters(endpoint, components),
        "responses": {
            **_answer(endpoint, schema_of),
            "4XX": {"description": "It cannot be done as asked", "content": problem},
            "5XX": {"description": "It cannot be done now", "content": problem},
        },
    }
    if endpoint.body is not None:
        content = (
            {endpoint.media: {"schema": _BINARY}}
            if endpoint.body is bytes
            else {"application/json": {"schema": schema_of[repr(endpoint.body)]}}
        )
        found["requestBody"] = {"required": True, "content": content}
    return found


def _answer(endpoint: Endpoint[Any], schema_of: dict[str, Any]) -> dict[str, Any]:
    if endpoint.answer is type(None):
        return {"204": {"description": "Done"}}
    if endpoint.answer is bytes:
        media = "*/*" if endpoint.body is None and endpoint.name == "get_file" else endpoint.media
        return {"200": {"description": "Content", "content": {media: {"schema": _BINARY}}}}
    schema = {"schema": schema_of[repr(endpoint.answer)]}
    content = {"application/json": schema, "application/msgpack": schema}
    return {"200": {"description": "Done", "content": content}}


def _parameters(endpoint: Endpoint[Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", endpoint.path)
    ]
    if endpoint.query is not None:
        schema = components.pop(endpoint.query.__name__, None)
        if schema is None:
            _, made = msgspec.json.schema_components([endpoint.query], ref_template=_REF)
            schema = made[endpoint.query.__name__]
        required = schema.get("required", [])
        found += [
            {"name": name, "in": "query", "required": name in required, "schema": value}
            for name, value in schema["properties"].items()
        ]
    if endpoint.once and endpoint.method != "GET":
        schema = {"type": "string", "maxLength": LONGEST}
        found.append(
            {
                "name": "Idempotency-Key", "in": "header", "required": False, "schema": schema,
                "description": "Sent again with the same key, the call is carried out once",
            }
        )  # fmt: skip
    return found
