"""From members' reports, second by second, to the cut of now and the last hour."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from django.db import DatabaseError

from dtvn.protocol.durations import SECOND
from tests.network_watch.members import BEGAN, Members
from tests.network_watch.seen import NAMES, between
from tests.waiting import PATIENCE
from validators.network_watch import watch as watching
from validators.network_watch.hearing import State
from validators.network_watch.history import rows
from validators.network_watch.watch import NetworkWatch

START = BEGAN / SECOND
HALVES = between(["venue", "seller"], ["promoter", "auditor"])


@pytest.fixture
def members() -> Members:
    found = Members(NetworkWatch())
    found.pass_seconds(30)
    return found


def test_all_are_heard(members: Members) -> None:
    assert members.watch.cut is None
    assert {members.watch.hearing.state(pair) for pair in members.watch.hearing.pairs()} == {State.HEARD}
    version = members.watch.version
    members.pass_seconds(60)
    assert members.watch.version == version


def test_a_cut_is_seen_within_ten_seconds_and_begins_with_the_last_word(members: Members) -> None:
    members.lose(HALVES)
    members.pass_seconds(3)
    assert members.watch.cut is None, "three Statuses that are lost are no cut"
    members.pass_seconds(7)
    cut = members.watch.cut
    assert cut is not None
    assert cut.what == "venue and seller | promoter and auditor"
    assert cut.since == pytest.approx(START + 30, abs=1.0)
    assert cut.severity in ("high", "critical")
    spans = members.watch.hour.spans(("venue", "promoter"))
    assert [span.state for span in spans] == [State.HEARD, State.SILENT]
    assert spans[1].start == pytest.approx(START + 30, abs=1.0)


def test_a_cut_is_over_once_all_hear_each_other(members: Members) -> None:
    members.lose(HALVES)
    members.pass_seconds(20)
    members.cut.clear()
    members.pass_seconds(2)
    assert members.watch.cut is None
    assert members.watch.hour.spans(("venue", "promoter"))[-1].state is State.HEARD


def test_one_way(members: Members) -> None:
    members.lose([("venue", "promoter")])
    members.pass_seconds(10)
    assert members.watch.cut is not None
    assert [statement.what for statement in members.watch.cut.statements] == ["venue does not hear promoter"]
    assert members.watch.cut.severity == "", "for no member it is a partition"


def test_who_was_silent_before_the_watch_began_is_found_too() -> None:
    members = Members(NetworkWatch())
    members.lose(HALVES)
    members.pass_seconds(20)
    assert members.watch.cut is not None
    assert members.watch.cut.groups == (("venue", "seller"), ("promoter", "auditor"))


def test_without_any_report_what_was_cut_counts_as_cut(members: Members) -> None:
    members.lose(HALVES)
    members.pass_seconds(20)
    members.unseen = set(members.names)
    members.pass_seconds(30)
    assert members.watch.cut is not None
    assert members.watch.hearing.state(("venue", "promoter")) is State.UNKNOWN
    members.unseen.clear()
    members.cut.clear()
    members.pass_seconds(2)
    assert members.watch.cut is None


def test_a_late_report_makes_nobody_silent(members: Members) -> None:
    members.unseen = {"venue"}
    members.pass_seconds(60)
    members.unseen.clear()
    members.pass_seconds(1)
    assert members.watch.cut is None
    assert members.watch.hearing.state(("venue", "promoter")) is State.HEARD


def test_a_report_that_was_under_way_for_long_is_no_news_of_who_is_silent(members: Members) -> None:
    members.lose(HALVES)
    members.pass_seconds(20)
    for delay in (0.5, 2.0, 0.0, 3.5, 5.0):
        members.delay = delay
        members.pass_seconds(1)
        assert members.watch.cut is not None, delay
        assert members.watch.cut.groups == (("venue", "seller"), ("promoter", "auditor"))
    members.cut.clear()
    members.pass_seconds(2)
    assert members.watch.cut is None, "it is over at once"


def test_a_process_that_was_stopped_here_is_no_cut(members: Members) -> None:
    members.lose(between(["venue"], ["promoter", "seller", "auditor"]))
    members.unseen, members.own = {"venue"}, {"venue": False}
    members.pass_seconds(20)
    assert members.watch.cut is None
    assert members.watch.hearing.state(("promoter", "venue")) is State.SILENT
    members.own = {"venue": True}
    members.pass_seconds(1)
    assert members.watch.cut is not None
    assert members.watch.cut.certain
    members.own = {}
    members.pass_seconds(1)
    assert members.watch.cut is not None
    assert not members.watch.cut.certain


def test_a_look_is_taken_once_a_second() -> None:
    looks = []

    class Counted(NetworkWatch):
        def _look(self, now: object) -> None:
            looks.append(now)

    members = Members(NetworkWatch())
    watch = Counted(clock=lambda: members.now)
    watch.refresh()
    watch.refresh()
    members.seconds += 1
    watch.refresh()
    assert len(looks) == 2


def test_who_decided_before_all_froze_is_not_said_to_go_on(members: Members) -> None:
    members.lose(between(["auditor"], NAMES[:3]))
    members.pass_seconds(20)
    assert members.watch.cut is not None
    assert members.watch.cut.decides == NAMES[:3]
    since = members.watch.cut.since
    members.unseen = set(members.names)
    members.pass_seconds(1)
    assert members.watch.cut is not None
    assert (members.watch.cut.decides, members.watch.cut.may_decide) == ((), NAMES[:3])
    assert members.watch.cut.since == since
    members.own = dict.fromkeys(NAMES)
    members.pass_seconds(1)
    assert members.watch.cut.consequence.startswith("Too few members run for a quorum (0 of 4")


@pytest.mark.django_db
def test_members_that_hung_and_go_on_were_not_cut(members: Members) -> None:
    """What they say at first is of the time in which they did not run."""
    members.watch.keeps_history = True
    members.lose((one, other) for one in NAMES for other in NAMES if one != other)
    members.unseen = set(NAMES)
    members.pass_seconds(60)
    members.unseen.clear()
    members.pass_seconds(2)
    assert members.watch.cut is None
    assert members.watch.hearing.state(("venue", "promoter")) is State.UNKNOWN
    members.cut.clear()
    members.pass_seconds(10)
    assert members.watch.hearing.state(("venue", "promoter")) is State.HEARD
    assert rows() == []


def test_members_that_report_again_and_are_still_cut_say_so(members: Members) -> None:
    members.lose(HALVES)
    members.unseen = set(NAMES)
    members.pass_seconds(60)
    members.unseen.clear()
    members.pass_seconds(10)
    assert members.watch.cut is not None
    assert members.watch.cut.what == "venue and seller | promoter and auditor"
    assert members.watch.cut.since == pytest.approx(START + 30, abs=1.0)


class Ended(BaseException):
    """Leaves a loop that never ends."""


@pytest.mark.django_db
def test_the_watch_goes_on_after_an_outage(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = iter((None, DatabaseError("gone"), None, Ended()))

    class Failing(NetworkWatch):
        def refresh(self, interval: float = 1.0) -> None:
            if (error := next(looks)) is not None:
                raise error

    monkeypatch.setattr(
        watching, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _seconds: None)
    )
    with pytest.raises(Ended):
        Failing().run_forever()


def test_one_look_at_a_time() -> None:
    """A page that asks while another thread looks does not wait for it."""
    looks = []

    class Slow(NetworkWatch):
        def _look(self, now: object) -> None:
            looks.append(now)
            self.refresh(0.0)
            if len(looks) == 1:
                raise DatabaseError("gone")

    watch = Slow()
    with pytest.raises(DatabaseError):
        watch.refresh(0.0)
    watch.refresh(0.0)
    assert len(looks) == 2, "one that failed does not hold up the next"


@pytest.mark.parametrize("keeps_history", [True, False])
def test_a_web_process_watches_from_its_start(monkeypatch: pytest.MonkeyPatch, keeps_history: bool) -> None:
    began = threading.Event()

    class Watch(NetworkWatch):
        def run_forever(self) -> None:
            began.set()

    watch = Watch()
    monkeypatch.setattr(watching, "watch", watch)
    watching.keep_watching(keeps_history=keeps_history)
    assert began.wait(PATIENCE)
    assert watch.keeps_history is keeps_history
