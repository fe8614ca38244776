"""What will probably go wrong with a spec, though nothing about it is wrong (ENGINE M)."""

from __future__ import annotations

import re

from vedette.model.inputs import Cross, Input, Pfs
from vedette.model.pipeline import PipelineSpec

_WRITTEN = re.compile(r"""/pfs/out/([^\s"';|&<>)]+)(["']?[$`])?""")
_VARIABLE = frozenset("$`*?[{(\\")


def likely_conflicts(spec: PipelineSpec) -> list[str]:
    """A line for each path that every one of several datums writes, by the look of the script.

    Only where two datums on one path fail the job (`output_conflict: error`). Paths with variables
    or wildcards in them, and directories, are left alone.
    """
    if spec.output_conflict != "error" or not _several(spec.input):
        return []
    transform = spec.transform
    places = [(f"transform.cmd[{n}]", text) for n, text in enumerate(transform.cmd)]
    places += [(f"transform.stdin[{n}]", text) for n, text in enumerate(transform.stdin)]
    folders = {folder for _, text in places for folder in _folders(text)}
    written: dict[str, str] = {}
    for place, text in places:
        for path, goes_on in _WRITTEN.findall(text):
            fixed = not goes_on and not path.endswith("/") and not _VARIABLE & set(path)
            if fixed and path not in folders:
                written.setdefault(path, place)
    return [
        f"{place}: each datum seems to write /pfs/out/{path}, and there may be several: then the "
        "job fails. Use the glob '/', put $PACH_DATUM_ID into the path, or say output_conflict"
        for path, place in written.items()
        if not any(other.startswith(path + "/") for other in written)
    ]


def _folders(script: str) -> list[str]:
    """What `mkdir` makes in a script: several datums may."""
    commands = (part for part in re.split(r"[;&|\n]", script) if re.search(r"\bmkdir\b", part))
    return [path for part in commands for path, _ in _WRITTEN.findall(part)]


def _several(tree: Input) -> bool:
    """Whether an input can have more than one datum."""
    if isinstance(tree, Pfs):
        return any(sign in tree.glob for sign in "*?[{(") and tree.glob != "/"
    if isinstance(tree, Cross):
        return any(_several(child) for child in tree.children)
    return True
