"""What the demo shows: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from vedette_cameras.alert.record import Alert
from vedette_cameras.counts.tally import Summary
from vedette_cameras.demo.figures import STATES, together

_STEPS = 4
_MEANING = {
    "received": "pictures that came in",
    "invalid": "no whole picture, or a name without device and time",
    "clean": "looked at, nothing that the rules call a threat",
    "suppressed": "a threat that the rules hold back",
    "alerted": "a threat that was told",
    "failed": "could not be looked at",
    "in_flight": "not decided yet",
}


class Screen:
    """Where the demo writes. Nothing here waits for a key or clears what was there."""

    def __init__(self, console: Console) -> None:
        self.serving = False
        self._console = console
        self._told = -1
        self._bar: Progress | None = None
        self._tasks: list[TaskID] = []

    @property
    def live(self) -> bool:
        """Whether somebody looks at a terminal."""
        return self._console.is_terminal

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        self._console.print(Text(text, style), soft_wrap=True)

    @contextmanager
    def progress(self, total: int) -> Iterator[None]:
        """Show how far the play is, until the end of the block."""
        if not self.live:
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            self._bar = bar
            self._tasks = [
                bar.add_task(name, total=total, note="") for name in ("sent   ", "decided")
            ]
            try:
                yield
            finally:
                self._bar = None

    def advance(self, sent: int, total: int, counts: Summary) -> None:
        """How many pictures have been sent and decided so far."""
        decided = counts.received - counts.in_flight
        if self._bar is not None:
            self._bar.update(self._tasks[0], completed=sent)
            note = f"{counts.alerted} alerted"
            self._bar.update(self._tasks[1], completed=decided, note=note)
            return
        step = decided * _STEPS // total if total else _STEPS
        if not self.live and step > self._told:
            self._told = step
            self.say(f"sent {sent} of {total}, decided {decided}, alerted {counts.alerted}")

    def alert(self, alert: Alert, address: str) -> None:
        """An alert, as it happens."""
        when = _local(alert.captured_at)
        where = f"{address}/alerts{alert.image}"
        self.say(
            f"ALERT  {alert.device:<10} {when}  {alert.label} {alert.score:.2f}"
            f"  images:{alert.image}  {where}",
            style="bold red",
        )

    def closing(self, counts: Summary, before: Summary) -> None:
        """The table that adds up; a column for the whole store when there were pictures before."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("")
        table.add_column("")
        table.add_column("this run", justify="right")
        if before.received:
            table.add_column("in all", justify="right")
        table.add_column("")
        rows = [("", "received"), *zip(("=", *"+++++"), STATES, strict=True)]
        whole = together(counts, before)
        for sign, name in rows:
            numbers = [str(getattr(counts, name))]
            if before.received:
                numbers.append(str(getattr(whole, name)))
            table.add_row(sign, name.replace("_", " "), *numbers, _MEANING[name])
        self._console.print()
        self._console.print(table)
        self._console.print()


def _local(captured_at: str | None) -> str:
    if captured_at is None:
        return "at an unknown time"
    return datetime.fromisoformat(captured_at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
