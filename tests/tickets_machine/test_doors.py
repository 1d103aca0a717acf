"""What is printed on the ticket opens the door, once, and nothing else does (D1 to D3, R40)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.machine import (
    Admit,
    AnsweredState,
    ChangeTicket,
    CommandError,
    Consume,
    Issue,
    Replace,
    SetEvent,
    State,
    Validate,
    build,
    read_state,
)
from dtvn.machine.commands import request_digest
from dtvn.protocol.consensus.messages import Outcome
from tests.support.table import table
from tests.tickets_machine.doors import EVENT, Door, answer, row, with_payload
from tests.tickets_machine.support import Machine

# --- D1: codes ---------------------------------------------------------------------------------------


def test_a_printed_code_opens_once_and_says_for_whom() -> None:
    door = Door()
    door.issues("T-1", "ABC123", product="Stalls", seat="A1", not_after=2**62)
    first = door.scans("\ufeff ABC123\r\n")
    assert first.code == "ok"
    told = answer(first)
    assert (told.ticket, told.state, told.gate, told.device) == ("T-1", State.CONSUMED, "north", "d1")
    assert (told.product, told.seat, told.not_before, told.not_after) == ("Stalls", "A1", 0, 2**62)
    assert (told.blocked, told.block_reason, told.entered_at, told.product_added) == (False, "", 0, False)
    second = door.scans("ABC123", gate="south")
    assert second.code == "already_consumed"
    assert answer(second) == told, "the second gate is told of the entry at the first"


def test_a_ticket_has_up_to_eight_codes_and_each_opens() -> None:
    door = Door()
    texts = [f"CODE-{number}" for number in range(8)]
    assert door.issues("T-1", *texts).code == "ok"
    assert door.scans(texts[7]).code == "ok"
    assert {door.scans(text).code for text in texts} == {"already_consumed"}
    with pytest.raises(CommandError, match="codes"):
        door.issues("T-2", *(f"MORE-{number}" for number in range(9)))


def test_a_repetition_of_a_code_that_was_not_found_names_no_ticket() -> None:
    door = Door()
    first = door.scans("ABC123", nonce=b"n")
    door.issues("T-1", "ABC123")
    assert first == Outcome("barcode_not_found", b"", ())
    again = door.scans("ABC123", nonce=b"n")
    assert again == Outcome("barcode_not_found", b"", (door.sequence - 2, 0)), "a repeat names the first"


def test_a_code_given_twice_in_one_operation_is_malformed() -> None:
    door = Door()
    twice = door.digests("A", "A")
    for command in (Issue(codes=twice), Replace(twice)):
        with pytest.raises(CommandError, match="codes: one is given twice"):
            door.operation(command, "T-1", event=EVENT)
    asked = with_payload(door.operation(Issue(), "T-1", event=EVENT), (0, 0, "", "", b"", b"", (), twice))
    assert door.order(asked)[0].code == "malformed"


@pytest.mark.parametrize("code", [b"x", bytes(31), bytes(33)])
def test_the_digest_of_a_code_has_32_bytes(code: bytes) -> None:
    door = Door()
    with pytest.raises(CommandError, match="code"):
        door.operation(Admit(code=code), "T-1", event=EVENT)
    asked = with_payload(door.operation(Admit(), "T-1", event=EVENT), ("", "", code))
    assert door.order(asked)[0].code == "malformed"


@table(
    ("wrong", "said"),
    [
        ({"commitment": bytes(31)}, "commitment: 32 bytes or none"),
        ({"not_before": 2, "not_after": 1}, "not_after: lies before not_before"),
        ({"metadata": (("a", "1"), ("a", "2"))}, "metadata: keys must ascend, each once"),
        ({"metadata": (("a", "\x07"),)}, "metadata: holds a control character"),
        ({"metadata": (("\x07", "a"),)}, "metadata: holds a control character"),
        ({"block_reason": "unpaid"}, "block_reason: of a ticket that is not blocked"),
    ],
    count=6,
)
def test_what_an_issue_may_not_say(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandError, match=f"^{said}$"):
        build(Issue(**wrong), ticket="T-1", event="fest", actor="a", entry="node0", valid_until=1)


def test_only_a_code_may_stand_for_the_name_of_a_ticket() -> None:
    door = Door()
    for command in (Admit(), Admit(code=b""), Consume(), Validate()):
        with pytest.raises(CommandError, match="ticket"):
            door.operation(command, "", event=EVENT)
    asked = door.operation(Admit(code=door.digest("A")), "", event=EVENT)
    for payload in (("", ""), ("", "", b"")):
        assert door.order(with_payload(asked, payload))[0].code == "malformed"


def test_later_fields_at_their_default_are_left_out() -> None:
    door = Door(created=False)
    old = door.operation(Issue(product="Stalls"), "T-1", event=EVENT)
    assert old.payload.hex() == "970000a65374616c6c73a0c400c40090"
    assert door.operation(Admit(gate="n"), "T-1", event=EVENT).payload.hex() == "92a16ea0"
    for longer in ((0, 0, "", "", b"", b"", (), ()), (0, 0, "", "", b"", b"", (), (), False, "")):
        assert door.order(with_payload(old, longer))[0].code == "malformed"
    assert door.order(with_payload(door.operation(Admit(), "T-1", event=EVENT), ("", "", None)))[0].code == (
        "malformed"
    )


def test_golden_payloads_of_the_later_forms() -> None:
    door = Door()
    code = bytes(range(32))
    blocked = Issue(product="Stalls", codes=(code,), blocked=True, block_reason="refunded")
    assert door.operation(blocked, "T-1").payload.hex() == (
        f"9a0000a65374616c6c73a0c400c4009091c420{code.hex()}c3a8726566756e646564"
    )
    assert door.operation(Admit("n", "d", code)).payload.hex() == f"93a16ea164c420{code.hex()}"
    assert door.operation(Admit("n", "d", b""), "T-1").payload.hex() == "93a16ea164c400"
    assert door.operation(Replace((code,)), "T-1").payload.hex() == f"9191c420{code.hex()}"
    assert door.operation(ChangeTicket(seat="A1", not_after=7), "T-1").payload.hex() == "94c0a24131c007"
    shown = SetEvent("Opera", "Europe/Vienna", 1, False, (("Stalls", True), ("Parking", False)))
    assert door.operation(shown).payload.hex() == (
        "95a54f70657261ad4575726f70652f5669656e6e6101c29292a75061726b696e67c292a65374616c6c73c3"
    )


def test_a_repetition_and_an_early_refusal_name_the_ticket_of_the_code() -> None:
    door = Door()
    door.issues("T-1", "ABC123", seat="A1")
    late = door.scans("ABC123", valid_for=0)
    assert (late.code, answer(late).ticket, answer(late).state) == ("expired", "T-1", State.ISSUED)
    denied = door.scans("ABC123", principal="reader")
    assert (denied.code, answer(denied).seat) == ("not_permitted", "A1")
    first, again = door.scans("ABC123", nonce=b"n"), door.scans("ABC123", nonce=b"n")
    assert again == replace(first, first=(door.sequence - 1, 0))


def test_a_nonce_is_bound_to_the_code_and_not_to_the_text_beside_it() -> None:
    """The platform sends the text while its copy knows no such code: a repetition may come without it."""
    door = Door(created=False)
    door.issues("T-1", "ABC123")
    first = door.scans("ABC123", ticket="ABC123", nonce=b"n")
    assert first.code == "ok"
    again = door.scans("ABC123", nonce=b"n")
    assert (again.code, again.state, again.first) == ("ok", first.state, (door.sequence - 1, 0))
    door.issues("T-2", "ABC124")
    assert door.scans("ABC124", nonce=b"n").code == "nonce_reused"
    assert door.does(Admit("north", "d1", b""), "T-1", principal="scanner", nonce=b"n").code == "nonce_reused"
    by_id = [
        door.operation(Admit("north", "d1", b""), name, event=EVENT, nonce=b"n") for name in ("T-1", "T-2")
    ]
    assert len({*map(request_digest, by_id)}) == 2


def test_every_code_of_a_gate_is_read_for_itself() -> None:
    """The memo of decoded commands keeps gate and device of a scan, never its code."""
    door = Door()
    for number in range(20):
        door.issues(f"T-{number}", f"CODE-{number}")
    found = [answer(door.scans(f"CODE-{number}")).ticket for number in range(20)]
    assert found == [f"T-{number}" for number in range(20)]
    operations = door.application._state.operations
    admits = [key for key in operations._coded if key[0] == "admit"]
    assert len(admits) == 1
    assert not [key for key in operations._commands if key[0] == "issue"]
    wrong = door.operation(Admit("north", "d1", door.digest("CODE-1")), "", event=EVENT)
    for end in (wrong.payload[:-1], wrong.payload + b"\0"):
        broken = type(wrong)(
            **{name: getattr(wrong, name) for name in wrong.__struct_fields__} | {"payload": end}
        )
        assert door.order(broken)[0].code == "malformed"


@table("before", [b"", b"\x92\xa0\xa0"], count=2)
@table("then", [b"\x92\xa1n\xa1d", bytes(range(32)), b"\x92\xa0\xa0" + bytes(range(32))], count=3)
def test_what_a_process_read_before_decides_nothing(before: bytes, then: bytes) -> None:
    """A node that was started in between answers as the others do, which read other commands before."""
    running, started = Door(), Door()
    for door, payloads in ((running, (before, then)), (started, (then,))):
        door.issues("T-1", "ABC123")
        asked = door.operation(Admit(), "T-1", event=EVENT)
        outcomes = [door.order(replace(asked, payload=payload))[0].code for payload in payloads]
        assert outcomes[-1] == (
            "malformed" if len(then) >= 32 else ("already_consumed", "ok")[door is started]
        )


# --- D1: ids -----------------------------------------------------------------------------------------


def test_an_admission_of_the_first_form_answers_as_it_always_did() -> None:
    door = Door(created=False)
    door.does(Issue(product="Stalls"), "T-1")
    for _ in range(2):
        state = read_state(door.does(Admit(gate="n"), "T-1").state)
        assert state is not None
        assert not isinstance(state, AnsweredState)


# --- D2: events --------------------------------------------------------------------------------------


def test_what_is_not_said_of_an_event_stays_as_the_log_has_it() -> None:
    """A change of the name undoes no product that was added since somebody read the event."""
    door = Door(created=False)
    door.does(SetEvent("Opera", "Europe/Vienna", 5, ids_are_codes=True, products=(("Parking", False),)))
    door.issues("T-1", "VIP", product="VIP")
    again = row(door.does(SetEvent("Gala")))
    assert (again.name, again.zone, again.doors, again.ids_are_codes) == ("Gala", "Europe/Vienna", 5, True)
    assert (again.products, again.index) == ((("Parking", False), ("VIP", True)), 0)
    assert (again.sequence, again.timestamp) == (door.sequence, door.now)
    assert door.scans("VIP").code == "ok"


def test_products_are_added_without_taking_others_off_the_list() -> None:
    door = Door(created=False)
    door.does(SetEvent(products=(("Parking", False),)))
    door.issues("T-1", "VIP", product="VIP")
    more = SetEvent(products=(("Mug", False), ("Parking", True)), others_stay=True)
    assert row(door.does(more)).products == (("Mug", False), ("Parking", True), ("VIP", True))
    assert door.scans("VIP").code == "ok"
    many = tuple((f"P{number:03}", True) for number in range(998))
    assert door.does(SetEvent(products=many, others_stay=True)) == Outcome("full", b"", ())
    assert len(door.event_row().products) == 3
    with pytest.raises(CommandError, match="others_stay"):
        door.operation(SetEvent(others_stay=True), "", event=EVENT)


def test_ids_stay_codes_in_an_event_that_is_created_when_it_holds_tickets() -> None:
    door = Door(created=False)
    door.does(Issue(), "T-1")
    assert row(door.does(SetEvent("Gala"))).ids_are_codes
    assert not row(door.does(SetEvent("Gala"), event="ballet")).ids_are_codes


def test_an_event_is_created_and_replaced() -> None:
    door = Door(created=False)
    products = (("Stalls", True), ("Parking", False))
    made = row(door.does(SetEvent("Opera", "Europe/Vienna", 5, ids_are_codes=True, products=products)))
    assert (made.name, made.zone, made.doors, made.ids_are_codes) == ("Opera", "Europe/Vienna", 5, True)
    assert made.products == (("Parking", False), ("Stalls", True))
    assert (made.declared, made.salt, made.version) == (True, door.salt, 1)
    assert (made.sequence, made.index, made.timestamp) == (door.sequence, 0, door.now)
    again = row(door.does(SetEvent("Gala", "", 0, ids_are_codes=False, products=())))
    assert (again.name, again.zone, again.products, again.ids_are_codes) == ("Gala", "", (), False)
    assert again.salt == door.salt
    assert door.event_row() == again
    assert door.does(SetEvent(), principal="scanner") == Outcome("not_permitted", b"", ())
    assert door.does(SetEvent("Gala"), nonce=b"n").code == "ok"
    again = door.does(SetEvent("Gala"), nonce=b"n")
    assert again == Outcome("ok", b"", (door.sequence - 1, 0)), "only the code is known"


@table("zone", ["Europe/Vienna", "Etc/GMT+3", "America/Argentina/Buenos_Aires", "UTC", ""], count=5)
def test_the_core_knows_the_form_of_a_zone(zone: str) -> None:
    assert Door(created=False).does(SetEvent(zone=zone)).code == "ok"


@table(
    "wrong",
    [
        {"zone": "Europe/"},
        {"zone": "../etc/passwd"},
        {"zone": "Europe//Vienna"},
        {"zone": "+1"},
        {"zone": "A" * 65},
        {"name": "A" * 129},
        {"name": "A\n"},
        {"doors": -1},
        {"products": (("", True),)},
        {"products": (("A\x00", True),)},
        {"products": (("A", True), ("A", False))},
        {"products": tuple((f"{number:04}" + "é" * 124, True) for number in range(300))},
        {"products": tuple((f"P{number:04}", True) for number in range(1_001))},
    ],
    count=13,
)
def test_what_an_event_may_not_say(wrong: dict[str, object]) -> None:
    door = Door(created=False)
    with pytest.raises(CommandError, match=next(iter(wrong))):
        door.operation(SetEvent(**wrong), event=EVENT)  # type: ignore[arg-type]


def test_an_unlisted_product_becomes_an_admission_product() -> None:
    door = Door()
    first = answer(door.issues("T-1", "A", product="Stalls"))
    assert first.product_added
    assert not answer(door.issues("T-2", "B", product="Stalls")).product_added
    assert answer(door.does(ChangeTicket(product="Circle"), "T-2")).product_added
    assert answer(door.does(Issue(product="Box"), "T-3")).product_added, "the first form, too"
    kept = door.event_row()
    assert kept is not None
    assert kept.products == (("Box", True), ("Circle", True), ("Stalls", True))
    assert (kept.sequence, kept.timestamp) == (door.sequence, door.now)


def test_an_event_that_nobody_created_lists_nothing() -> None:
    door = Door(created=False)
    assert door.event_row() is None
    door.does(Issue(product="Stalls"), "T-1")
    assert door.event_row() is None
    assert not answer(door.issues("T-2", "A", product="Stalls")).product_added
    kept = door.event_row()
    assert kept is not None
    assert (kept.declared, kept.ids_are_codes, kept.products) == (False, True, ())
    assert kept.salt == door.salt, "the row keeps the salt of its codes"
    door.does(SetEvent("Opera"))
    assert door.scans("A").code == "wrong_product", "who creates the event says what admits"
    created = door.event_row()
    assert created is not None
    assert created.salt == door.salt


def test_the_first_code_makes_the_row_also_by_a_replacement() -> None:
    door = Door(created=False)
    door.does(Issue(), "T-1")
    assert door.does(Replace(door.digests("A")), "T-1").code == "ok"
    assert door.event_row() is not None
    assert door.scans("A").code == "ok"


def test_there_are_limits_to_events_and_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtvn.machine.events.EVENTS_MAX", 2)
    monkeypatch.setattr("dtvn.machine.events.PRODUCTS_MAX", 2)
    door = Door()
    for event, code in (("second", "ok"), ("third", "full")):
        assert door.does(SetEvent(), event=event).code == code
    assert door.does(Issue(codes=(bytes(32),)), "T-1", event="third").code == "full"
    assert door.does(Issue(), "T-1", event="third").code == "ok", "an event without a row needs no room"
    assert door.does(Replace((bytes(32),)), "T-1", event="third").code == "full"
    assert door.does(SetEvent("again")).code == "ok"
    for number, code in ((1, "ok"), (2, "ok"), (3, "full")):
        assert door.issues(f"T-{number}", f"C{number}", product=f"P{number}").code == code
    assert door.application.ticket(EVENT, "T-3") is None
    assert door.scans("C3").code == "barcode_not_found"
    assert door.does(ChangeTicket(product="P3"), "T-1").code == "full"
    assert door.does(ChangeTicket(product="P2"), "T-1").code == "ok"


def test_the_limits_are_those_of_the_page() -> None:
    from dtvn.machine import codes, events

    assert (events.EVENTS_MAX, events.PRODUCTS_MAX) == (10_000, 1_000)
    assert (codes.VALID_MAX, codes.CODES_MAX, codes.CODE_BYTES_MAX) == (8, 32, 512)


# --- D3: products ------------------------------------------------------------------------------------


def test_an_old_log_knows_none_of_this() -> None:
    """A machine that never saw a code or an event has no row of one, and tickets of the first form."""
    machine = Machine()
    machine.do(Issue(product="Stalls"), "T-1")
    machine.do(Admit(gate="n"), "T-1")
    machine.save()
    assert {table for table, _key in machine.rows} == {"ticket", "session", "bundle", "nonce", "clock"}
