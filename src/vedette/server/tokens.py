"""Tokens: 256 random bits, of which only the hash is kept."""

from __future__ import annotations

import re
import secrets

from vedette.metadata.store import Rows
from vedette.model.api import CreatedToken, NewToken, TokenInfo
from vedette.model.errors import Invalid, NotFound
from vedette.server.call import Call
from vedette.server.keyring import digest_of
from vedette.server.site import Site
from vedette.versioning.times import maybe, moment
from vedette.versioning.transaction import Transaction

_SCOPE = re.compile(r"admin|service|worker|device:[A-Za-z0-9-]{1,63}")
_LABEL = re.compile(r"[^\x00-\x1f\x7f]{0,200}")


def add(tx: Transaction, label: str, scope: str) -> CreatedToken:
    """Make a token; raises Invalid for a scope or label that cannot be."""
    if not _SCOPE.fullmatch(scope):
        raise Invalid(f"scope {scope!r}: use admin, service, worker or device:NAME")
    if not _LABEL.fullmatch(label):
        raise Invalid("a label has at most 200 characters, and no control characters")
    identity, token = secrets.token_hex(8), "vdt_" + secrets.token_urlsafe(32)
    tx.rows.run(
        "token_insert",
        id=identity,
        hash=digest_of(token),
        label=label,
        scope=scope,
        created=tx.now,
    )
    return CreatedToken(id=identity, label=label, scope=scope, created=moment(tx.now), token=token)


def any_admin(rows: Rows) -> bool:
    """Whether there is a token that may do everything."""
    return any(row[2] == "admin" and row[4] is None for row in rows.all("token_list"))


async def create_token(site: Site, call: Call) -> CreatedToken:
    """Create a token."""
    call.need_admin("create tokens")
    new: NewToken = call.body
    return await site.write(lambda tx: add(tx, new.label, new.scope))


async def list_token(site: Site, call: Call) -> list[TokenInfo]:
    """All tokens."""
    call.need_admin("list tokens")
    with site.read() as rows:
        return [
            TokenInfo(
                id=row[0],
                label=row[1],
                scope=row[2],
                created=moment(row[3]),
                revoked=maybe(row[4]),
            )
            for row in rows.all("token_list")
        ]


async def revoke_token(site: Site, call: Call) -> None:
    """Revoke a token, at once and for good."""
    call.need_admin("revoke tokens")
    identity = call.params["id"]

    def work(tx: Transaction) -> None:
        if tx.rows.one("token_get", id=identity) is None:
            raise NotFound(f"no token has the id {identity!r}: see `vedette token list`")
        tx.rows.run("token_revoke", id=identity, revoked=tx.now)

    await site.write(work)
    site.tokens.forget()
