"""Repos and pipelines of any size are deleted without holding anybody up (U4, K3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.keeping import faults, held, until_nothing_is_left
from tests.rig import Rig, pfs, rig

from vedette.metadata.store import MetadataStore
from vedette.model.errors import NotFound
from vedette.scheduling import history, jobs, pipelines
from vedette.scheduling.intents import RepoDeleted, intend
from vedette.versioning import commits, repos
from vedette.versioning.transaction import Transaction

BIG = 40_000
FILES = 23


@pytest.fixture
def made(rows: MetadataStore, tmp_path: Path) -> Iterator[Rig]:
    """On each engine, with a scheduler."""
    with rig(tmp_path, rows) as found:
        yield found


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions of some rows, in place of thousands."""
    monkeypatch.setattr(repos, "AT_ONCE", 5)
    monkeypatch.setattr(history, "_PAGE", 4)


def fill(made: Rig, repo: str) -> str:
    """A repo with many present, former and staged files, branches and commits; its first commit."""
    made.repo(repo)
    first = made.put(repo, {f"/{n}": bytes([n]) * BIG for n in range(FILES)})
    for version in range(3):
        made.put(repo, {f"/{n}": bytes([n, version]) * BIG for n in range(7)})
    made.loop.submit(lambda tx: commits.start(tx, repo, "other")).result()
    return first


def delete_repo(made: Rig, name: str) -> None:
    def work(tx: Transaction) -> None:
        key = repos.get(tx.rows, name).id
        repos.delete(tx, name)
        intend(tx, RepoDeleted(key))

    made.loop.submit(work).result()


def left(made: Rig) -> bool:
    with made.store.read() as rows:
        return rows.one("doomed_next") is not None


@pytest.mark.usefixtures("small_pages")
def test_u4_a_large_repo_goes_in_pages_while_its_name_is_free(made: Rig) -> None:
    """U4, K3: nothing of it is seen from then on; a restart in the middle goes on with it."""
    first = fill(made, "in")
    delete_repo(made, "in")
    assert left(made)
    with made.store.read() as rows:
        assert commits.with_id(rows, first) == [], "its commits are in no list"
        assert repos.listing(rows) == []
        with pytest.raises(NotFound, match="no repo in"):
            repos.get(rows, "in")
    assert faults(made) == [], "what is left is sound"
    made.repo("in")
    again = made.put("in", {"/0": b"new" * BIG})
    assert made.loop.submit(history.drop_deleted).result()
    assert faults(made) == []
    made.end()
    made.begin()
    assert left(made)
    until_nothing_is_left(made)
    assert not left(made)
    until_nothing_is_left(made)
    assert made.heads("in") == [again]
    assert made.tree("in") == {"/0": b"new" * BIG}
    assert held(made) == 3 * BIG
    assert faults(made) == []


@pytest.mark.usefixtures("small_pages")
def test_u4_no_transaction_takes_more_than_its_page(made: Rig) -> None:
    """U4: also where one path has many versions, or one open commit many writes."""
    fill(made, "in")
    with made.store.read() as rows:
        key = repos.get(rows, "in").id
    rooms = []
    gone = made.loop.submit(lambda tx: repos.delete(tx, "in")).result()
    assert gone is None
    while (
        room := made.loop.submit(lambda tx: repos.drop_rows(tx, key, history._PAGE)).result()
    ) == 0:
        rooms.append(room)
    # 23 present, 21 former, 4 commits and an open one, less the 5 that went at once
    assert len(rooms) >= (FILES + 21 + 5 - 5) // history._PAGE


@pytest.mark.usefixtures("small_pages")
def test_u4_a_large_pipeline_goes_in_pages_and_another_may_have_its_name(made: Rig) -> None:
    """U4: jobs, logs, datums and shared paths of the one deleted are in no list."""
    made.repo("in")
    made.put("in", {f"/{n}": bytes([n]) for n in range(FILES)})
    made.pipeline("p", pfs("in", "/*"), output_conflict="concat")
    made.settle()
    (old,) = made.jobs("p")
    made.loop.submit(lambda tx: pipelines.delete(tx, "p")).result()
    assert left(made)
    with made.store.read() as rows:
        assert jobs.listing(rows) == []
        with pytest.raises(NotFound):
            jobs.inspect(rows, old.id)
    made.end()
    made.begin()
    made.pipeline("p", pfs("in", "/*"))
    made.settle()
    assert len(made.ran) == 2 * FILES, "nothing counts as done (D8)"
    until_nothing_is_left(made)
    assert not left(made)
    (job,) = made.jobs("p")
    assert (job.state, job.processed) == ("SUCCESS", FILES)
    assert len(made.tree("p")) == FILES
    made.put("in", {"/0": b"changed"})
    made.settle()
    assert made.jobs("p")[0].skipped == FILES - 1
    assert faults(made) == []


@pytest.mark.usefixtures("small_pages")
def test_u4_who_read_a_repo_that_was_deleted_by_force_looks_at_the_new_one_anew(made: Rig) -> None:
    """U4: commits of the old one that are not gone yet are nothing to compare with."""
    fill(made, "in")
    made.pipeline("p", pfs("in", "/*"))
    made.settle()
    delete_repo(made, "in")
    assert left(made)
    made.repo("in")
    made.put("in", {"/0": b"new"})
    made.end()
    made.begin()
    made.pipeline("p", pfs("in", "/*"), update=True)
    made.settle()
    assert list(made.tree("p")) == ["/0"]
    until_nothing_is_left(made)
    assert faults(made) == []
