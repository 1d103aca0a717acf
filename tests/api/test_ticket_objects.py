"""What an answer says of tickets whose outcome left them out: they are looked up in the platform's copy."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Issue, Seed
from tests.api.conftest import Api, read
from tickets.rest import objects
from validators.rest.http import OWN_WRITES_WAIT

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """What the copy was waited for."""
    found: list[tuple[int, float]] = []
    monkeypatch.setattr(
        objects, "feed", SimpleNamespace(wait_for=lambda *given: found.append(given) or given[0])
    )
    return found


def test_a_repeated_issue_shows_the_ticket_of_the_copy(api: Api, waited: list[tuple[int, float]]) -> None:
    answer = read(api.post("tickets", {"ticket_id": "T-1", "event": "fest", "seat": "A1"}))["data"]
    repeated = Decision(Request(Issue(), "T-1", "fest"), Result("ok", b"", 7))
    shown = objects.issued(repeated)
    assert (shown["ID"], shown["seat"], waited) == ("T-1", "A1", [(7, OWN_WRITES_WAIT)])
    assert shown.keys() == answer.keys()
    for ticket, event in (("T-2", "fest"), ("T-1", "gala")):
        unknown = Decision(Request(Issue(), ticket, event), Result("ok", b"", 8))
        assert objects.issued(unknown) == {"ID": ticket}


def test_a_repeated_seed_counts_what_its_sequence_made(api: Api, waited: list[tuple[int, float]]) -> None:
    seeded = api.post("tickets/seed", {"event": "fest"})
    sequence = int(seeded.headers["X-DTVN-Sequence"])
    api.post("tickets", {"ticket_id": "later", "event": "fest"})
    first = read(seeded)["data"]
    repeated = Decision(Request(Seed(), "", "fest"), Result("ok", b"", sequence))
    assert objects.seeded(repeated) == first
    assert first["seeded"] == first["unique"] > 1
    assert first["total_seeded"] == first["seeded"] * len(first["nodes"])
    assert [node["seeded"] for node in first["nodes"]] == [first["seeded"]] * 4
    assert waited == [(sequence, OWN_WRITES_WAIT)]
    elsewhere = Decision(Request(Seed(), "", "gala"), Result("ok", b"", sequence))
    assert objects.seeded(elsewhere)["seeded"] == 0
