"""The files of an output commit: what the job's datums wrote, without what went with others.

An output commit is the union of what its current datums wrote (DESIGN 3.2). Each file is tagged
with its datum; only a path that several datums wrote has rows in `part`, one a datum, from which
the file is made again whenever one of them changes (ENGINE M1 to M3).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from vedette.decide import merge, skip
from vedette.decide.merge import Contribution
from vedette.model.errors import PathConflict
from vedette.model.ids import ObjectId
from vedette.model.paths import parents
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Effect, Job, Pipeline
from vedette.versioning import contents, retention
from vedette.versioning.edits import Edit


class ClashError(Exception):
    """Two datums wrote what cannot be together; `ident` is the later one."""

    def __init__(self, ident: bytes, message: str) -> None:
        super().__init__(message)
        self.ident = ident


class Merge:
    """The files of one output commit in the making."""

    def __init__(self, round: Round, job: Job, edit: Edit) -> None:
        self._round = round
        self._rows = round.rows
        self._job = job
        self._pipeline: Pipeline = job.pipeline
        self._edit = edit
        self._policy = job.pipeline.spec.output_conflict
        self._tombstones = retention.any_tombstones(round.rows)
        self._shared: set[str] = set()
        self._going: set[str] = set()
        self._folders: set[str] = set()
        self._removed: set[int] = set()
        self._orders: dict[int, str] | None = None
        self.warnings: list[str] = []

    def go_on(self, round: Round) -> None:
        """Go on in another transaction."""
        self._round, self._rows = round, round.rows
        self._edit.go_on(round.tx)

    def remove(self, datums: set[int]) -> None:
        """Note the files of datums that have gone or are replaced."""
        self._removed = datums
        for datum in datums:
            for path in self._edit.paths_of(datum):
                self._going.add(path)
                self._folders.update(parents(path))
            if self._policy != "error":
                self._unshare(datum)

    def _unshare(self, datum: int) -> None:
        pipeline = self._pipeline.id
        for (path,) in self._rows.all("parts_of_datum", pipeline=pipeline, datum=datum):
            self._drop_part(path, datum)
            self._shared.add(path)

    def take_away(self, datums: Iterable[int]) -> None:
        """As `remove`, for more datums than fit into memory: their files go at once."""
        for datum in datums:
            self._edit.remove_datum(datum)
            if self._policy != "error":
                self._unshare(datum)

    def add(self, ident: bytes, effect: Effect) -> None:
        """Put what a datum wrote. Raises ClashError where it cannot be, before anything is put."""
        free: list[tuple[str, bytes, int, bool]] = []
        for path, name, size in effect.outputs:
            owner = self._edit.stat(path)
            if owner is None or owner.datum in self._removed or owner.datum == effect.datum:
                if path not in self._shared:
                    free.append((path, name, size, owner is None))
                else:
                    self._share(path, effect, name, size)
                continue
            if self._policy == "error":
                raise ClashError(ident, self._message(path, owner.datum, effect.datum))
            if self._policy == "identical" and owner.object != name:
                raise ClashError(ident, self._message(path, owner.datum, effect.datum))
            if owner.datum is not None:
                self._keep(path, owner.datum, owner.object, owner.size)
            self._share(path, effect, name, size)
        try:
            self._put(effect, free)
        except PathConflict as error:
            raise ClashError(ident, str(error)) from error

    def _put(self, effect: Effect, free: list[tuple[str, bytes, int, bool]]) -> None:
        """Put files that nobody else wrote: all of them, or none and PathConflict (M3)."""
        for path, _, _, new in free:
            if new:
                self._make_way(path)
        if len(free) > 1:
            self._check(effect, free)
        for path, name, size, new in free:
            put = self._edit.add if new else self._edit.put
            put(path, ObjectId(name), size, effect.datum)
            self._bury(path, name)
            self._going.discard(path)

    def _make_way(self, path: str) -> None:
        """Take away at once what is going anyway, where a file and a directory change places."""
        gone = [folder for folder in parents(path) if folder in self._going]
        if path in self._folders:
            gone += sorted(other for other in self._going if other.startswith(path + "/"))
        for each in gone:
            self._edit.delete(each)
            self._going.discard(each)

    def _check(self, effect: Effect, free: list[tuple[str, bytes, int, bool]]) -> None:
        for path, _, _, new in free:
            if new:
                self._edit.check_free(path)
        own = [
            Contribution(order=0, datum=str(effect.datum), path=path, object=name, size=size)
            for path, name, size, _ in free
        ]
        for clash in merge.clashes(own):
            raise PathConflict(clash.message)

    def finish(self) -> None:
        """Make shared files again, and take away what nobody writes any more."""
        for path in sorted(self._shared):
            self._resolve(path)
        for path in sorted(self._going):
            self._edit.delete(path)

    def _keep(self, path: str, datum: int, name: bytes, size: int) -> None:
        """The first to write a path is noted when a second comes."""
        if self._rows.one("has_parts", pipeline=self._pipeline.id, path=path) is None:
            self._rows.run(
                "add_part", pipeline=self._pipeline.id, path=path, datum=datum,
                ord=self._order(datum), object=name, size=size,
            )  # fmt: skip

    def _bury(self, path: str, name: bytes) -> None:
        """A result that is taken again may name bytes that were deleted for good (K1)."""
        if self._tombstones:
            retention.bury_again(self._round.tx, self._edit.line, path, ObjectId(name))

    def _drop_part(self, path: str, datum: int) -> None:
        dropped = self._rows.all("drop_part", pipeline=self._pipeline.id, path=path, datum=datum)
        self._round.tx.suspect(dropped)

    def _order(self, datum: int) -> str:
        if self._orders is None:
            self._orders = {e.datum: e.order for e in self._job.effects.values()}
        if datum in self._orders:
            return self._orders[datum]
        row = self._rows.one("datum_by_num", num=datum)
        if row is None:
            return ""
        paths: list[str] = [match[1] for match in msgspec.msgpack.decode(row[12])]
        return skip.order(paths)

    def _share(self, path: str, effect: Effect, name: bytes, size: int) -> None:
        self._shared.add(path)
        self._drop_part(path, effect.datum)
        self._rows.run(
            "add_part", pipeline=self._pipeline.id, path=path, datum=effect.datum,
            ord=effect.order, object=name, size=size,
        )  # fmt: skip

    def _resolve(self, path: str) -> None:
        parts = self._rows.all("parts", pipeline=self._pipeline.id, path=path)
        if not parts:
            self._going.add(path)
            return
        self._going.discard(path)
        if len(parts) == 1:
            datum, _order, name, size = parts[0]
            self._edit.put(path, name, size, datum)
            self._bury(path, name)
            self._drop_part(path, datum)
            return
        found = [
            Contribution(order=place, datum=str(part[0]), path=path, object=part[2], size=part[3])
            for place, part in enumerate(parts)
        ]
        decision = merge.resolve(self._policy, found)
        if isinstance(decision, merge.One):
            winner = decision.winner
            self._edit.put(path, winner.object, winner.size, int(winner.datum))  # type: ignore[arg-type]
            self._bury(path, winner.object)
            if self._policy in ("first", "last"):
                self.warnings.append(
                    f"{path} was written by {len(parts)} datums: the {self._policy} one is kept"
                )
        elif isinstance(decision, merge.Concat):
            self._join(path, decision)
        else:
            raise PathConflict(decision.message, path=path)

    def _join(self, path: str, decision: merge.Concat) -> None:
        tx = self._round.tx
        pieces = [contents.read(tx.rows, tx.objects, part.object) for part in decision.parts]  # type: ignore[arg-type]
        data = b"".join(pieces)
        name = contents.store(tx, data)
        self._edit.put(path, name, len(data), int(decision.parts[-1].datum))
        warning = merge.concat_warning(path, data[:16], len(pieces))
        if warning:
            self.warnings.append(warning)

    def _message(self, path: str, first: int | None, second: int) -> str:
        names = [self._name(datum) for datum in (first, second)]
        return (
            f"{path} was written by two datums, {names[0]} and {names[1]}: use the glob '/', or "
            "put $PACH_DATUM_ID into the path, or set output_conflict"
        )

    def _name(self, datum: int | None) -> str:
        if datum is None:
            return "none"
        row = self._rows.one("datum_by_num", num=datum)
        waiting = self._round.datums.get(datum)
        if row is None and waiting is None:
            return str(datum)
        paths = self._order(datum).replace("\0", " x ")
        ident = row[2] if row is not None else waiting.ident if waiting is not None else b""
        return f"{ident.hex()[:12]} ({paths})"
