"""Secrets: values that are given once and shown to nobody but services and stages."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vedette.model.api import SecretInfo, SecretValue, SecretValues
from vedette.model.errors import Forbidden, Invalid, NotFound
from vedette.server.call import SERVICE, Call
from vedette.server.site import Site
from vedette.versioning.times import moment
from vedette.versioning.transaction import Transaction

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_MOST_BYTES = 64 << 10
_MOST_KEYS = 100


def put(tx: Transaction, name: str, values: Mapping[str, str]) -> None:
    """Set values of a secret; those of other keys stay. Raises Invalid for a name or value."""
    for word in (name, *values):
        if not _NAME.fullmatch(word):
            raise Invalid(f"secret name or key {word!r}: use 1 to 100 letters, digits, '_.-'")
    if len(values) > _MOST_KEYS:
        raise Invalid(f"secret {name!r} has {len(values)} keys: at most {_MOST_KEYS}")
    for key, value in values.items():
        data = value.encode(errors="surrogatepass")
        if len(data) > _MOST_BYTES:
            raise Invalid(f"secret {name!r}, key {key!r}: at most {_MOST_BYTES} bytes")
        tx.rows.run("secret_put", name=name, key=key, value=data, created=tx.now)


async def list_secret(site: Site, _: Call) -> list[SecretInfo]:
    """Names and keys, no values."""
    with site.read() as rows:
        found: dict[str, list[tuple[str, int]]] = {}
        for name, key, created in rows.all("secret_list"):
            found.setdefault(name, []).append((key, created))
    return [_info(name, keys) for name, keys in found.items()]


async def put_secret(site: Site, call: Call) -> SecretInfo:
    """Replace a secret's values."""
    call.need_admin("set secrets")
    name, body = call.params["name"], call.body
    values: dict[str, str] = body.values if isinstance(body, SecretValues) else body["values"]

    def work(tx: Transaction) -> SecretInfo:
        if not values:
            raise Invalid(f"secret {name!r} needs at least one value: KEY=VALUE")
        tx.rows.run("secret_delete", name=name)
        put(tx, name, values)
        return _info(name, [(key, tx.now) for key in sorted(values)])

    return await site.write(work)


async def delete_secret(site: Site, call: Call) -> None:
    """Remove a secret."""
    call.need_admin("delete secrets")
    name = call.params["name"]

    def work(tx: Transaction) -> None:
        if not tx.rows.run("secret_delete", name=name):
            raise NotFound(f"no secret is called {name!r}: see `vedette list-secret`")

    await site.write(work)


async def read_secret(site: Site, call: Call) -> SecretValue:
    """One value, for services: those inside the server, or with a token of that scope."""
    if not call.inside and call.scope != SERVICE:
        raise Forbidden("values of secrets are read by services only: use a token of scope service")
    name, key = call.params["name"], call.params["key"]
    with site.read() as rows:
        row = rows.one("secret_value", name=name, key=key)
    if row is None:
        raise NotFound(f"secret {name!r} has no key {key!r}")
    return SecretValue(value=bytes(row[0]).decode(errors="surrogatepass"))


def _info(name: str, keys: list[tuple[str, int]]) -> SecretInfo:
    return SecretInfo(
        name=name,
        keys=tuple(key for key, _ in keys),
        created=moment(max(created for _, created in keys)),
    )
