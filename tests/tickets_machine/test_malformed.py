"""Every rule that a command can break by itself. The builder is told which, and no log executes it."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from dtvn.machine import (
    AddPrincipal,
    Admit,
    Annul,
    ChangeTicket,
    Command,
    CommandError,
    EventList,
    Force,
    Issue,
    Reconfigure,
    SetEvent,
    Validate,
)
from dtvn.machine.commands import check
from dtvn.machine.kinds import EVENTLESS, KIND_OF, TICKETLESS
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.consensus.messages import Outcome
from dtvn.protocol.genesis import Grant
from tests.tickets_machine.support import Machine, public
from tests.tickets_machine.test_membership import newcomer

ONE, TWO = bytes(range(32)), bytes(range(1, 33))
COMMANDS: list[tuple[Command, str]] = [
    (Issue(commitment=ONE[:31]), "commitment: 32 bytes or none"),
    (Issue(not_before=2, not_after=1), "not_after: lies before not_before"),
    (Issue(metadata=(("b", ""), ("a", ""))), "metadata: keys must ascend, each once"),
    (Issue(metadata=(("a", ""), ("a", "x"))), "metadata: keys must ascend, each once"),
    (Issue(metadata=(("a\x00", ""),)), "metadata: holds a control character"),
    (Issue(metadata=(("a", "x\n"),)), "metadata: holds a control character"),
    (Issue(codes=(ONE, TWO, ONE)), "codes: one is given twice"),
    (Issue(block_reason="stolen"), "block_reason: of a ticket that is not blocked"),
    (ChangeTicket(), "product, seat, not_before or not_after: one must be given"),
    (Admit(list="vip"), "code: none, which no list and no exit goes with"),
    (Admit(kind="exit"), "code: none, which no list and no exit goes with"),
    (Admit(code=ONE[:31]), "code: 32 bytes or none"),
    (Admit(code=ONE, list="main"), "list: main is left out"),
    (Admit(gate="a\x7f"), "gate: holds a control character"),
    (Annul(code=ONE[:31]), "code: 32 bytes or none"),
    (Annul(list="main"), "list: main is left out"),
    (Annul(supervised=True), "reason: needed for what is supervised"),
    (Force(), "reason: needed"),
    (Force(reason="why", list="main"), "list: main is left out"),
    (SetEvent(products=(("b", True), ("a", True))), "products: names must ascend, each once"),
    (SetEvent(products=(("a", True), ("a", False))), "products: names must ascend, each once"),
    (SetEvent(products=(("a\x01", True),)), "products: holds a control character"),
    (SetEvent(others_stay=True), "others_stay: of products that are not given"),
    (SetEvent(lists=(EventList("b"), EventList("a"))), "lists: slugs must ascend, each once"),
    (SetEvent(lists=(EventList("a"), EventList("a"))), "lists: slugs must ascend, each once"),
    (SetEvent(lists=(EventList("a", "x\t"),)), "lists: a: holds a control character"),
    (SetEvent(lists=(EventList("a", products=("x\t",)),)), "lists: a: holds a control character"),
    (SetEvent(lists=(EventList("a", products=("y", "x")),)), "lists: a: products must ascend, each once"),
    (
        SetEvent(lists=(EventList("a", not_before=2, not_after=1),)),
        "lists: a: not_after lies before not_before",
    ),
    (
        SetEvent(lists=(EventList("a", rule="times"),)),
        "lists: a: times is for the rule times, and needed there",
    ),
    (SetEvent(lists=(EventList("a", times=2),)), "lists: a: times is for the rule times, and needed there"),
    (SetEvent(lists=(EventList("a", offsets=((0, 60),)),)), "lists: a: offsets are for the rule daily"),
    (
        SetEvent(lists=(EventList("a", rule="daily", offsets=((9, 60), (9, 0))),)),
        "lists: a: offsets must ascend by time",
    ),
    (AddPrincipal("b", bytes(32)), "public_key: these 32 bytes are not an Ed25519 key"),
    (AddPrincipal("b", public("b"), (Grant("*", "rule"),)), "grants: 'rule' is not one of "),
    (
        AddPrincipal("b", public("b"), (Grant("a b", "gate"),)),
        "grants: 'a b' is neither an event nor * for all",
    ),
    (
        AddPrincipal("b", public("b"), (Grant("b", "gate"), Grant("a", "gate"))),
        "grants: must ascend by event and capability, each once",
    ),
    (
        Reconfigure(Change(0, joins=(replace(newcomer(9), id="nine!"),))),
        "change: a member's id has 1 to 64 characters of A-Z a-z 0-9 . _ -",
    ),
    (
        Reconfigure(Change(0, joins=(replace(newcomer(9), public_key=bytes(32)),))),
        "change: the newcomer's key is not an Ed25519 key of 32 bytes",
    ),
    (
        Reconfigure(Change(0, joins=(replace(newcomer(9), port=0),))),
        "change: the newcomer's address cannot be dialled",
    ),
    (
        Reconfigure(Change(0, joins=(replace(newcomer(9), port=65_536),))),
        "change: the newcomer's address cannot be dialled",
    ),
]
TICKET = "ticket: 1 to 128 characters of A-Z a-z 0-9 . _ : -, a letter or digit first"
EVENT = "event: 1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter or digit first"
ACTOR = "actor: at most 128 characters without control characters"
FIELDS: list[tuple[dict[str, object], str]] = [
    ({"kind": "lend"}, "kind: 'lend' is not one of "),
    ({"ticket": ""}, TICKET),
    ({"ticket": "-1"}, TICKET),
    ({"ticket": "x" * 129}, TICKET),
    ({"event": ""}, EVENT),
    ({"event": "x" * 65}, EVENT),
    ({"event": "a b"}, EVENT),
    ({"actor": "x" * 129}, ACTOR),
    ({"actor": "anna\n"}, ACTOR),
    ({"nonce": bytes(65)}, "nonce: at most 64 bytes"),
]


@pytest.fixture
def machine() -> Machine:
    made = Machine()
    made.session()
    return made


@pytest.mark.parametrize(("command", "why"), COMMANDS)
def test_a_command_that_breaks_a_rule_is_told_which_and_never_executed(
    machine: Machine, command: Command, why: str
) -> None:
    kind = KIND_OF[type(command)]
    bad = replace(
        machine.operation(Validate(), "T-1"),
        kind=kind,
        ticket="" if kind in TICKETLESS else "T-1",
        payload=canonical.encode_trimmed(command),
        event="" if kind in EVENTLESS else "default",
    )
    with pytest.raises(CommandError, match=f"^{re.escape(why)}"):
        check(bad)
    assert machine.order(bad) == [Outcome("malformed", b"", ())]
    assert machine.show("T-1") is None


@pytest.mark.parametrize(("fields", "why"), FIELDS)
def test_an_operation_that_breaks_a_rule_is_told_which_and_never_executed(
    machine: Machine, fields: dict[str, object], why: str
) -> None:
    bad = replace(machine.operation(Validate(), "T-1"), **fields)
    with pytest.raises(CommandError, match=f"^{re.escape(why)}"):
        check(bad)
    assert machine.order(bad) == [Outcome("malformed", b"", ())]
    assert machine.show("T-1") is None
