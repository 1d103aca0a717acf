"""A ledger is moved whole, in both directions, and an interrupted move leaves exactly one (R10, R11)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connections

from dtvn.ledger import LedgerElsewhere, Location
from dtvn.protocol.consensus.effects import StateRecord
from tests.ledger.samples import CLUSTER, LogWriter, slot
from validators.ledger import Ledger, move, open_ledger
from validators.ledger.find import holds_ledger
from validators.ledger.location import add_alias, drop_alias
from validators.ledger.move import drop_left_over, move_ledger


def opened(place: Location, *, expect_existing: bool = False) -> Ledger:
    return open_ledger(place, cluster_id=CLUSTER, alias="under-test", expect_existing=expect_existing)


def fill(place: Location) -> LogWriter:
    """A log, votes, and a state of this ledger's own."""
    writer = LogWriter()
    ledger = opened(place)
    ledger.load()
    ledger.append([*writer.entries(12), slot("prepare", 13), slot("view", 0, view=2)])
    ledger.append([writer.checkpoint(), StateRecord("word", b"kept")])
    ledger.close()
    return writer


def rows(place: Location) -> dict[str, list[Any]]:
    """All rows but the incarnation, which counts the openings."""
    add_alias("looked-at", place)
    try:
        found = {
            model.__name__: list(model._default_manager.using("looked-at").order_by("pk").values())
            for model in apps.get_app_config("ledger").get_models()
        }
    finally:
        connections["looked-at"].close()
        drop_alias("looked-at")
    [meta] = found["LedgerMeta"]
    del meta["incarnation"], meta["checksum"]
    return found


@pytest.fixture(params=["to a file", "to a server"])
def places(request: pytest.FixtureRequest, postgres_place: Location) -> tuple[Location, Location]:
    """(from, to) of one folder."""
    beside = Location(postgres_place.folder)
    return (postgres_place, beside) if request.param == "to a file" else (beside, postgres_place)


def test_a_ledger_that_does_not_vote_does_not_vote_after_a_move(places: tuple[Location, Location]) -> None:
    source, target = places
    opened(source, expect_existing=True).close()
    move_ledger(source, target, settle=lambda: None)
    ledger = opened(target)
    assert not ledger.voting
    assert ledger.voting_reason.startswith("its ledger was lost")
    ledger.close()


@pytest.mark.parametrize("stage", ["_check", "_put_in_place", "settle", "_drop"])
def test_an_interrupted_move_is_repeated(
    places: tuple[Location, Location], stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places
    fill(source)
    before = rows(source)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if stage != "settle":
            patched.setattr(move, stage, interrupted)
        with pytest.raises(KeyboardInterrupt):
            move_ledger(source, target, settle=interrupted if stage == "settle" else lambda: None)
    assert rows(source) == before
    if stage == "_drop":  # the settings name the target: it is the ledger
        assert drop_left_over(target, source)
        assert not drop_left_over(target, source)
    else:
        move_ledger(source, target, settle=lambda: None)
    assert not holds_ledger(source)
    assert rows(target) == before


def test_a_newer_or_foreign_ledger_is_never_dropped(
    places: tuple[Location, Location], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places
    fill(source)
    with monkeypatch.context() as patched:
        patched.setattr(move, "_drop", lambda place: None)
        move_ledger(source, target, settle=lambda: None)
    writer = LogWriter()
    writer.entries(12)
    ledger = opened(target)
    ledger.load()
    ledger.append([writer.entry()])
    ledger.close()
    with pytest.raises(LedgerElsewhere, match="a newer state of this one"):
        move_ledger(source, target, settle=lambda: None)
    with pytest.raises(LedgerElsewhere, match="another ledger"):
        drop_left_over(source, target)
    other = Location(tmp_path / "other")
    fill(other)
    with pytest.raises(LedgerElsewhere, match="another ledger"):
        drop_left_over(target, other)
