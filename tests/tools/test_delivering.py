"""Holders are kept for tickets that are, or may be, in the network: a corrected file replaces all others."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import msgspec
import pytest

from dtvn.api.errors import TicketError
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Block, Issue, Replace
from dtvn.machine.codes import code_digest
from dtvn.machine.reasons import REASONS
from tests.tools.test_holders import ticket
from tests.waiting import PATIENCE
from tickets.importing import Holder, ImportedTicket, ordering
from tickets.importing.completing import Order
from tickets.importing.delivering import Delivering
from tickets.importing.delivery import Delivery
from tickets.importing.holders import erase_holders
from tickets.importing.imported import WrongRow
from tickets.importing.ordering import Ordering, Part, issue_of
from tickets.importing.platform import NetworkSilent, Refused
from tickets.models import TicketCode, TicketHolder
from validators.services.decide import batch

pytestmark = [
    pytest.mark.django_db(databases=["default", "learner"]),
    pytest.mark.usefixtures("quick", "learner"),
]


def answering(**codes: str) -> Order:
    """A cluster that answers each request with the code of its event, else with "ok"."""

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        return [Decision(one, Result(codes.get(one.event, "ok"), b"", 1)) for one in requests]

    return order


def imported(
    tickets: Sequence[ImportedTicket], order: Order, *, size: int = 100, patience: float = 0.01
) -> Delivery:
    delivery = Delivery()
    delivering = Delivering(
        order, source="", patience=patience, told=lambda _: None, delivered=lambda _: None
    )
    delivering.deliver(tickets, delivery, size=size)
    return delivery


def of_events(*events: str, holder: str = "Ada") -> list[ImportedTicket]:
    tickets = [ticket(number, Holder(holder)) for number in range(len(events))]
    pairs = zip(tickets, events, strict=True)
    return [msgspec.structs.replace(one, event=event) for one, event in pairs]


def names() -> dict[str, str]:
    return dict(TicketHolder.objects.values_list("event", "name"))


def test_a_corrected_file_is_taken_after_an_import_that_stopped() -> None:
    """`b` was not ordered for want of a quorum, `c` not even sent."""
    with pytest.raises(NetworkSilent):
        imported(of_events("a", "b", "c"), answering(b="unavailable"))
    assert names() == {"a": "Ada"}
    again = imported(of_events("b", "c", holder="Ada King"), answering())
    assert (again.issued, again.wrong) == (2, [])
    assert names() == {"a": "Ada", "b": "Ada King", "c": "Ada King"}


def test_the_holder_of_a_ticket_that_may_be_issued_is_kept() -> None:
    with pytest.raises(NetworkSilent):
        imported(of_events("a"), answering(a="outcome_unknown"))
    assert names() == {"a": "Ada"}
    assert imported(of_events("a", holder="Ada King"), answering(a="ticket_exists")).existed == 1
    assert names() == {"a": "Ada King"}, "the file's last word, for a ticket that was not known to exist"


def in_turn(*answers: str, sequence: int = 1) -> Order:
    """A cluster that answers the requests of each call with the next of these codes, the last one for ever;
    a code in capitals refuses the whole call."""
    waiting = list(answers)

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        code = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if code.isupper():
            raise TicketError(code.lower())
        return [Decision(one, Result(code, b"", sequence)) for one in requests]

    return order


STOPPED = (NetworkSilent, Refused)


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        (("outcome_unknown", "NOT_PERMITTED"), True),
        (("outcome_unknown", "unavailable"), True),
        (("outcome_unknown", "unavailable", "NOT_PERMITTED"), True),
        (("busy", "NOT_PERMITTED"), True),
        (("unavailable", "NOT_PERMITTED"), False),
        (("unavailable", "outcome_unknown", "NOT_PERMITTED"), True),
        (("unavailable",), False),
        (("cluster_contradiction",), False),
    ],
)
def test_a_request_that_may_have_been_executed_is_never_forgotten(
    answers: tuple[str, ...], kept: bool
) -> None:
    """A later refusal, or a later call that was not sent, says nothing about an earlier one."""
    delivery = Delivery()
    once = Delivering(
        in_turn(*answers), source="", patience=0.5, told=lambda _: None, delivered=lambda _: None
    )
    with pytest.raises(STOPPED):
        once.deliver([msgspec.structs.replace(of_events("a")[0], codes=("c-1",))], delivery)
    assert names() == ({"a": "Ada"} if kept else {})
    assert TicketCode.objects.filter(event="a").exists() is kept


@pytest.mark.parametrize(
    ("answers", "kept"), [(("outcome_unknown", "unknown_event"), True), (("unknown_event",), False)]
)
def test_a_refused_ticket_is_forgotten_unless_an_earlier_request_may_stand(
    answers: tuple[str, ...], kept: bool
) -> None:
    coded = msgspec.structs.replace(of_events("a")[0], codes=("c-1",))
    found = imported([coded], in_turn(*answers), patience=PATIENCE)
    assert len(found.wrong) == 1
    assert names() == ({"a": "Ada"} if kept else {})
    assert TicketCode.objects.filter(event="a").exists() is kept


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        (("outcome_unknown", "blocked"), True),
        (("busy", "blocked"), True),
        (("unavailable", "blocked"), False),
    ],
)
def test_a_replaced_code_is_forgotten_unless_an_earlier_request_may_stand(
    answers: tuple[str, ...], kept: bool
) -> None:
    given = Request(Replace((code_digest(b"", "c-9"),)), "T-1", "a", texts=("c-9",))
    assert settled([given], in_turn(*answers, sequence=0)) == [("T-1", "blocked")]
    assert TicketCode.objects.filter(event="a", ticket="T-1").exists() is kept


def test_no_holder_is_kept_when_all_requests_are_refused() -> None:
    def refusing(_: Sequence[Request]) -> Sequence[Decision]:
        raise TicketError("not_permitted")

    with pytest.raises(Refused):
        imported(of_events("a"), refusing)
    assert names() == {}


def test_holders_are_stored_with_the_part_that_is_sent_next() -> None:
    """A worker that is killed leaves none of tickets that it never sent."""
    stored: list[int] = []

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        stored.append(TicketHolder.objects.count())
        return answering()(requests)

    assert imported([ticket(number) for number in range(5)], order, size=2).issued == 5
    assert stored == [2, 4, 5]


def settled(requests: Sequence[Request], order: Order) -> list[tuple[str, str]]:
    """(ticket, code) of each final decision, in order."""
    ordering = Ordering(order, patience=0.5, told=lambda _: None)
    return [(one.request.ticket, one.code) for one in ordering.settle(requests)]


def changes(*tickets: str) -> list[Request]:
    return [Request(Block("a reason"), ticket, "fest") for ticket in tickets]


def test_changes_are_asked_in_parts_until_each_has_one_final_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that may have happened is asked again, before those that were not asked yet."""
    monkeypatch.setattr(ordering, "BATCH_SIZE", 2)
    asked: list[str] = []

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        asked.append("".join(one.ticket for one in requests))
        lost = {"AB": "B", "BC": "C"}.get(asked[-1])
        codes = ["outcome_unknown" if one.ticket == lost else "ok" for one in requests]
        return [Decision(one, Result(code, b"", 1)) for one, code in zip(requests, codes, strict=True)]

    assert settled(changes(*"ABCDE"), order) == [(ticket, "ok") for ticket in "ABCDE"]
    assert asked == ["AB", "BC", "CD", "E"]
    assert settled([], order) == []


def test_a_refused_change_is_final_and_a_silent_network_ends_the_others() -> None:
    assert settled(changes("A"), in_turn("blocked", "busy")) == [("A", "blocked")]
    with pytest.raises(NetworkSilent):
        settled(changes("A"), in_turn("busy"))


def one_at_a_time(clock: SimpleNamespace) -> Order:
    """A cluster that decides one request of each call, in three seconds."""

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        clock.now += 3.0
        codes = ["ok", *["outcome_unknown"] * (len(requests) - 1)]
        return [Decision(one, Result(code, b"", 1)) for one, code in zip(requests, codes, strict=True)]

    return order


def test_an_import_goes_on_as_long_as_answers_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its patience is for a network that decides nothing, not for all of its tickets."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(ordering, "time", SimpleNamespace(monotonic=lambda: clock.now))
    tickets = [ticket(number) for number in range(5)]
    assert imported(tickets, one_at_a_time(clock), patience=5.0).issued == 5
    asking = Ordering(one_at_a_time(clock), patience=5.0, told=lambda _: None)
    assert [one.request.ticket for one in asking.settle(changes(*"ABCDE"))] == [*"ABCDE"]
    assert clock.now == 30.0


def test_all_that_is_delivered_is_told_and_the_highest_sequence_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever became of each ticket, and in whatever order it was decided."""
    monkeypatch.setattr(ordering, "BATCH_SIZE", 2)
    outcomes = {"T-0": ("ok", 9), "T-1": ("ticket_exists", 4), "T-2": ("not_permitted", 8), "T-3": ("ok", 7)}

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        return [
            Decision(one, Result(code, b"", sequence))
            for one in requests
            for code, sequence in [outcomes.get(one.ticket, ("ok", 3))]
        ]

    told: list[int] = []
    delivery = Delivery()
    tickets = [ticket(number) for number in range(5)]
    Ordering(order, patience=1.0, told=told.append).send(Part("default", tickets, {}, b"salt"), delivery)
    assert told == [2, 2, 1]
    assert (delivery.issued, delivery.existed, delivery.sequence) == (3, 1, 9)
    said = f"T-2 was refused: {REASONS['not_permitted'].sentence}"
    assert delivery.wrong == [WrongRow(3, said)]


def test_a_ticket_is_issued_with_the_digests_of_its_first_codes() -> None:
    (one,) = of_events("a")
    assert issue_of(one, b"", b"salt").command.codes == tuple(
        code_digest(b"salt", text) for text in one.codes
    )
    coded = msgspec.structs.replace(one, codes=("c-1", "c-2"))
    found = issue_of(coded, b"", b"salt")
    assert found.command.codes == (code_digest(b"salt", "c-1"), code_digest(b"salt", "c-2"))
    assert found.texts == ("c-1", "c-2")


def test_a_ticket_is_issued_as_its_file_has_it() -> None:
    """Its window lasts to the end of its last second."""
    whole = msgspec.structs.replace(
        ticket(1),
        event="fest",
        product="Day",
        seat="A1",
        entries=3,
        not_before=7_000_000,
        not_after=9_000_000,
        blocked=True,
        block_reason="unpaid",
        codes=("c-1",),
    )
    request = issue_of(whole, b"\xab" * 32, b"salt")
    assert (request.ticket, request.event, request.nonce) == ("T-1", "fest", b"")
    assert request.command == Issue(
        not_before=7_000_000,
        not_after=9_999_999,
        product="Day",
        seat="A1",
        commitment=b"\xab" * 32,
        codes=(code_digest(b"salt", "c-1"),),
        blocked=True,
        block_reason="unpaid",
        entries=3,
    )


def test_no_code_is_stored_of_a_ticket_whose_holder_was_erased() -> None:
    first, second = of_events("a", "a")
    imported([first], answering())
    assert erase_holders("a", [first.ticket_id]) == 1
    coded = [
        msgspec.structs.replace(one, codes=(f"code {number}",), revoked=(f"old {number}",))
        for number, one in enumerate((first, second))
    ]
    again = imported(coded, answering())
    assert [wrong.row for wrong in again.wrong] == [first.row]
    stored = set(TicketCode.objects.filter(event="a").values_list("ticket", flat=True))
    assert stored == {second.ticket_id}


def test_only_what_is_as_the_file_says_counts_as_delivered() -> None:
    """A ticket that was refused is asked for no entry, although one of its id is there, and what is refused
    later is no more delivered than what was refused at once."""
    asked, delivered = list[list[tuple[str, str]]](), list[list[str]]()
    refused = {("Issue", "T-1"): "not_permitted", ("ImportEntry", "T-2"): "disputed"}

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        asked.append([(type(one.command).__name__, one.ticket) for one in requests])
        codes = [refused.get(each, "") for each in asked[-1]]
        return [
            Decision(one, Result(code, b"", 1)) if code else batch([one], actor="desk")[0]
            for one, code in zip(requests, codes, strict=True)
        ]

    tickets = [ticket(number, Holder()) for number in (1, 2, 3)]
    assert imported(tickets, lambda requests: batch(requests, actor="desk")).issued == 3
    delivering = Delivering(
        order,
        source="",
        patience=5.0,
        told=lambda _: None,
        delivered=lambda part: delivered.append([one.ticket_id for one in part]),
    )
    delivery = Delivery()
    delivering.deliver([msgspec.structs.replace(one, entered=True) for one in tickets], delivery)
    assert asked == [
        [("Issue", "T-1"), ("Issue", "T-2"), ("Issue", "T-3")],
        [("ImportEntry", "T-2"), ("ImportEntry", "T-3")],
    ]
    assert delivered == [["T-3"]]
    assert (delivery.existed, delivery.entered, [one.row for one in delivery.wrong]) == (2, 1, [2, 3])
