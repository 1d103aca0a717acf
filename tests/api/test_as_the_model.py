"""What REST answers to drawn operations is what the model of simulator answers (R13, R40 to R42)."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtvn.machine import (
    Admit,
    Annul,
    Block,
    ChangeTicket,
    Consume,
    Dispute,
    EventList,
    Force,
    ImportEntry,
    Issue,
    Replace,
    Resolve,
    SetEvent,
    Unblock,
    Validate,
)
from dtvn.machine.kinds import KIND_OF, KINDS
from simulator.checkers.log_model import LogModel, Request
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from tests.team_keys import store_key
from tests.tickets_machine.modelled import STATES

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

EVERYTHING = frozenset({"issue", "operate", "gate", "admin", "supervise", "lock"})
CODE = st.sampled_from([b"A", b"A", b"B", b"T-1"])
CODES = st.sampled_from([(), (b"A",), (b"B",), (b"A", b"B")])
"""That reads as the id of no ticket: the platform refuses such a code before the log sees it."""
DEVICES = st.sampled_from(["", "d1", "d2"])
GATES = st.sampled_from(["", "north"])
SLUGS = st.sampled_from(["", "vip", "bar"])
NONCES = st.sampled_from(["", "", "n1", "n2"])
PRODUCTS = st.sampled_from(["", "Stalls"])
KINDS_OF_SCAN = st.sampled_from(["entry", "entry", "exit"])
COMMANDS = st.one_of(
    st.builds(Issue, product=PRODUCTS, codes=CODES, entries=st.integers(1, 2)),
    st.builds(Admit, GATES, DEVICES, CODE | st.just(b""), SLUGS, KINDS_OF_SCAN),
    st.builds(Admit, GATES, DEVICES, CODE, SLUGS, KINDS_OF_SCAN),
    st.builds(Annul, GATES, DEVICES, CODE, SLUGS, st.just("why"), st.booleans(), NONCES.map(str.encode)),
    st.builds(Force, GATES, DEVICES, CODE, SLUGS, st.just("why")),
    st.builds(Consume, GATES, DEVICES),
    st.builds(ImportEntry, st.just(0), GATES, DEVICES),
    st.builds(Dispute, st.sampled_from(["", "why"])),
    st.builds(Resolve, st.sampled_from(["clear", "uphold"])),
    st.builds(Replace, CODES.filter(bool)),
    st.builds(ChangeTicket, product=PRODUCTS),
    st.sampled_from([Validate(), Block(), Unblock()]),
)
VIP = st.builds(
    EventList,
    st.just("vip"),
    rule=st.sampled_from(["once", "daily", "free"]),
    returns=st.booleans(),
    exit_first=st.booleans(),
    capacity=st.integers(0, 2),
)
TICKETS = st.sampled_from(["T-1", "T-2"])
STEPS = st.lists(st.tuples(COMMANDS, TICKETS, st.sampled_from(["one", "two"]), NONCES), max_size=20)
numbers = itertools.count()


def body_of(command: Any, ticket: str, event: str, nonce: str) -> dict[str, Any]:
    """The same operation as a client of REST says it."""
    said = msgspec.structs.asdict(command)
    body: dict[str, Any] = {"event": event} | ({"nonce": nonce} if nonce else {})
    code = said.pop("code", None) or b""
    body |= {"barcode": code.decode()} if code else {"ticket_id": ticket}
    if codes := said.pop("codes", ()):
        body["barcodes"] = [code.decode() for code in codes]
    if movement := said.pop("movement", b""):
        body["movement"] = movement.decode()
    kept = {name: value for name, value in said.items() if value not in (None, b"", (), 0, "", False)}
    return body | kept | ({"product": command.product} if isinstance(command, ChangeTicket) else {})


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vip=VIP, ids=st.booleans(), first=st.integers(1, 2), steps=STEPS)
def test_r41_r42_rest_answers_as_the_model(
    api: Api, fake: FakeGateway, vip: EventList, ids: bool, first: int, steps: list[Any]
) -> None:
    if next(numbers) == 0:
        for label in ("one", "two"):
            store_key(f"dtvn_test_key_{label}", label=label)
    event, clients = f"fest-{next(numbers)}", {each: Api(f"dtvn_test_key_{each}") for each in ("one", "two")}
    model = LogModel({"gateway": EVERYTHING})
    listed = msgspec.structs.asdict(vip)
    shown = {name: listed[name] for name in ("rule", "returns", "exit_first", "capacity")} | {"list": "vip"}
    answer = api.call("PUT", f"events/{event}", {"lists": [shown], "ids_are_codes": ids})
    assert answer.status_code == 200
    model.ask(Request("set_event", SetEvent(lists=(vip,), ids_are_codes=ids), "gateway", "", event))
    issue = (Issue(codes=(b"A",), entries=first), "T-1", "one", "")
    for command, ticket, actor, nonce in [issue, *steps]:
        nonce = nonce and f"{event}-{nonce}"
        if getattr(command, "movement", b""):
            command = msgspec.structs.replace(
                command, movement=f"{event}-{command.movement.decode()}".encode()
            )
        kind = KIND_OF[type(command)]
        response = clients[actor].post(KINDS[kind].path, body_of(command, ticket, event, nonce))
        found = "ok" if response.status_code == 200 else read(response)["code"]
        named = getattr(command, "code", b"").decode() or ticket
        now = fake.log_time
        asked = Request(
            kind, command, "gateway", actor, event, named, nonce.encode(), now, now, named.encode()
        )
        assert found == model.ask(asked)[0], (command, read(response))
    for name, ticket in model.event(event).tickets:
        state = read(api.get(f"tickets/{name}?event={event}"))["data"]["State"]
        assert state == STATES[ticket.state].replace("UPHELD", "DISPUTED")
