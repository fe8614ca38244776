"""Recognises tokens by the hash of their random part."""

from __future__ import annotations

from blake3 import blake3

from vedette.metadata.store import MetadataStore

_CONTEXT = "vedette 2026-11 token"


class Tokens:
    """Looks tokens up. Those that are known are remembered until one is revoked here.

    Where revoking is not heard of, nothing is to be remembered.
    """

    def __init__(self, store: MetadataStore, *, remember: bool = True) -> None:
        self._store = store
        self.remember = remember
        self._known: dict[bytes, str] = {}

    def scope_of(self, token: str) -> str | None:
        """What a token allows; None if it is not known or revoked."""
        return self.scope_of_digest(digest_of(token))

    def digest_of(self, token: str) -> bytes:
        """The hash by which a token is known here."""
        return digest_of(token)

    def scope_of_digest(self, digest: bytes) -> str | None:
        """What the token with this hash allows; None if it is not known or revoked."""
        if (known := self._known.get(digest)) is not None:
            return known
        with self._store.read() as rows:
            row = rows.one("token_by_hash", hash=digest)
        if row is None:
            return None
        if len(self._known) > 10_000:
            self._known.clear()
        if self.remember:
            self._known[digest] = row[0]
        return str(row[0])

    def forget(self) -> None:
        """A token was revoked: look all up again."""
        self._known.clear()


def digest_of(token: str) -> bytes:
    """What is kept of a token. It is random, so a plain hash tells nothing."""
    return blake3(token.encode(errors="replace"), derive_key_context=_CONTEXT).digest()
