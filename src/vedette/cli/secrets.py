"""Commands on tokens and secrets."""

from __future__ import annotations

import sys
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from vedette.cli import shown, words
from vedette.cli.session import connected, raw_option
from vedette.cli.spec_files import documents
from vedette.model.errors import Invalid

if TYPE_CHECKING:
    from vedette.client import Client


@words.command("create-token")
@words.argument("label", default="")
@words.option("--scope", default="admin", show_default=True,
              help="admin, service, worker or device:NAME.")  # fmt: skip
@raw_option
@connected
async def create_token(client: Client, label: str, scope: str, raw: bool) -> None:
    """Create a token and print it; it is shown this once."""
    made = await client.create_token(label, scope)
    if raw:
        shown.raw([made])
    else:
        print(made.token)


@words.command("list-token")
@raw_option
@connected
async def list_token(client: Client, raw: bool) -> None:
    """List tokens, without their secret parts."""
    tokens = await client.list_token()
    if raw:
        shown.raw(tokens)
        return
    rows = (
        (t.id, t.label, t.scope, shown.age(t.created), shown.age(t.revoked)) for t in tokens
    )  # fmt: skip
    shown.table(("ID", "LABEL", "SCOPE", "CREATED", "REVOKED"), rows)


@words.command("revoke-token")
@words.argument("token", metavar="ID")
@connected
async def revoke_token(client: Client, token: str) -> None:
    """Revoke a token, at once and for good."""
    await client.revoke_token(token)


@words.command("create-secret")
@words.argument("name", required=False)
@words.argument("pairs", nargs=-1, metavar="KEY=VALUE ... (KEY=- reads standard input)")
@words.option("-f", "--file", "manifest", default="", metavar="FILE",
              help="Names and values as in a Secret of Kubernetes.")  # fmt: skip
@connected
async def create_secret(
    client: Client, name: str | None, pairs: tuple[str, ...], manifest: str
) -> None:
    """Set the values of a secret; they replace all that it had."""
    if bool(manifest) == bool(name):
        raise Invalid("name the secret and its KEY=VALUE pairs, or use -f FILE")
    if manifest:
        for document in documents([manifest]):
            await client.put_secret(*_secret(manifest, document))
        return
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise Invalid(f"{key!r}: write KEY=VALUE")
        values[key] = sys.stdin.read().rstrip("\n") if value == "-" else value
    await client.put_secret(str(name), values)


def _secret(file: str, document: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The name and the values in a manifest. Raises Invalid, and tells no value."""
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    plain, coded = document.get("stringData") or {}, document.get("data") or {}
    if document.get("kind", "Secret") != "Secret" or not isinstance(name, str):
        raise Invalid(f"{file}: this is no Secret with metadata.name")
    values: dict[str, str] = {}
    for words_of in (coded, plain):
        if not isinstance(words_of, dict):
            raise Invalid(f"{file}: data and stringData are objects of keys and texts")
        for key, value in words_of.items():
            try:
                found = b64decode(value, validate=True).decode() if words_of is coded else value
            except (ValueError, TypeError):
                raise Invalid(f"{file}: data.{key} is not text in base64") from None
            if not isinstance(found, str):
                raise Invalid(f"{file}: stringData.{key} is not a text")
            values[str(key)] = found
    if not values:
        raise Invalid(f"{file}: there are no values in data or stringData")
    return name, values


@words.command("list-secret")
@raw_option
@connected
async def list_secret(client: Client, raw: bool) -> None:
    """List names and keys of secrets."""
    secrets = await client.list_secret()
    if raw:
        shown.raw(secrets)
        return
    rows = ((s.name, ", ".join(s.keys), shown.age(s.created)) for s in secrets)
    shown.table(("NAME", "KEYS", "CREATED"), rows)


@words.command("delete-secret")
@words.argument("name")
@connected
async def delete_secret(client: Client, name: str) -> None:
    """Delete a secret."""
    await client.delete_secret(name)
