"""The states of a ticket: every action in every state, and every reason code."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.machine import (
    CAPABILITY,
    REASONS,
    TRANSITIONS,
    Acquire,
    AddPrincipal,
    Admit,
    Barrier,
    Block,
    CancelLock,
    ChangeTicket,
    Command,
    Consume,
    Dispute,
    EventList,
    Force,
    GrantPrincipal,
    GrantStatement,
    Issue,
    LimitPrincipal,
    Lock,
    OpenSession,
    Reconfigure,
    Release,
    Renew,
    Replace,
    Resolve,
    RevokePrincipal,
    RotatePrincipal,
    Seed,
    SetEvent,
    State,
    Unblock,
    Unlock,
    Validate,
    reasons,
)
from dtvn.machine.commands import check
from dtvn.machine.contract import EVENT_TYPES, STATE_AFTER
from dtvn.machine.kinds import KINDS, NAMING, OPERATIONS, TICKETLESS, about
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.genesis import Grant, Member, Parameters
from simulator import workload
from simulator.checkers.ticket_model import ANSWERS
from tests.tickets_machine.doors import Door
from tests.tickets_machine.lists import annul, door_with, scan
from tests.tickets_machine.recording import Recorder
from tests.tickets_machine.support import HOUR, MINUTE, START, Machine, genesis, public, shown
from tests.tickets_machine.test_locks import LOCKERS

ROADS: dict[State, tuple[Command, ...]] = {
    State.ISSUED: (),
    State.VALIDATED: (Validate(),),
    State.CONSUMED: (Validate(), Consume(gate="north", device="d1")),
    State.DISPUTED: (Validate(), Dispute(reason="copied")),
    State.UPHELD: (Validate(), Dispute(reason="copied"), Resolve(verdict="uphold")),
}
"""How a new ticket gets into each state."""


def ticket_in(state: State) -> Machine:
    machine = Machine()
    assert machine.do(Issue(product="Standing"), "T-1") == "ok"
    for command in ROADS[state]:
        assert machine.do(command, "T-1") == "ok"
    assert machine.state("T-1") == state.name
    return machine


def test_spec_7_only_the_transitions_of_the_contract_exist() -> None:
    arrows = {
        (action, state.name, target.name)
        for action, row in TRANSITIONS.items()
        for state, target in row.items()
        if isinstance(target, State)
    }
    assert arrows == {
        ("validate", "ISSUED", "VALIDATED"),
        ("consume", "VALIDATED", "CONSUMED"),
        ("admit", "ISSUED", "CONSUMED"),
        ("admit", "VALIDATED", "CONSUMED"),
        ("import_entry", "ISSUED", "CONSUMED"),
        ("import_entry", "VALIDATED", "CONSUMED"),
        ("dispute", "VALIDATED", "DISPUTED"),
        ("clear", "DISPUTED", "VALIDATED"),
        ("uphold", "DISPUTED", "UPHELD"),
    }


def test_every_action_of_the_table_needs_a_capability() -> None:
    kinds = {"resolve" if action in ("clear", "uphold") else action for action in TRANSITIONS}
    assert kinds | {
        "issue",
        "set_event",
        "block",
        "unblock",
        "replace",
        "change",
        "annul",
        "force",
        "seed",
        "reconfigure",
        "record",
        *about("lock"),
        *about("principals") - {"grant"},
    } == set(CAPABILITY)


def test_a_second_admission_gets_time_and_place_of_the_first() -> None:
    machine = ticket_in(State.ISSUED)
    machine.do(Admit(gate="north", device="d1"), "T-1", actor="gina")
    when = machine.now
    (outcome,) = machine.order(machine.operation(Admit(gate="south", device="d9"), "T-1"))
    assert outcome.code == "already_consumed"
    state = shown(outcome)
    assert (state.gate, state.device, state.actor, state.timestamp) == (
        "north",
        "d1",
        "gina",
        when,
    )


def test_the_validator_stays_the_entry_node_of_the_validation() -> None:
    """Spec 1.3: ValidatorID = entry node of the validating operation; consume and dispute keep it."""
    machine = Machine()
    machine.do(Issue(), "T-1", entry="node1")
    assert shown_validator(machine) == ""
    machine.do(Validate(), "T-1", entry="node2")
    machine.do(Consume(), "T-1", entry="node3")
    assert shown_validator(machine) == "node2"


def shown_validator(machine: Machine) -> str:
    state = machine.show("T-1")
    assert state is not None
    return state.validator


def test_the_vector_clock_counts_applied_operations_by_entry_node() -> None:
    """Spec 1.3: it rises by 1 per applied operation of that entry node; a ticket keeps its copy."""
    machine = Machine()
    machine.do(Issue(), "T-1", entry="node0")
    machine.do(Issue(), "T-2", entry="node1")
    machine.do(Validate(), "T-1", entry="node1")
    machine.do(Validate(), "T-1", entry="node1")  # refused: counts for nothing
    machine.do(Barrier())
    machine.do(Validate(), "T-2", entry="node3")
    clocks = [state.clock for name in ("T-1", "T-2") if (state := machine.show(name))]
    assert clocks == [(1, 2, 0, 0), (1, 2, 0, 1)]


def test_a_cleared_dispute_leaves_no_note_and_an_upheld_one_keeps_it() -> None:
    machine = ticket_in(State.DISPUTED)
    machine.do(Resolve(verdict="clear"), "T-1")
    state = machine.show("T-1")
    assert state is not None
    assert (state.state, state.note) == (State.VALIDATED, "")
    state = ticket_in(State.UPHELD).show("T-1")
    assert state is not None
    assert state.note == "copied"


def test_issued_data_is_never_overwritten_by_a_validation() -> None:
    """Spec 1.4."""
    machine = Machine()
    machine.do(Issue(data=b"issued"), "T-1")
    machine.do(Validate(data=b"other"), "T-1")
    machine.save()
    assert machine.rows[("ticket", ("default", "T-1"))].row.data == b"issued"


def admit_within(*, not_before: int = 0, not_after: int = 0) -> str:
    machine = Machine()
    assert machine.do(Issue(not_before=not_before, not_after=not_after), "T-1") == "ok"
    return machine.do(Admit(), "T-1")


# --- Every reason ------------------------------------------------------------------------------------


def nonce_reused() -> str:
    machine = ticket_in(State.ISSUED)
    machine.do(Validate(), "T-1", nonce=b"n")
    return machine.do(Validate(data=b"x"), "T-1", nonce=b"n")


def busy() -> str:
    machine = Machine(genesis(nonces_max=100))
    for number in range(99):  # the session's own nonce is the first
        assert machine.do(Barrier(), nonce=bytes([number + 1])) == "ok"
    return machine.do(Barrier(), nonce=b"one too many")


def malformed() -> str:
    machine = ticket_in(State.ISSUED)
    operation = machine.operation(Admit(), "T-1")
    return machine.order(type(operation)(**{**fields_of(operation), "payload": b"\xff"}))[0].code


def fields_of(operation: object) -> dict[str, object]:
    return {name: getattr(operation, name) for name in operation.__struct_fields__}  # type: ignore[attr-defined]


def held_lock() -> str:
    machine = Machine()
    machine.do(Acquire("leader", b"a", MINUTE))
    return machine.do(Acquire("leader", b"b", MINUTE))


def locking() -> Machine:
    """A machine whose gateway may lock; holder `a` has the lock."""
    machine = Machine(genesis(principals=LOCKERS))
    assert machine.do(Lock("leader", b"a", MINUTE), event="agents") == "ok"
    return machine


def too_many_waiters(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("dtvn.machine.waiters.QUEUE_MAX", 0)
    return locking().do(Lock("leader", b"b", MINUTE, MINUTE), event="agents")


def full(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("dtvn.machine.kinds.issue.TICKETS_MAX", 1)
    return ticket_in(State.ISSUED).do(Issue(), "T-2")


def at_the_door() -> dict[str, str]:
    """The reasons that came with codes."""
    door = Door()
    door.does(SetEvent(products=(("Parking", False),)))
    door.issues("T-1", "A", not_before=9)
    door.issues("T-2", "PARK", product="Parking")
    taken = door.issues("T-3", "A").code
    not_blocked = door.does(Unblock(), "T-1").code
    empty = door.does(ChangeTicket(not_after=1), "T-1").code
    for turn in range(3):
        door.does(Replace(door.digests(*(f"{turn}-{place}" for place in range(8)))), "T-1")
    door.does(Block(), "T-1")
    return {
        "barcode_not_found": door.scans("NOBODY").code,
        "revoked": door.scans("A").code,
        "blocked": door.scans("2-0").code,
        "wrong_product": door.scans("PARK").code,
        "unknown_event": door.scans("A", event="oprea").code,
        "barcode_taken": taken,
        "too_many_codes": door.does(Replace(door.digests(*"BCDEFGHI")), "T-1").code,
        "not_blocked": not_blocked,
        "already_blocked": door.does(Block(), "T-1").code,
        "empty_window": empty,
    }


def on_lists() -> dict[str, str]:
    """The reasons that came with lists."""
    door = door_with(
        EventList("late", not_before=START + HOUR), EventList("out", rule="free", exit_first=True, capacity=1)
    )
    door.issues("T-2", "DEF")
    scan(door, "out")
    found = {
        "unknown_list": scan(door, "bar").code,
        "list_closed": scan(door, "late").code,
        "still_inside": scan(door, "out").code,
        "list_full": scan(door, "out", text="DEF").code,
        "not_inside": scan(door, "out", "exit", text="DEF").code,
        "not_the_newest": annul(door, "out", device="d2").code,
    }
    door.now += HOUR
    return found | {"too_late_to_annul": annul(door, "out").code}


def raised() -> Parameters:
    """Parameters of the next version, to which no member's statement goes."""
    now = genesis().parameters
    return msgspec.structs.replace(now, version=now.version + 1)


def test_every_ordered_reason_can_occur(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine can give every reason of the vocabulary, and no other."""
    met = {
        **at_the_door(),
        **on_lists(),
        "ok": Machine().do(Barrier()),
        "malformed": malformed(),
        "expired": ticket_in(State.ISSUED).do(Validate(), "T-1", valid_for=0),
        "too_far_ahead": ticket_in(State.ISSUED).do(Validate(), "T-1", valid_for=11 * MINUTE),
        "nonce_reused": nonce_reused(),
        "busy": busy(),
        "not_permitted": Machine().do(Issue(), "T-1", principal="scanner"),
        "demo_only": Machine(genesis(demo=False)).do(Seed()),
        "ticket_not_found": Machine().do(Admit(), "T-1"),
        "ticket_exists": ticket_in(State.ISSUED).do(Issue(), "T-1"),
        "not_validated": ticket_in(State.ISSUED).do(Consume(), "T-1"),
        "already_validated": ticket_in(State.VALIDATED).do(Validate(), "T-1"),
        "already_consumed": ticket_in(State.CONSUMED).do(Admit(), "T-1"),
        "disputed": ticket_in(State.DISPUTED).do(Admit(), "T-1"),
        "already_disputed": ticket_in(State.DISPUTED).do(Dispute(), "T-1"),
        "not_disputed": ticket_in(State.VALIDATED).do(Resolve(verdict="clear"), "T-1"),
        "already_upheld": ticket_in(State.UPHELD).do(Resolve(verdict="clear"), "T-1"),
        "not_yet_valid": admit_within(not_before=START + HOUR),
        "no_longer_valid": admit_within(not_after=START),
        "full": full(monkeypatch),
        "principal_exists": Machine().do(AddPrincipal("scanner", public("n"))),
        "principal_not_found": Machine().do(RevokePrincipal("nobody")),
        "key_in_use": Machine().do(RotatePrincipal("scanner", public("g"))),
        "last_admin": Machine().do(RevokePrincipal("gateway")),
        "wrong_epoch": Machine().do(Reconfigure(Change(epoch=3, leaves="node0"))),
        "not_alone": beside_others(Reconfigure(Change(epoch=0, leaves="node0"))),
        "member_not_found": Machine().do(Reconfigure(Change(epoch=0, leaves="nobody"))),
        "member_exists": Machine().do(Reconfigure(Change(epoch=0, joins=(NEWCOMER,)))),
        "not_ready": Machine(genesis(members=5)).do(Reconfigure(Change(epoch=0, leaves="node0"))),
        "lock_held": held_lock(),
        "lock_waiting": locking().do(Lock("leader", b"b", MINUTE, MINUTE), event="agents"),
        "stale_lock_token": locking().do(Unlock("leader", b"a", 1), event="agents"),
        "too_many_waiters": too_many_waiters(monkeypatch),
        "not_next": Recorder().out_of_order(),
        "needs_version": Machine().do(Reconfigure(Change(epoch=0, parameters=(raised(),)))),
        "too_few_members": Machine().do(Reconfigure(Change(epoch=0, leaves="node0"))),
    }
    assert met == {code: code for code in reasons.NUMBER_OF}


def test_reasons_have_the_statuses_and_texts_of_the_contract() -> None:
    """Spec 1.5."""
    assert REASONS["already_validated"].status == 409
    assert "already validated" in REASONS["already_validated"].sentence
    assert REASONS["ticket_id_required"].sentence == "ticket_id is required"
    assert REASONS["ticket_not_found"].status == 404
    assert REASONS["nonce_reused"].status == 422
    assert REASONS["outcome_unknown"].status == 504
    assert sorted(reasons.CODE_OF) == list(range(len(reasons.CODE_OF)))


def test_codes_survive_packing() -> None:
    codes = ("ok", "malformed", "ok", "no_longer_valid", "ok", "ok")
    packed = reasons.pack(codes)
    assert packed == bytes([0, 1, 0, 19])
    assert reasons.unpack(packed, len(codes)) == codes
    assert reasons.pack(("ok",) * 100) == b""


def beside_others(command: Command) -> str:
    machine = Machine()
    return machine.order(machine.operation(command), machine.operation(Barrier()))[0].code


NEWCOMER = Member("node1", public("n"), "127.0.0.1", 4_009)

WITH_FIELDS: dict[str, Command] = {
    "resolve": Resolve(verdict="uphold"),
    "add_principal": AddPrincipal("door", public("n")),
    "rotate_principal": RotatePrincipal("door", public("n")),
    "limit_principal": LimitPrincipal("door"),
    "revoke_principal": RevokePrincipal("door"),
    "grant": GrantPrincipal(
        GrantStatement(0, "door", public("n"), (Grant("*", "issue"),), until=1), (bytes(64),)
    ),
    "reconfigure": Reconfigure(Change(epoch=0, leaves="node0")),
    "record": Recorder().run().next("a"),
    "acquire": Acquire("leader", b"a", 1),
    "release": Release("leader", b"a"),
    "lock": Lock("leader", b"a", 1, 2),
    "renew": Renew("leader", b"a", 3, 4),
    "unlock": Unlock("leader", b"a", 3),
    "cancel_lock": CancelLock("leader", b"a"),
    "replace": Replace((bytes(32), bytes(31) + b"1")),
    "change": ChangeTicket(seat="A1"),
    "force": Force(reason="why"),
}
"""Commands that cannot be made of nothing."""


def test_every_kind_of_operation_is_encoded_and_decoded_alike() -> None:
    machine = Machine()
    for kind, command in {
        **{name: kind.command() for name, kind in KINDS.items() if name not in WITH_FIELDS},
        **WITH_FIELDS,
    }.items():
        ticket = "" if kind in TICKETLESS else "T-1"
        operation = machine.operation(command, ticket)
        assert operation.kind == kind
        assert check(operation) == command
    assert machine.do(OpenSession(), nonce=b"x") == "malformed"  # not inside a session


OF_TERMS = {"block", "unblock", "replace", "change", "annul", "force"}
"""Kinds that leave a ticket's state alone, or whose counts decide what it is."""
LATER = OF_TERMS | {"import_entry"}
"""Kinds that the simulator does not know yet."""


def test_kinds_on_tickets_are_known_where_no_table_is_read() -> None:
    """In the simulator, and in the table of transitions."""
    assert EVENT_TYPES.keys() == NAMING | {"seed", "set_event"}
    assert STATE_AFTER.keys() - {"seed"} == NAMING - {"resolve"} - OF_TERMS | {"clear", "uphold"}
    assert OPERATIONS.keys() == NAMING | {"seed"}
    assert ANSWERS.keys() == NAMING - {"resolve"} - LATER | {"clear", "uphold"}
    assert set(workload.KINDS) == NAMING - LATER
