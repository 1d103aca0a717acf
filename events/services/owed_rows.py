"""What the platform keeps of runs that wait for the members' judgement: their events, within bounds, until
the members have judged them. Rows of one run are written in the transaction of the run's own row."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from dtvn.events.judging import Event
from dtvn.gateway import Difference
from events.models import JudgedRun, Owed, OwedPart, OwedRun
from events.services.answered_here import AnsweredHere

WAITING_MAX = 10_000
"""Most runs that wait (contract 5.4)."""
BYTES_MAX = 64 * 1024 * 1024
"""Most bytes of the events of all of them."""
DIFFERENCES_KEPT = 100
CLAIM = timedelta(seconds=60)
"""For how long one web process has a run judged before another one may."""

_write = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(list[Event])
_Codes = list[tuple[int, str]]


def fields(here: AnsweredHere) -> dict[str, Any]:
    """The fields of a run's row that say what the rules here answered, and what became of it."""
    return {
        "owed": here.state,
        "here_at": here.at,
        "here_code": here.code,
        "settled_at": here.settled_at,
        "differs": bool(here.differences),
        "differences": [msgspec.to_builtins(each) for each in here.differences[:DIFFERENCES_KEPT]],
    }


def keep(run_id: int, here: AnsweredHere, *, drop_unknown: bool) -> int:
    """Write the events of a run that waits; delete those of one that waits no more. One that finds no room is
    refused. Returns the index before which rows hold its events. Called in a transaction, by one thread at a
    time for a run, which another one may go on with meanwhile."""
    if here.state == Owed.WAITING and (reason := _no_room(run_id, here)):
        here.refuse(reason)
    if here.state != Owed.WAITING:
        OwedRun.objects.filter(pk=run_id).delete()
        return 0
    codes = [(index, code) for index, code in list(here.codes.items()) if code is not None]
    values = {"drop_unknown": drop_unknown, "codes": codes, "size": here.size}
    OwedRun.objects.update_or_create(pk=run_id, defaults=values)
    position, events = here.unwritten
    if events:
        OwedPart.objects.create(owed_run_id=run_id, position=position, data=_write(events))
    return position + len(events)


def _no_room(run_id: int, here: AnsweredHere) -> str:
    """Why a run finds no room; "" if it does."""
    others = OwedRun.objects.exclude(pk=run_id)
    if others.count() >= WAITING_MAX:
        return f"{WAITING_MAX} runs wait for the members' judgement already"
    size = others.aggregate(size=Sum("size"))["size"] or 0
    if size + here.size > BYTES_MAX:
        return f"{size} bytes of events wait for the members' judgement already"
    return ""


def count() -> int:
    """Number of runs that wait."""
    return OwedRun.objects.count()


def given(row: JudgedRun) -> int | None:
    """Number of the events that were given of a waiting run, the last of which wait; None for others."""
    owed = getattr(row, "owedrun", None) if row.owed == Owed.WAITING else None
    return None if owed is None or not owed.codes else max(index for index, _code in owed.codes) + 1


def next_waiting(after: int) -> JudgedRun | None:
    """The first waiting run with an id above `after` that no process has judged now."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=timezone.now())
    owed = OwedRun.objects.filter(free, pk__gt=after).select_related("judged_run").order_by("pk").first()
    return None if owed is None else owed.judged_run


def claim(run_id: int) -> OwedRun | None:
    """The waiting run, for this process alone for CLAIM; None if another one was faster, or it waits no
    more."""
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    if not OwedRun.objects.filter(free, pk=run_id).update(claimed_until=now + CLAIM):
        return None
    return OwedRun.objects.select_related("judged_run").filter(pk=run_id).first()


def give_up(run_id: int, here: AnsweredHere) -> None:
    """Write that the members will not judge a run."""
    with transaction.atomic():
        keep(run_id, here, drop_unknown=False)
        JudgedRun.objects.filter(pk=run_id).update(changed_at=timezone.now(), **fields(here))


def release(run_id: int) -> None:
    """Let any process have the run judged."""
    OwedRun.objects.filter(pk=run_id).update(claimed_until=None)


def restored(owed: OwedRun) -> AnsweredHere:
    """What waits of a run, from its rows."""
    events = [event for part in owed.parts.order_by("position") for event in _read.decode(bytes(part.data))]
    row, here = owed.judged_run, AnsweredHere()
    at: datetime = row.here_at or row.changed_at
    here.restore(events, dict(msgspec.convert(owed.codes, _Codes)), at, row.here_code)
    return here


def differences(row: JudgedRun) -> list[Difference]:
    """The events on which the rules here and the members do not agree."""
    return msgspec.convert(row.differences, list[Difference])
