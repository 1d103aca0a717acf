"""Entry nodes, locks and the sentence of agreement, told whole."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.events.config import Balancing, LoadBalancerConfig
from dtvn.gateway import Fence, Lease, LockClient, MemberView, locks, steps
from dtvn.gateway.agreement import Clock, Report, agreement, report_of
from dtvn.gateway.entries import Entries
from dtvn.gateway.questions import MemberStatus
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import CAPABILITIES
from dtvn.protocol.quorum import Mode
from tests.fake_gateway import FakeGateway
from tests.gateway.wording import Wording, fixed_clock
from tests.golden import Compare
from tests.host.support import make_genesis

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("n0", "n1", "n2", "n3")


@pytest.mark.parametrize("algorithm", list(Balancing))
def test_entry_nodes(golden: Compare, algorithm: Balancing) -> None:
    """Which member is named next: by answers, lag, load and calls under way."""
    words, lines = Wording(), [f"# {algorithm.value}"]
    entries = Entries(NAMES, 1, random.Random(3), 0.0, LoadBalancerConfig(algorithm=algorithm))
    statuses = [MemberStatus() for _name in NAMES]
    for second in range(14):
        for index, status in enumerate(statuses):
            silent = index == 3 and 4 <= second < 10
            status.missed += silent
            status.answered += not silent
            status.round_trip = (index + 1) * 3_000_000
            status.fields = {"processor_seconds": 0.1 * index * second, "monotonic_seconds": 5.0 + second}
        entries.observe(statuses, float(second))
        views = [_view(index, second) for index in range(4)]
        entries.begin(second, [Operation("barrier", "", "", "", NAMES[second % 2], 0)])
        chosen = [entries.choose(views, second + part / 4, "key" if part == 3 else "") for part in range(4)]
        entries.end(second - 2)
        lines.append(f"{second} s: {chosen}")
    lines += [f"polled {entries.polled}", words(entries.balance())]
    golden(GOLDEN / f"entries-{algorithm.value}.txt", "\n".join(lines) + "\n")


def _view(index: int, second: int) -> MemberView:
    lags = 501 if index == 1 and second in (6, 7) else 500 if index == 2 else 0
    connected = second < 12 and (index, second) != (0, 8)
    heard = None if index == 0 and second == 9 else 0.5
    return MemberView(NAMES[index], index, connected, index == 0, 0, 1_000 - lags, heard, {})


def test_agreement(golden: Compare) -> None:
    """The sentence and counts of a cluster: who is reached, votes, keeps up and agrees."""
    words, lines = Wording(), []
    whole = Report(
        id="r", reachable=True, voting=True, epoch=2, view=5, sequence=400, stable=400, log_time=9_000_000
    )
    replace = msgspec.structs.replace
    lacks: tuple[dict[str, Any], ...] = (
        *({}, {"reachable": False}, {"voting": False}, {"changing": True}, {"view": 6}, {"epoch": 3}),
        *({"sequence": 379}, {"sequence": 380}, {"entering": 3}, {"withheld_ahead": 3.5}, {"stable": 9_999}),
    )
    for members, count, lack in product((4, 3, 7), (1, 2, 3), lacks):
        reports = [
            replace(whole, id=f"r{index}", **(lack if index < count else {})) for index in range(members)
        ]
        told = agreement(reports, mode=Mode.PBFT, window=20, without=("r6",), changing_for=9.9)
        lines.append(f"{members} of which {count} {lack}: {', '.join(words.fields(told))}")
    four = [replace(whole, id=f"r{index}", changing=index < 3) for index in range(4)]
    for mode, late, wall in product(Mode, (9.9, 10.0), (0, 9_000_000, 6_900_000)):
        told = agreement(four, mode=mode, window=20, clock=Clock(wall, 2_000_000), changing_for=late)
        lines.append(f"{mode.value} {late} {wall}: {', '.join(words.fields(told))}")
    lines.append(words(agreement([], mode=Mode.PBFT, window=20)))
    for status in (
        {"voting": 1, "epoch": -1, "stable": True},
        {"voting": True, "epoch": 3, "stable": 7, "log_time": 9, "withheld_ahead": 2.5},
    ):
        for heard in (None, 5.0, 5.1):
            view = MemberView("r1", 1, True, False, 8, 70, heard, status, entering=4)
            lines.append(words(report_of(view)))
    golden(GOLDEN / "agreement.txt", "\n".join(lines) + "\n")


def test_lock_client(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases, waiting, refusals and the fence; the clock is the story's."""
    clock = fixed_clock(monkeypatch, locks, steps)
    gateway = FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")
    client, words, lines = LockClient(gateway, actor="worker", event="agents"), Wording(), []

    def tries(what: str, do: Any, *given: Any, **more: Any) -> Any:
        try:
            found = do(*given, **more)
        except Exception as error:  # noqa: BLE001 - told
            code, holder = getattr(error, "code", ""), getattr(error, "holder", None)
            lines.append(f"{what}: {words(error)} {code} {words(holder)}")
            return None
        left = f" left {found.remaining:g}" if isinstance(found, Lease) else ""
        lines.append(f"{what}: {words(found)}{left}")
        return found

    first = tries("acquired", client.acquire, "one", 30.0, holder=b"a")
    tries("again", client.acquire, "one", 40.0, holder=b"a")
    tries("held", client.acquire, "one", 5.0, holder=b"b")
    tries("looked at", client.get, "one")
    tries("free", client.get, "two")
    tries("waited in vain", client.acquire, "one", 5.0, wait=1.0, holder=b"b")
    lines.append(f"{clock.elapsed / 1e9:g} s")
    tries("renewed", client.renew, first, 60.0)
    clock.elapsed += 61_000_000_000
    tries("handed on", client.acquire, "one", 5.0, wait=1.0, holder=b"c")
    tries("late renewal", client.renew, first, 60.0)
    tries("late release", client.release, first)
    tries("cancelled", client.cancel, "one", b"c")
    tries("released twice", client.release, first)
    tries("out of bounds", client.acquire, "", 5.0)
    tries("too long", client.acquire, "one", 601.0)
    with client.held("one", 9.0) as lease:
        lines.append(f"inside {len(lease.holder)} {lease.remaining:g}")
    for trouble in ("quorum", "full", "mute"):
        setattr(gateway, trouble, trouble != "quorum")
        tries(trouble, client.acquire, "three", 5.0, holder=b"x")
        setattr(gateway, trouble, trouble == "quorum")
    fence = Fence(5)
    for token in (4, 5, 9, 8):
        tries(f"fence {token}", lambda token=token: _written(fence, token))
    golden(GOLDEN / "lock-client.txt", "\n".join(lines) + "\n")


def _written(fence: Fence, token: int) -> int:
    with fence.admitted(token):
        return fence.highest
