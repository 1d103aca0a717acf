"""The entry node of a request: healthy members take turns."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.api.ordering import HEARD_WITHIN, LAG_MAX
from tests.api.conftest import Api
from tests.fake_gateway import FakeGateway
from validators.ledger.models import OperationRecord

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

FRONT = LAG_MAX + 1_000


def entries(api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> set[str]:
    """The entry nodes of eight tickets, with members r0.. in the status of `changes`; r3 is healthy."""
    members = [
        msgspec.structs.replace(member, **{"sequence": FRONT} | changes.get(member.id, {}))
        for member in fake.members()
    ]
    monkeypatch.setattr(fake, "members", lambda: tuple(members))
    assert set(api.codes("tickets", *({"ticket_id": f"T-{number}"} for number in range(8)))) == {200}
    return set(OperationRecord.objects.filter(operation="issue").values_list("entry", flat=True))


def test_silent_lagging_and_lost_members_are_skipped(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = entries(
        api,
        fake,
        monkeypatch,
        r0={"heard": HEARD_WITHIN + 0.1},
        r1={"sequence": FRONT - LAG_MAX - 1},
        r2={"connected": False},
    )
    assert found == {"r3"}


def test_a_member_slightly_behind_counts_as_healthy(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = entries(api, fake, monkeypatch, r1={"sequence": FRONT - LAG_MAX}, r2={"heard": None})
    assert found == {"r0", "r1", "r3"}


def test_the_last_report_of_a_lost_member_makes_no_other_member_lag(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = entries(api, fake, monkeypatch, r0={"connected": False, "sequence": 10 * FRONT})
    assert found == {"r1", "r2", "r3"}


def test_a_false_high_sequence_makes_no_member_lag(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = entries(api, fake, monkeypatch, r0={"sequence": 10 * FRONT})
    assert found == {"r0", "r1", "r2", "r3"}


def test_without_a_healthy_member_the_connected_ones_take_turns(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = entries(
        api,
        fake,
        monkeypatch,
        r0={"connected": False},
        r1={"heard": None},
        r2={"heard": None},
        r3={"connected": False},
    )
    assert found == {"r1", "r2"}
