"""Where ids are codes, one text opens one ticket, and no code is sent as an id."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connections

from dtvn.protocol.consensus.messages import Operation
from tests.api.conftest import Api, read
from tests.api.test_admission import admit, gate_key, shown
from tests.fake_gateway import FakeGateway
from tickets.models import TicketCode
from tickets.services import patience

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def test_where_ids_are_codes_a_gate_admits_no_ticket_with_codes_by_its_id(api: Api) -> None:
    """Else a code that was replaced would still open as an id."""
    gate = gate_key("gate", "gate")
    api.post("tickets", {"ticket_id": "A1", "event": "old", "barcodes": ["A1"]})
    api.post("tickets", {"ticket_id": "A2", "event": "old"})
    api.post("tickets/replace", {"ticket_id": "A1", "event": "old", "barcodes": ["new"]})
    assert admit(gate, "A1", event="old")[1]["code"] == "revoked"
    by_id = [gate.post("tickets/admit", {"ticket_id": name, "event": "old"}) for name in ("A1", "A2")]
    assert [answer.status_code for answer in by_id] == [403, 200]
    assert shown(read(by_id[0]), "code", "whose") == ["not_permitted", "gate"]


def test_a_ticket_with_codes_is_neither_found_nor_hinted_at_by_its_id(api: Api) -> None:
    """No gate admits it so: a rehearsal that asks `find` would foretell an entry that is refused."""
    api.post("tickets", {"ticket_id": "ZY-1", "event": "old"})
    api.post("tickets", {"ticket_id": "ZY-2", "event": "old", "barcodes": ["C9"]})
    asked = [{"event": "old", "barcode": text} for text in ("ZY-1", "ZY-2", "C9")]
    found = [api.post("tickets/find", each) for each in asked]
    assert [answer.status_code for answer in found] == [200, 404, 200]
    assert [admit(api, each["barcode"], event="old")[0] for each in asked] == [200, 404, 200]
    hints = [admit(api, text, event="old")[1] for text in ("zy-1", "zy-2", "YZ-1", "YZ-2")]
    assert [sorted(each.keys() & {"hint", "keyboard"}) for each in hints] == [
        ["hint"],
        [],
        ["hint", "keyboard"],
        [],
    ]


def test_where_ids_are_codes_the_id_of_another_ticket_is_taken(api: Api, fake: FakeGateway) -> None:
    """The same text would open twice. The log can tell it of an id, not of a code."""
    issue = {"op": "issue", "event": "old"}
    assert api.post("tickets", {"ticket_id": "A1", "event": "old"}).status_code == 200
    twin = {"ticket_id": "B1", "event": "old", "barcodes": [" A1 "], "nonce": "n"}
    refused = api.post("tickets", twin)
    assert (refused.status_code, read(refused)["code"]) == (409, "barcode_taken")
    assert (fake.application.ticket("old", "B1"), TicketCode.objects.count()) == (None, 0)
    items = [
        issue | {"ticket_id": "B2"},
        issue | {"ticket_id": "B3", "barcodes": ["B2"]},
        issue | {"ticket_id": "B4", "barcodes": ["B4", "C4"]},
        {"op": "replace", "event": "old", "ticket_id": "B2", "barcodes": ["A1"]},
        {"op": "issue", "event": "default", "ticket_id": "B5", "barcodes": ["A1"]},
    ]
    results = read(api.post("tickets/batch", {"operations": items}))["data"]["results"]
    assert [result["status"] for result in results] == [200, 409, 200, 409, 200]
    assert api.call("PUT", "events/fest", {}).status_code == 200
    items = [
        issue | {"event": "fest", "ticket_id": "A"},
        issue | {"event": "fest", "ticket_id": "B", "barcodes": ["A"]},
    ]
    results = read(api.post("tickets/batch", {"operations": items}))["data"]["results"]
    assert [result["status"] for result in results] == [200, 200], "no scanned text is compared with ids"
    first = {"ticket_id": "B6", "event": "old", "barcodes": ["A6"], "nonce": "n6"}
    assert api.post("tickets", first).status_code == 200
    assert read(api.post("tickets", {"ticket_id": "A6", "event": "old"}))["code"] == "barcode_taken"
    assert api.post("tickets", first).status_code == 200, "a repetition gets the first answer"


def test_a_code_is_not_sent_as_an_id_while_the_copy_is_away(
    api: Api, fake: FakeGateway, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event without a row has no codes, and goes on."""

    def away(*_given: Any, **_named: Any) -> Any:
        raise OperationalError("the server closed the connection")

    api.post("tickets", {"ticket_id": "A1", "event": "old", "barcodes": ["SECRET"]})
    api.post("tickets", {"ticket_id": "A1", "event": "plain"})
    assert admit(api, "nobody's", event="old")[0] == admit(api, "nobody's", event="plain")[0] == 404
    sent: list[Operation] = []
    submit = fake.submit
    monkeypatch.setattr(
        fake, "submit", lambda given, **options: (sent.extend(given), submit(given, **options))[1]
    )
    monkeypatch.setattr(patience, "copy", patience.Patience())
    with monkeypatch.context() as outage:
        outage.setattr(connections["learner"], "cursor", away)
        status, answer = admit(api, "SECRET", event="old")
        assert (status, *shown(answer, "outcome", "whose")) == (503, "unknown", "network")
        assert not sent
        tables.lagging = True
        assert admit(api, "A1", event="plain")[0] == 200
    tables.catch_up()
    monkeypatch.setattr(patience, "copy", patience.Patience())
    assert admit(api, "SECRET", event="old")[1]["outcome"] == "admitted"
