"""Two votes of a member on one question, which this platform's gateway found: stored once, and shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from dtvn.gateway import VoteEvidenceFile
from dtvn.proof import read_chain, unwrap
from dtvn.proof.evidence import convict
from dtvn.protocol import genesis as g
from events.services.run_table import run_table
from tests.api.conftest import Api
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.proof.test_evidence import PAPER
from tests.proof.test_evidence_of_votes import two_votes
from tests.runs.test_rest import GOOD, sequence, texts
from tests.waiting import PATIENCE
from validators.models import MemberEvidence
from validators.services import evidence, network

pytestmark = pytest.mark.django_db(databases=["default", "learner"])
LIST = "/admin/validators/memberevidence/"


@pytest.fixture
def paper() -> Iterator[None]:
    network.use(FakeGateway(PAPER.genesis, principal="gateway"))
    yield
    network.use(None)


def test_the_doctor_names_conflicting_verdicts_with_their_remedy(api: Api, fake: FakeGateway) -> None:
    falsely(fake, 1, also_honest=True)
    sequence(api, GOOD)
    run_table.sweep()
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", "--for", "0", stdout=out)
    wrong = "conflicting_verdicts: r1 signed statements that contradict each other: 1 proved."
    assert f"{wrong}\n  Download the evidence" in out.getvalue()


def test_a_double_vote_is_stored_at_once(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_table._found.clear()  # by tests before
    monkeypatch.setattr("events.services.run_table.WRITE_INTERVAL", PATIENCE)
    sequence(api, GOOD, thread="t", run="honest")
    assert not run_table._found.is_set()
    falsely(fake, 1, also_honest=True)
    sequence(api, GOOD, thread="t", run="r")
    begun = time.monotonic()
    run_table.await_due()
    assert time.monotonic() - begun < PATIENCE
    run_table.sweep()
    assert MemberEvidence.objects.get().name == "r1"
    assert not run_table._found.is_set()


def test_the_admin_shows_both_votes_and_a_file_that_convicts(api: Api, fake: FakeGateway) -> None:
    falsely(fake, 1, also_honest=True)
    sequence(api, GOOD)
    User.objects.create_superuser("ada", password="x")
    admin = Client()
    admin.login(username="ada", password="x")
    page = admin.get(LIST).content.decode()
    row = MemberEvidence.objects.get()
    assert row.place in page
    detail = admin.get(f"{LIST}{row.pk}/change/").content.decode()
    assert detail.count("<caption>Vote</caption>") == 2
    assert detail.count("event 0: A_LIE") == 1
    file = admin.get(f"{LIST}{row.pk}/file/").content
    found = convict(unwrap("evidence", file), read_chain(g.encode(fake.genesis)))
    assert (found.name, found.where) == ("r1", row.place)


def test_a_double_vote_names_the_event_by_its_place_in_the_run(api: Api, fake: FakeGateway) -> None:
    api.post("events/validate", texts(GOOD[:3], thread="t", run="r"))
    falsely(fake, 1, also_honest=True)
    api.post("events/validate", texts(GOOD[3:], thread="t", run="r", end=True))
    run_table.sweep()
    votes = evidence.statements(bytes(MemberEvidence.objects.get().content))
    assert [kind for kind, _fields in votes] == ["Vote", "Vote"]
    assert {dict(fields)["errors"] for _kind, fields in votes} == {"none", "event 3: A_LIE"}
    assert {dict(fields)["position"] for _kind, fields in votes} == {"3"}


def test_rest_shows_double_votes_and_a_file_that_convicts(api: Api, fake: FakeGateway) -> None:
    assert api.get("evidence").json()["data"] == []
    falsely(fake, 1, also_honest=True)
    sequence(api, GOOD, thread="t", run="r")
    run_table.sweep()
    (shown,) = api.get("evidence").json()["data"]
    assert (shown["code"], shown["name"], shown["epoch"], shown["member"]) == ("event_vote", "r1", 0, 1)
    file = api.get(f"evidence/{shown['id']}").content
    found = convict(unwrap("evidence", file), read_chain(g.encode(fake.genesis)))
    assert (found.name, found.where) == ("r1", shown["place"])
    for number in (shown["id"] + 1, 2**63):
        answer = api.get(f"evidence/{number}")
        assert (answer.status_code, answer.json()["code"]) == (404, "evidence_not_found")


def test_rest_lists_evidence_in_pages(api: Api) -> None:
    for place in "abc":
        MemberEvidence.objects.create(
            code="event_vote", epoch=0, member=1, name="r1", place=place, content=b"", reported_by="gateway"
        )
    first = api.get("evidence?limit=2")
    newest = first.json()["data"]
    assert [each["place"] for each in newest] == ["c", "b"]
    assert first.headers["X-Total-Count"] == "3"
    assert f"after={newest[-1]['id']}" in first.headers["Link"]
    last = api.get(f"evidence?limit=2&after={newest[-1]['id']}")
    assert [each["place"] for each in last.json()["data"]] == ["a"]
    assert "Link" not in last.headers


def test_double_votes_are_bounded_and_one_for_each_question(
    paper: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "PER_MEMBER_MAX", 3)
    pieces = [VoteEvidenceFile("r2", 0, two_votes(position)) for position in (1, 1, 2, 3, 4)]
    assert evidence.keep_double_votes(pieces) == 3
    assert evidence.keep_double_votes(pieces) == 0
    assert evidence.keep_double_votes([VoteEvidenceFile("r2", 0, pieces[0].data[:-1] + b"\0")]) == 0
