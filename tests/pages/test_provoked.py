"""Each trouble is provoked in a cluster, and `manage.py doctor` names it from the members' own figures.

With processes: nodes that cannot be reached, a lost quorum (tests/integration/test_doctor.py). Conflicting
verdicts: tests/runs/test_double_votes.py.
"""

from __future__ import annotations

import json
import mmap
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import call_command

from dtvn.gateway import agreeing
from dtvn.memory import resident_bytes
from dtvn.node import inspect
from dtvn.node.metrics import figures
from simulator.clock import MILLISECOND, SECOND
from simulator.network import LinkQuality
from tests.pages.simulated import Simulated
from validators.dashboard import doctor, findings
from validators.services import network

pytestmark = [pytest.mark.django_db(databases=["default", "learner"]), pytest.mark.ci]
LOOK = 3.0


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulated]:
    made = Simulated()
    yield from used(made, monkeypatch)


def used(made: Simulated, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulated]:
    """The doctor asks this cluster, its sleep is the cluster's time, and so are the clocks of nodes. The
    memory is that of this process, which holds all of them and the simulator: one test looks at it."""
    monkeypatch.setattr(doctor, "time", SimpleNamespace(sleep=made.pass_seconds))
    monkeypatch.setattr(figures, "time", SimpleNamespace(monotonic_ns=lambda: 0))
    monkeypatch.setattr(agreeing, "time_ns", made.wall_time)
    monkeypatch.setattr(inspect, "resident_bytes", lambda: 0)
    network.use(made)  # type: ignore[arg-type]
    yield made
    network.use(None)


def wrongs() -> dict[str, str]:
    """The doctor's sentences by trouble."""
    out = StringIO()
    with suppress(SystemExit):
        call_command("doctor", "--json", "--for", str(LOOK), stdout=out)
    found: dict[str, str] = {}
    for each in json.loads(out.getvalue())["findings"]:
        assert each["remedy"] == findings.REMEDIES[each["trouble"]]
        found[each["trouble"]] = f"{found.get(each['trouble'], '')} {each['wrong']}".strip()
    return found


def test_a_cluster_at_work_has_no_trouble(seen: Simulated) -> None:
    assert wrongs() == {}
    assert len(seen.callers.done) > 50


def test_members_in_two_groups_have_no_link_until_it_heals(seen: Simulated) -> None:
    seen.world.network.part(["r0", "r1"], ["r2", "r3"])
    found = wrongs()
    assert "r0 runs, but has no link to r2, r3." in found["not_registered"]
    seen.world.network.heal()
    seen.pass_seconds(10)
    assert wrongs() == {}


def test_a_member_that_hears_nothing_does_not_converge(seen: Simulated) -> None:
    """Its links are up, and what arrives is lost in its process."""
    seen.node("r3").receive_filter = lambda _inbound: False
    seen.pass_seconds(2)
    found = wrongs()
    assert found["not_converging"].startswith("r3 stays at sequence ")
    seen.node("r3").receive_filter = None
    seen.pass_seconds(10)
    assert wrongs() == {}


def test_a_flipped_bit_in_a_members_memory_is_a_checksum_and_a_split(seen: Simulated) -> None:
    seen.ask(1)
    seen.pass_seconds(1)
    seen.flip_bit("r3", "T-0")
    seen.pass_seconds(5)
    found = wrongs()
    assert "r0 has seen checkpoints whose checksum does not match, 1 times." in found["checksum_mismatch"]
    assert "r3 has stopped: two certificates contradict each other" in found["split_brain"]
    assert not {"no_quorum", "not_converging"} & set(found)


def test_slow_links_of_all_are_slow_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = LinkQuality(latency_min=80 * MILLISECOND, latency_max=100 * MILLISECOND)
    made = Simulated(slow)
    for seen in used(made, monkeypatch):
        seen.pass_seconds(10)
        assert "ms for a quorum's answer" in wrongs()["slow_or_uneven"]


def test_requests_that_only_one_member_has_are_uneven(seen: Simulated) -> None:
    """The gateway and one member are cut off together."""
    seen.pass_seconds(1)
    seen.world.network.part(["r3"], ["r0", "r1", "r2"])
    gateway = seen.cluster.gateways[0]
    for name in ("r0", "r1", "r2"):
        seen.world.network.cut(gateway.name, name)
    seen.ask(120)
    assert re.search(r"r3 has 12\d requests waiting, where 0 are usual\.", wrongs()["slow_or_uneven"])


def test_a_member_that_is_paused_has_an_open_breaker(seen: Simulated) -> None:
    seen.node("r3").pause()
    seen.pass_seconds(15)
    found = wrongs()
    assert found["breaker_open"] == "The circuit breaker of r3 is open: it leaves questions unanswered."
    seen.node("r3").resume()
    seen.pass_seconds(10)
    assert wrongs() == {}


def test_memory_that_a_process_takes_between_the_looks_grows(
    seen: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "resident_bytes", resident_bytes)
    monkeypatch.setattr(findings, "MEMORY_MAX", sys.maxsize)
    held: list[mmap.mmap] = []

    def grow(_seconds: float) -> None:
        held.append(mmap.mmap(-1, resident_bytes()))
        held[0].write(b"x" * len(held[0]))

    monkeypatch.setattr(doctor, "time", SimpleNamespace(sleep=grow))
    assert wrongs()["memory_grows"].startswith("The memory of r0 grew from ")
    monkeypatch.setattr(doctor, "time", SimpleNamespace(sleep=lambda _seconds: None))
    assert wrongs() == {}
    monkeypatch.setattr(findings, "MEMORY_MAX", 1)
    assert wrongs()["memory_grows"].startswith("r0 uses ")
    held[0].close()


def test_a_clock_that_is_ahead_is_named(seen: Simulated) -> None:
    """Less than the drift bound: it votes on."""
    seen.node("r3").clock.skew = 3 * SECOND // 2
    seen.pass_seconds(2)
    assert wrongs() == {"clock_off": "The clock of r3 is 1.5 s ahead."}


def test_r3_a_member_whose_clock_is_set_back_votes_on_and_says_so_after_a_minute(seen: Simulated) -> None:
    seen.node("r3").clock.skew = -3_600 * SECOND
    seen.pass_seconds(2)
    assert wrongs() == {"clock_off": "The clock of r3 is 3600.0 s behind."}
    seen.pass_seconds(65)
    assert wrongs()["clock_off"].startswith("The clock of r3 was set 60 min back, and others do not agree")
    seen.node("r3").clock.skew = 0
    seen.pass_seconds(2)
    assert wrongs() == {}


def test_r3_after_three_clocks_were_an_hour_ahead_log_time_is(seen: Simulated) -> None:
    for skew in (3_600 * SECOND, 0):
        for name in ("r0", "r1", "r2"):
            seen.node(name).clock.skew = skew
        seen.pass_seconds(2)
    found = wrongs()
    judged = "windows of validity are judged by it."
    assert found["log_time_ahead"] == f"Log time is 60 min ahead of this platform's clock; {judged}"
    assert "no_quorum" not in found
