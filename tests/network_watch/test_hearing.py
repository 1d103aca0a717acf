"""Who hears whom, from what members answer, which may be anything."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.watch import MemberReport
from validators.network_watch.hearing import State, hearing_of


def view(name: str, hears: Any, *, ago: float | None = 0.25) -> MemberReport:
    return MemberReport(id=name, connected=True, heard=ago, hears=hears)


def test_each_member_is_heard_silent_or_unknown() -> None:
    seen = hearing_of(
        [view("a", {"b": 0.5, "c": 8}), view("b", {"a": None}), view("c", {}, ago=None)],
        100.0,
        own={"a": True, "b": None, "c": False, "elsewhere": True},
    )
    seen = msgspec.structs.replace(seen, silent=frozenset({("a", "c"), ("c", "a")}))
    assert seen.state(("a", "b")) is State.HEARD
    assert seen.state(("a", "c")) is State.SILENT
    assert seen.state(("b", "c")) is State.UNKNOWN
    assert seen.state(("c", "a")) is State.UNKNOWN
    assert (seen.last_heard(("a", "c")), seen.last_heard(("b", "a"))) == (91.75, None)
    assert len(list(seen.pairs())) == 6
    assert (seen.running, seen.stopped, seen.hanging) == ({"a"}, {"c"}, {"b"})
    assert seen.down == {"b", "c"}
