"""/network: who hears whom now and over the last hour, and the cuts of the last day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings

from dtvn.api.answers import Answer, success
from dtvn.api.calls import Call
from validators.models import NetworkCut
from validators.network_watch import history
from validators.network_watch.cuts import Cut, Statement, named
from validators.network_watch.deciding import needed, outlook, up
from validators.network_watch.hearing import Hearing, Pair
from validators.network_watch.watch import NetworkWatch, watch
from validators.rest.nodes import utc_text
from validators.services.cluster_state import often_cut

NOBODY = "Nothing is known of the members yet."
NO_REPORT = "No member reports to this platform."
WHOLE = "All members that report hear each other."


def show_network(call: Call) -> Answer:
    """Who hears whom, by each member's own report: now, over the last hour, and the cuts of the last day.
    Times in sentences are in the time zone of events."""
    watch.refresh()
    return success(data=describe(watch, history.rows()))


def describe(seen: NetworkWatch, past: Iterable[NetworkCut]) -> dict[str, Any]:
    """All that a watch knows, and the history, newest first, as JSON."""
    hearing, rows = seen.hearing, list(past)
    return {
        "as_of": _text(hearing.at or None),
        "sentence": " ".join(filter(None, (sentence_of(seen), *_lines(seen, rows)))),
        "members": list(hearing.members),
        "quorum": needed(hearing) if hearing.members else 0,
        "consequence": outlook(hearing) if seen.cut is None else seen.cut.consequence,
        "stopped": stopped_members(seen),
        "cut": None if seen.cut is None else _cut(seen.cut),
        "links": [_link(seen, pair) for pair in hearing.pairs()],
        "history": [_past(row) for row in rows],
    }


def sentence_of(seen: NetworkWatch) -> str:
    """What is cut, since when, and who can decide; or that nothing is."""
    if seen.cut is not None:
        return f"{_sentence(seen.cut.statements)}. {seen.cut.consequence}"
    hearing = seen.hearing
    stopped, hanging = stopped_members(seen), [name for name in hearing.members if name in hearing.hanging]
    few = len(hearing.members) > 1 and len(up(hearing)) < needed(hearing)
    told = (
        _whole(hearing, few=few),
        f"Stopped here: {named(stopped)}." if stopped else "",
        f"Not responding here: {named(hanging)}." if hanging else "",
    )
    return " ".join(filter(None, told))


def _lines(seen: NetworkWatch, past: Sequence[NetworkCut]) -> list[str]:
    """What is wrong with lines, and was cut again and again, sentences."""
    often = often_cut(past)
    found = [*seen.lines.sentences(), *([often] if often else [])]
    return [f"{each[0].upper()}{each[1:]}." for each in found]


def _whole(hearing: Hearing, *, few: bool) -> str:
    """That all hear each other which report, by name if they are too few to decide."""
    report = [name for name in up(hearing) if name in hearing.ages]
    if not report:
        return NO_REPORT if hearing.members else NOBODY
    if not few:
        return WHOLE
    return f"{named(report)} hear each other." if len(report) > 1 else f"Only {report[0]} reports."


def stopped_members(seen: NetworkWatch) -> list[str]:
    """Members of this platform whose process does not run, in the order of members."""
    return [name for name in seen.hearing.members if name in seen.hearing.stopped]


def _cut(cut: Cut) -> dict[str, Any]:
    return {
        "sentence": _sentence(cut.statements),
        "statements": [_statement(each) for each in cut.statements],
        "groups": [list(group) for group in cut.groups],
        "decides": list(cut.decides),
        "may_decide": list(cut.may_decide),
        "consequence": cut.consequence,
        "certain": cut.certain,
        "severity": cut.severity,
    }


def _past(row: NetworkCut) -> dict[str, Any]:
    statements = msgspec.convert(row.statements, list[Statement])
    return {
        "id": row.pk,
        "sentence": _sentence(statements),
        "statements": [_statement(each) for each in statements],
        "groups": row.groups,
        "decides": row.decides,
        "may_decide": row.may_decide,
        "consequence": row.consequence,
        "certain": row.certain,
        "severity": row.severity,
        "started_at": utc_text(row.started_at),
        "seen_at": utc_text(row.seen_at),
        "ended_at": utc_text(row.ended_at),
    }


def _link(seen: NetworkWatch, pair: Pair) -> dict[str, Any]:
    return {
        "hearer": pair[0],
        "heard": pair[1],
        "state": seen.hearing.state(pair),
        "since": _text(seen.hour.since(pair)),
        "last_heard": _text(seen.hearing.last_heard(pair)),
        "spans": [
            {"state": span.state, "start": _text(span.start), "end": _text(span.end)}
            for span in seen.hour.spans(pair)
        ],
    }


def _statement(statement: Statement) -> dict[str, Any]:
    return {"what": statement.what, "since": _text(statement.since), "also": statement.also}


def _sentence(statements: Iterable[Statement]) -> str:
    return "; ".join(statement.sentence(_clock) for statement in statements)


def _clock(seconds: float) -> str:
    """Hours and minutes, with the date unless that is today."""
    zone = ZoneInfo(settings.EVENT_TIME_ZONE)
    then, now = datetime.fromtimestamp(seconds, zone), datetime.now(zone)
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else utc_text(datetime.fromtimestamp(seconds, UTC))
