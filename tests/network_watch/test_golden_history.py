"""Tells every row of the history of cuts, after each look that changed one: links that break and come back at
once or much later, and watching processes that are replaced meanwhile."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from dtvn.protocol.quorum import Mode
from tests.api.telling import beside
from tests.golden import Compare, Telling
from tests.network_watch.seen import NAMES, between, look
from validators.models import NetworkCut
from validators.network_watch.cuts import cut_of
from validators.network_watch.hearing import Pair, State
from validators.network_watch.history import History, rows

pytestmark = pytest.mark.django_db

NOW = 1_800_000_000.0
PAUSES = (1, 1, 5, 9, 10, 29, 30, 31, 60, 299, 300, 301)
"""Seconds between two looks: on both sides of each limit."""
LOOKS = 500
FORMS: tuple[list[Pair], ...] = (
    [],
    [],
    [("venue", "promoter")],
    between(["venue"], ["promoter"]),
    between(["venue", "seller"], ["promoter", "auditor"]),
    between(["auditor"], NAMES[:3]),
    [("auditor", other) for other in NAMES[:3]],
)


def told(row: NetworkCut) -> str:
    seconds = {
        name: None if at is None else at.timestamp() - NOW
        for name, at in (("started", row.started_at), ("seen", row.seen_at), ("ended", row.ended_at))
    }
    times = ", ".join(f"{name} {at if at is None else round(at, 1)}" for name, at in seconds.items())
    since = [round(each["since"] - NOW, 1) for each in row.statements]
    return (
        f"  {row} {since} {[each['also'] for each in row.statements]}; {times}; {row.groups}; "
        f"{row.decides} {row.may_decide}; {row.consequence}; {row.certain}; {row.severity!r}; {row.present!r}"
    )


def noted(history: History, at: float, since: float, silent: list[Pair], **named: Any) -> None:
    hearing = look(at, *silent, **named)
    pairs = {pair: since for pair in hearing.pairs() if hearing.state(pair) is State.SILENT}
    history.note(cut_of(hearing, pairs), at)


def test_what_a_day_of_cuts_leaves(golden: Compare) -> None:
    story, chance, history = Telling(), Random(11), History()
    at, silent, unseen, before = NOW, FORMS[0], tuple[str, ...](), list[str]()
    for _ in range(LOOKS):
        at += chance.choice(PAUSES)
        if chance.random() < 0.04:
            history = History()
            story.say(f"{at - NOW:.0f}: another process watches")
        if chance.random() < 0.4:
            silent = chance.choice(FORMS)
        if chance.random() < 0.1:
            unseen = tuple(name for name in NAMES if chance.random() < 0.3)
        hanging = unseen if chance.random() < 0.2 else ()
        since = at - chance.choice((3, 3, 3, 100))
        noted(history, at, since, silent, unseen=unseen, hanging=hanging, mode=Mode.PBFT)
        now = [told(row) for row in rows()[:2]]
        if now != before:
            story.say(f"{at - NOW:.0f}: {len(silent)} pairs, {unseen}, {hanging}")
            story.lines += now
            before = now
    story.say(f"{len(rows())} rows")
    story.lines += [told(row) for row in rows()]
    golden.drawn(beside(__file__, "history"), story.text)
