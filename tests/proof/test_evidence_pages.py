"""Evidence in the admin: collected from nodes that may lie, both statements side by side, a file to keep."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dtvn.gateway import Answered
from dtvn.proof import read_chain, unwrap
from dtvn.proof.evidence import convict
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from tests.fake_gateway import FakeGateway
from tests.host.support import Paper
from tests.proof.test_evidence import pairs
from tests.team_keys import join
from validators.models import MemberEvidence
from validators.services import evidence, network

pytestmark = pytest.mark.django_db(databases=["default", "learner"])
PAPER = Paper()
LIST = "/admin/validators/memberevidence/"


class Witnesses(FakeGateway):
    """Members with things to tell; `told` is what each of them answers to `evidence`."""

    def __init__(self) -> None:
        super().__init__(PAPER.genesis, principal="gateway")
        self.told: dict[int, list[dict[str, Any]]] = {}
        self.raw: dict[int, str] = {}

    def query(
        self, member: int, what: str, arguments: Sequence[str] = (), *, wait: float = 2.0
    ) -> Future[Answered]:
        if what != "evidence":
            return super().query(member, what, arguments, wait=wait)
        rows = [row for row in self.told.get(member, []) if row["id"] > int(arguments[0])][:2]
        future: Future[Answered] = Future()
        future.set_result(
            Answered(0, "", self.raw.get(member, json.dumps({"node_id": "x", "evidence": rows})))
        )
        return future

    def _status(self, member: int) -> dict[str, Any]:
        refused = (
            {"r3": {"bad_signature": 4, "old_view": 90}, "r1": {"never_heard_of": 1}}
            if member == 0
            else "junk"
        )
        return {**super()._status(member), "refused": refused}

    def tell(self, member: int, code: str, *messages: Any) -> None:
        rows = self.told.setdefault(member, [])
        frames = [base64.b64encode(PAPER.sign(message)).decode() for message in messages]
        rows.append({"id": len(rows) + 1, "code": code, "frames": frames})


@pytest.fixture
def witnesses() -> Iterator[Witnesses]:
    made = Witnesses()
    network.use(made)
    yield made
    network.use(None)


@pytest.fixture
def admin(witnesses: Witnesses) -> Client:
    User.objects.create_superuser("ada", password="x")
    client = Client()
    client.login(username="ada", password="x")
    return client


def test_p22_reported_evidence_is_verified_stored_once_and_shown(admin: Client, witnesses: Witnesses) -> None:
    for member in (0, 2):
        for code, messages in pairs().items():
            witnesses.tell(member, code, *messages)
    page = admin.get(LIST).content.decode()
    assert MemberEvidence.objects.count() == len(pairs())
    row = MemberEvidence.objects.get(code="commit")
    assert (row.name, row.place, row.reported_by) == ("r1", "view 3, sequence 7", "r0")
    assert "view 3, sequence 7" in page
    detail = admin.get(f"{LIST}{row.pk}/change/").content.decode()
    assert detail.count("<caption>Commit</caption>") == 2
    assert "01" * 32 in detail
    assert "02" * 32 in detail
    file = admin.get(f"{LIST}{row.pk}/file/")
    assert file.headers["Content-Disposition"] == f'attachment; filename="evidence-{row.pk}.json"'
    chain = read_chain(g.encode(PAPER.genesis))
    assert convict(unwrap("evidence", file.content), chain).name == "r1"


def test_p3_a_lying_witness_convicts_no_member(admin: Client, witnesses: Witnesses) -> None:
    one = pairs()["commit"][0]
    witnesses.tell(0, "commit", one, one)
    witnesses.tell(0, "commit", m.Commit(0, 1, 0, 1, bytes(32)))
    witnesses.tell(0, "no_such_code", *pairs()["commit"])
    witnesses.told[0].append({"id": 9, "code": "commit", "frames": ["?", "!"]})
    witnesses.raw = {1: "no json", 2: '{"evidence": 7}', 3: "[" * 50_000}
    assert admin.get(LIST).status_code == 200
    assert not MemberEvidence.objects.exists()


def test_p15_one_liar_cannot_fill_the_platform_with_its_crimes(
    witnesses: Witnesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "PER_MEMBER_MAX", 3)
    for sequence in range(1, 8):
        witnesses.tell(0, "commit", *(m.Commit(0, 3, 0, sequence, bytes([d]) * 32) for d in (1, 2)))
    assert evidence.collect_evidence() == 3
    assert evidence.collect_evidence() == 0
    monkeypatch.setattr(evidence, "CONTENT_BYTES_MAX", 10)
    witnesses.tell(0, "prepare", *pairs()["prepare"])
    assert evidence.collect_evidence() == 0


def test_p15_evidence_on_a_removed_member_leaves_room_for_its_successors(
    witnesses: Witnesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index names another member in another epoch; above the total bound, the first of each stay."""
    monkeypatch.setattr(evidence, "PER_MEMBER_MAX", 4)
    for sequence in range(4):
        MemberEvidence.objects.create(
            code="commit",
            epoch=7,
            member=3,
            name="gone",
            place=f"view 0, sequence {sequence}",
            content=b"old",
        )
    for sequence in range(1, 4):
        witnesses.tell(0, "commit", *(m.Commit(0, 3, 0, sequence, bytes([d]) * 32) for d in (1, 2)))
    monkeypatch.setattr(evidence, "PIECES_MAX", 5)
    monkeypatch.setattr(evidence, "AT_LEAST", 2)
    assert evidence.collect_evidence() == 2
    assert MemberEvidence.objects.filter(epoch=0, member=3).count() == 2


def test_the_list_of_evidence_is_shown_while_no_node_answers(admin: Client, witnesses: Witnesses) -> None:
    witnesses.quorum = False
    assert admin.get(LIST).status_code == 200


def test_evidence_is_read_only_and_needs_the_view_permission(admin: Client, witnesses: Witnesses) -> None:
    witnesses.tell(0, "commit", *pairs()["commit"])
    evidence.collect_evidence()
    row = MemberEvidence.objects.get()
    assert admin.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin.post(f"{LIST}add/", {}).status_code == 403
    other = User.objects.create_user("eve", password="x", is_staff=True)
    client = Client()
    client.login(username="eve", password="x")
    assert client.get(f"{LIST}{row.pk}/file/").status_code == 403
    join(other, "auditor")
    assert client.get(f"{LIST}{row.pk}/file/").status_code == 200
