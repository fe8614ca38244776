"""The provider's yes is asked for once, whatever else fails meanwhile (CAMERAS 6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.test_alerts import FAST, arrive, with_sendgrid
from tests.cameras import until

from vedette.model.errors import NoSpace, Unavailable
from vedette_cameras.alert.follow import Follower
from vedette_cameras.alert.ledger import Ledger


def test_a_yes_that_cannot_be_recorded_at_once_is_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAMERAS 6: twice only when the process dies, not when the disk is full or the rows away."""
    refused: list[str] = []
    commit = Ledger._commit

    async def full(self: Ledger, changes: Any) -> None:
        states = {record.path: record.state for change in changes for record in change.records}
        if len(refused) < 3 and "accepted" in states.values():
            refused.extend(states)
            raise NoSpace("the disk is full")
        await commit(self, changes)

    monkeypatch.setattr(Ledger, "_commit", full)
    with with_sendgrid(tmp_path) as (server, stub):
        rules = server.judging()
        arrive(server, "/gate_1511891098.jpg", rules)
        server.idle()
        assert len(stub.accepted) == 1
        assert refused == ["/gate_1511891098.jpg.json"] * 3
        record = server.delivery("/gate_1511891098.jpg")
        assert (record["state"], record["tries"]) == ("accepted", 1)
        assert record["provider_id"] == "sg-1"


def test_what_is_under_way_when_the_service_fails_is_heard_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAMERAS 6: a fault elsewhere in the service does not hang up on the provider."""
    look = Follower.look
    failed: list[int] = []

    async def away(self: Follower) -> None:
        if stub.asked and not failed:
            failed.append(1)
            raise Unavailable("the database does not answer")
        await look(self)

    monkeypatch.setattr(Follower, "look", away)
    with with_sendgrid(tmp_path, retries=FAST | {"timeout": 20.0}) as (server, stub):
        rules = server.judging()
        stub.tricks.append("slow")
        arrive(server, "/gate_1511891098.jpg", rules)
        until(lambda: bool(stub.asked))
        arrive(server, "/gate_1511891155.jpg", rules, seed=2)
        until(lambda: bool(failed))
        server.idle()
        until(lambda: len(stub.log) == len(stub.asked))
        assert sorted(stub.ids().values()) == [1, 1]
