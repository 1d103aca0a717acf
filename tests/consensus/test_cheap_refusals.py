"""`wants` refuses a message before any signature is checked, so it changes nothing (R5, P6)."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import msgspec
import pytest

from dtvn.protocol.consensus.dispatch import Dispatcher
from dtvn.protocol.consensus.verified import Header
from tests.consensus.helpers import Cluster, Keys


def picture(value: Any, seen: dict[int, int]) -> Any:
    """All that can be reached from a value, as nested tuples. `seen`: places of the objects met, by id."""
    if callable(value):
        return getattr(value, "__qualname__", "")
    if isinstance(value, str | bytes | int | float | None):
        return value
    if id(value) in seen:
        return "again", seen[id(value)]
    seen[id(value)] = len(seen)
    if isinstance(value, dict):
        return tuple((picture(key, seen), picture(each, seen)) for key, each in value.items())
    if isinstance(value, list | tuple | set | frozenset) or hasattr(value, "popleft"):
        return tuple(picture(each, seen) for each in value)
    if isinstance(value, Keys):
        return ()
    names = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    names |= set(getattr(value, "__dict__", ()))
    names |= set(value.__struct_fields__) if isinstance(value, msgspec.Struct) else set()
    return type(value).__name__, tuple(
        (name, picture(getattr(value, name), seen)) for name in sorted(names) if hasattr(value, name)
    )


def test_a_cheap_refusal_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests, a lost message, a dead primary, its return, and a member that asks for what it missed."""
    verdicts: Counter[str | None] = Counter()
    real = Dispatcher.wants

    def watched(core: Dispatcher, header: Header) -> Any:
        before = pickle.dumps(picture(core, {}))
        reason = real(core, header)
        assert pickle.dumps(picture(core, {})) == before, f"{type(header.message).__name__}: {reason}"
        verdicts[reason] += 1
        return reason

    monkeypatch.setattr(Dispatcher, "wants", watched)
    cluster = Cluster(4)
    cluster.cut(3)
    for number in range(3):
        frame = cluster.request(f"T-{number}")
        cluster.stabilize()
    for node in cluster.up():
        node.hear(cluster[1], frame)
    cluster.heal()
    cluster.advance(300)
    cluster[0].crash()
    cluster.request("T-late", to=[1, 2, 3])
    cluster.advance(2_000)
    cluster[0].restart()
    cluster.advance(2_000)
    cluster.agree()
    assert verdicts[None] > 100
    assert len(verdicts) >= 4, verdicts
