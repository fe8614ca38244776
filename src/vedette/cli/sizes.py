"""Sizes as they are typed."""

from __future__ import annotations

from vedette.cli import words
from vedette.model.errors import Invalid
from vedette.model.spec_words import size

max_bytes_option = words.option(
    "--max-bytes", metavar="SIZE",
    help="What all versions of its files may have: 10G, 512Mi, or none. More is refused.",
)  # fmt: skip


def read_bytes(text: str) -> int | None:
    """The bytes of a size as it is typed; None for `none`. Raises Invalid."""
    if text == "none":
        return None
    found = size(text)
    if not found:
        raise Invalid(f"--max-bytes {text!r}: write 10G, 512Mi, or none")
    return found
