"""`manage.py doctor` has all members judge a run, and names those that judge it otherwise than we do."""

from __future__ import annotations

import json
from contextlib import suppress
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from dtvn.events.asking import Member, MemberJudge, known_states
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits
from dtvn.protocol.genesis import cluster_id
from dtvn.watch import read_report
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.host.support import key_pair
from validators.dashboard import doctor
from validators.dashboard.findings import find
from validators.models import NetworkCut
from validators.network_watch import history
from validators.network_watch.cuts import Cut, Statement
from validators.services.network import informed_gateway

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def said() -> list[str]:
    """What the doctor says is wrong with verdicts."""
    out = StringIO()
    with suppress(SystemExit):
        call_command("doctor", "--json", "--for", "0", stdout=out)
    found = json.loads(out.getvalue())["findings"]
    return [each["wrong"] for each in found if each["trouble"] == "conflicting_verdicts"]


def use_rules(fake: FakeGateway, index: int, limits: Limits) -> None:
    """This member judges by rules of its own."""
    member = Member(cluster_id(fake.genesis), 0, index, key_pair(f"r{index}")[1])
    fake.events.judges[index] = MemberJudge(member, lambda _principal: True, limits)


def test_members_that_judge_alike_are_no_trouble(fake: FakeGateway) -> None:
    before = fake.acknowledged
    assert said() == []
    assert (fake.events.figures().calls, fake.acknowledged, fake.events.live()) == ({"valid": 1}, before, 0)


def test_a_member_with_other_rules_is_named(fake: FakeGateway) -> None:
    use_rules(fake, 2, Limits(owners=2_048))
    assert said() == ["r2 judges events by other rules than this platform."]


def test_a_platform_with_other_rules_than_all_members_hears_of_each(fake: FakeGateway) -> None:
    for index in range(4):
        use_rules(fake, index, Limits(owners=2_048))
    assert said() == [f"r{index} judges events by other rules than this platform." for index in range(4)]


def test_a_member_that_refuses_valid_events_is_named(fake: FakeGateway) -> None:
    falsely(fake, 1)
    assert said() == ["r1 refuses events that are valid by the rules here: A_LIE."]


class Forgetful(RuledRun):
    """Rules of a release that changed the state, and not the version of its rules: steps are not kept."""

    def feed(self, text: bytes) -> str:
        code = super().feed(text)
        self._stream.state.steps.clear()
        return code


def test_a_certified_state_that_differs_from_the_one_here_is_named(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_states, "RuledRun", Forgetful)
    wrong = "The members certify another state of the rules of events than this platform computes."
    assert said() == [wrong]


def test_a_cut_is_named_as_the_platform_names_it(fake: FakeGateway) -> None:
    """By the cut of `/api/v1/cluster`."""
    at = timezone.now().timestamp()
    statement = Statement("r0 does not hear r1", since=at)
    everybody = ("r0", "r1", "r2", "r3")
    cut = Cut((statement,), (everybody,), everybody, (), "All decide.", certain=True, extent=(1, 1))
    history.fill(row := NetworkCut(), cut, at)
    row.save()
    out = StringIO()
    with suppress(SystemExit):
        call_command("doctor", "--for", "0", stdout=out)
    assert (
        "partition_not_healed: Members that run do not hear each other: r0 does not hear r1."
        in out.getvalue()
    )


def test_a_member_that_answers_and_does_not_vote_is_named(fake: FakeGateway) -> None:
    fake.events.changed = lambda index, body: [] if index == 3 else [body]
    judged = doctor.judge_valid_run(informed_gateway())
    status = STATUS | {"pending": 0, "quorum_round_trip_ms": 0.0}
    looks = [read_report(f"r{n}", status, connected=True, heard=0.1) for n in range(4)]
    found = [(each.trouble, each.wrong) for each in find(looks, looks, state=fake.agreement(), judged=judged)]
    assert ("slow_or_uneven", "r3 answers, but gave no vote on events in time.") in found
    assert not [wrong for _trouble, wrong in found if "r2" in wrong]


STATUS = {
    "voting": True,
    "cluster": "c0",
    "peers": ["r0", "r1", "r2", "r3"],
    "sequence": 1,
    "stable": 0,
    "state_root": "",
    "events": {},
    "quorum_round_trip_ms": 0.0,
}
