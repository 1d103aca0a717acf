"""validate-via-node: the platform answers its own refusals, the node answers outcomes."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

PATH = "tickets/validate-via-node"
GOOD = {"ticket_id": "TICKET-001", "node_id": "r2"}


@pytest.mark.parametrize(
    ("body", "status", "phrase"),
    [
        ({"ticket_id": "TICKET-001"}, 400, "node_id is required"),
        ({"node_id": "r2"}, 400, "ticket_id is required"),
        (b"[]", 400, "Invalid request body"),
        ({"ticket_id": "TICKET-001", "node_id": "nope"}, 404, "nope"),
        ({"ticket_id": "TICKET-001", "node_id": "r3"}, 503, "r3"),
    ],
)
def test_c35_the_platforms_own_errors_have_no_envelope(
    api: Api, fake: FakeGateway, body: object, status: int, phrase: str
) -> None:
    fake.down = frozenset({3})
    answer = api.post(PATH, body)
    assert answer.status_code == status
    told = read(answer)
    assert phrase in told["error"]
    assert "success" not in told


def test_c35_decided_outcomes_have_the_nodes_envelope(api: Api) -> None:
    unknown = api.post(PATH, GOOD)
    assert (unknown.status_code, read(unknown)["success"]) == (404, False)
    api.post("tickets/seed")
    assert read(api.post(PATH, GOOD)) == {"success": True, "message": "Ticket validated successfully"}
    again = api.post(PATH, GOOD)
    assert (again.status_code, read(again)["success"]) == (409, False)
    assert "already validated" in read(again)["error"]
