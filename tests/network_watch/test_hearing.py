"""Who hears whom, from what members answer, which may be anything."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.gateway import MemberView
from validators.network_watch.hearing import State, hearing_of


def view(name: str, heard: Any, *, connected: bool = True, ago: float | None = 0.25) -> MemberView:
    status = {"voting": True} | ({} if heard is ... else {"heard": heard})
    return MemberView(
        id=name, index=0, connected=connected, primary=False, view=0, sequence=0, heard=ago, status=status
    )


def test_each_member_is_heard_silent_or_unknown() -> None:
    seen = hearing_of(
        [view("a", {"b": 0.5, "c": 8}), view("b", {"a": None}), view("c", {}, connected=False)],
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
