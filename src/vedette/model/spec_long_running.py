"""Services and spouts in a spec: commands that run on and on (ENGINE R10)."""

from __future__ import annotations

import ipaddress
from typing import Any

from vedette.model.errors import InvalidPath
from vedette.model.paths import clean
from vedette.model.pipeline import Service, Spout
from vedette.model.spec_read import Reading

LOOPBACK = "127.0.0.1"
_OWN = 1024
"""Ports below are the system's."""


def standing(reading: Reading, words: dict[str, Any]) -> tuple[Service | None, Spout | None]:
    """The service or spout that a spec describes; what is wrong is noted."""
    if "service" in words and "spout" in words:
        reading.fault("spout", "give 'service' or 'spout', not both")
    if "spout" in words and "input" in words:
        reading.fault("input", "a spout has no input: leave it out, or leave out 'spout'")
    if ("spout" in words or "service" in words) and words.get("transform", {}).get(
        "datum_batching"
    ):
        reading.warnings.append("transform.datum_batching: there are no datums; without effect")
    return _service(reading, words), _spout(reading, words)


def _service(reading: Reading, words: dict[str, Any]) -> Service | None:
    given = words.get("service")
    if given is None:
        return None
    inside = given.get("internal_port", 0)
    outside = given.get("external_port") or inside
    if not 1 <= inside <= 65535:
        reading.fault("service.internal_port", f"{inside} is not a port from 1 to 65535")
    elif not _OWN <= outside <= 65535:
        reading.fault("service.external_port", f"{outside} is not a port from {_OWN} to 65535")
    ip = given.get("ip") or LOOPBACK
    try:
        ipaddress.ip_address(ip)
    except ValueError:
        reading.fault("service.ip", f"{ip!r} is not an address such as {LOOPBACK}")
    return Service(internal_port=inside, external_port=outside, ip=ip)


def _spout(reading: Reading, words: dict[str, Any]) -> Spout | None:
    given = words.get("spout")
    if given is None:
        return None
    marker = given.get("marker", "")
    if marker:
        try:
            marker = clean(marker).strip("/")
        except InvalidPath as error:
            reading.fault("spout.marker", error.message)
        if not marker or "/" in marker or marker == "out":
            reading.fault("spout.marker", f"{marker!r} is not the name of a file in /pfs")
    return Spout(overwrite=given.get("overwrite", False), marker=marker)
