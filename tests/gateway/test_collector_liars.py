"""Up to f Byzantine members: no forged outcome is accepted, and correct ones arrive."""

from typing import Any

import msgspec
import pytest

from dtvn.machine.leaf import subtree
from dtvn.machine.principals import ShownPrincipal
from dtvn.protocol import canonical, quorum
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import link_frame
from tests.gateway.support import Desk, Executed, Members, operation
from tests.support.table import table

BITS = 1 << 63


def changed(item: Executed, **fields: Any) -> m.Entry:
    return msgspec.structs.replace(item.entry, **fields)


def receipted(members: Members, liar: int, item: Executed, *, entry: bytes = b"", place: int = 0) -> bytes:
    """The liar's receipt for this entry hash (default: the true one), this far from the true sequence."""
    said = m.Receipt(0, liar, item.entry.sequence + place, entry or m.entry_hash(item.entry))
    return members.paper.signer(f"r{liar}").sign(said)


LIES: dict[str, Any] = {
    "another outcome in an entry of its own": lambda w, i, x: w.forged(i, x, "not_validated"),
    "another outcome under the true entry": lambda w, i, x: w.reply(
        i, x, outcomes=tuple(m.Outcome("not_validated", o.state) for o in x.outcomes)
    ),
    "another state": lambda w, i, x: w.reply(
        i, x, outcomes=tuple(m.Outcome(o.code, b"lie") for o in x.outcomes)
    ),
    "no outcomes": lambda w, i, x: w.reply(i, x, outcomes=()),
    "one outcome too many": lambda w, i, x: w.reply(i, x, outcomes=(*x.outcomes, m.Outcome("ok", b""))),
    "another position": lambda w, i, x: w.reply(i, x, first_index=x.first_index + 1),
    "a position below zero": lambda w, i, x: w.reply(i, x, first_index=-1),
    "a position out of this world": lambda w, i, x: w.reply(i, x, first_index=2**63),
    "another timestamp": lambda w, i, x: w.reply(i, x, entry=changed(x, timestamp=1)),
    "a timestamp below zero": lambda w, i, x: w.reply(i, x, entry=changed(x, timestamp=-1)),
    "another sequence": lambda w, i, x: w.reply(i, x, entry=changed(x, sequence=2**64 - 1)),
    "another epoch": lambda w, i, x: w.reply(i, x, entry=changed(x, epoch=1)),
    "a path that leads elsewhere": lambda w, i, x: w.reply(i, x, path=((True, bytes(32)),)),
    "a path without end": lambda w, i, x: w.reply(i, x, path=((True, bytes(32)),) * 5_000),
    "a receipt of another member": lambda w, i, x: w.reply(
        i, x, receipt=w.receipt((i + 1) % w.count, x.entry)
    ),
    "a receipt in another's name": lambda w, i, x: w.reply(
        i, x, receipt=w.receipt((i + 1) % w.count, x.entry, key_of=i)
    ),
    "a receipt of a member before": lambda w, i, x: w.reply(
        i, x, receipt=w.receipt((i - 1) % w.count, x.entry)
    ),
    "a receipt for a lower entry": lambda w, i, x: w.reply(i, x, receipt=receipted(w, i, x, entry=bytes(32))),
    "a receipt for a higher entry": lambda w, i, x: w.reply(
        i, x, receipt=receipted(w, i, x, entry=b"\xff" * 32)
    ),
    "a receipt for the sequence before": lambda w, i, x: w.reply(i, x, receipt=receipted(w, i, x, place=-1)),
    "a receipt for the sequence after": lambda w, i, x: w.reply(i, x, receipt=receipted(w, i, x, place=1)),
    "a repeat as receipt": lambda w, i, x: w.reply(i, x, receipt=w.repeat(i, x)),
    "a lower results root": lambda w, i, x: w.reply(i, x, entry=changed(x, results_root=bytes(32))),
    "a higher results root": lambda w, i, x: w.reply(i, x, entry=changed(x, results_root=b"\xff" * 32)),
    "a receipt that is no frame": lambda w, i, x: w.reply(i, x, receipt=b"receipt"),
    "a vote as receipt": lambda w, i, x: w.reply(
        i, x, receipt=w.paper.signer(f"r{i}").sign(m.Commit(0, i, 0, x.entry.sequence, bytes(32)))
    ),
    "other codes in a repeat": lambda w, i, x: w.repeat(i, x, codes=("not_validated",) * len(x.outcomes)),
    "too few codes in a repeat": lambda w, i, x: w.repeat(i, x, codes=()),
    "a repeat in another's name": lambda w, i, x: w.repeat(i, x, sender=(i + 1) % w.count),
    "expired": lambda w, i, x: link_frame(m.Busy((0, 0), 0, x.request, "expired", -5)),
    "unknown session": lambda w, i, x: link_frame(m.Busy((0, 0), 0, x.request, "unknown_session", 2**62)),
    "a long receipt": lambda w, i, x: w.reply(
        i,
        x,
        receipt=w.paper.signer(f"r{i}").sign(m.Repeat(0, i, (1, 0), 0, x.request, 1, 0, ("x" * 200,) * 9)),
    ),
    "a state without end": lambda w, i, x: w.reply(
        i, x, outcomes=tuple(m.Outcome(o.code, bytes(9_999)) for o in x.outcomes)
    ),
    "long codes in a repeat": lambda w, i, x: w.repeat(i, x, codes=("x" * 200,) * len(x.outcomes)),
    "a long word": lambda w, i, x: link_frame(m.Busy((0, 0), 0, x.request, "x" * 256, 0)),
    "bytes": lambda w, i, x: b"\x94\x46\xc4\x03abc\xc4\x00\xc4\x00",
    "nothing": lambda w, i, x: b"",
}


@table("lie", LIES, count=37)
@table("count", [4, 7], count=2)
def test_f_liars_are_never_believed_and_block_nothing(count: int, lie: str) -> None:
    desk = Desk(count)
    call = desk.submit(operation("A"), operation("A"))
    (item,) = desk.members.execute(*desk.bundles())
    liars = range(quorum.faults(count, Mode.PBFT))
    for member in liars:
        desk.receive(member, LIES[lie](desk.members, member, item))
    assert desk.codes(call) is None
    for member in range(len(liars), count):
        assert desk.codes(call) is None or member >= 2 * len(liars) + 1, "f honest ones are not enough"
        desk.receive(member, desk.members.reply(member, item))
    assert desk.codes(call) == ("ok", "already_validated")
    assert [result.state for result in desk.completed[call].results] == [b"state of A"] * 2


def test_one_liar_cannot_pass_off_the_outcome_of_an_identical_operation() -> None:
    """Two bundles with equal operations in one batch: only their positions tell them apart."""
    desk = Desk()
    first = desk.submit(operation("A"))
    second = desk.submit(operation("A"))
    one, two = desk.members.execute(*desk.bundles())
    swapped = {"first_index": one.first_index, "outcomes": one.outcomes, "path": one.path}
    desk.receive(3, desk.members.reply(3, two, **swapped))
    desk.receive(1, desk.members.reply(1, two))
    assert desk.codes(second) is None
    desk.receive(2, desk.members.reply(2, two))
    assert desk.codes(second) == ("already_validated",)
    for member in (1, 2):
        desk.receive(member, desk.members.reply(member, one))
    assert desk.codes(first) == ("ok",)


REPEATED: dict[str, dict[str, Any]] = {
    "other codes": {"codes": ("not_validated", "not_validated")},
    "one other code": {"codes": ("ok", "not_validated")},
    "codes in another order": {"codes": ("already_validated", "ok")},
    "another sequence": {"sequence": 77},
    "an earlier sequence": {"sequence": 1},
    "another position": {"first_index": 5},
}


@table("lie", REPEATED, count=6)
@table("first", [True, False], ids=["before", "after"], count=2)
@table("kind", ["repeat", "reply"], count=2)
def test_r16_a_repeat_that_differs_in_one_field_supports_nothing(kind: str, first: bool, lie: str) -> None:
    """f + 1 members must name the same codes at the same place, whichever of them is heard first."""
    desk = Desk()
    call = desk.submit(operation("A"), operation("A"))
    (item,) = desk.members.execute(*desk.bundles())
    answers = [
        (3, desk.members.repeat(3, item, **REPEATED[lie])),
        (1, getattr(desk.members, kind)(1, item)),
    ]
    for member, frame in answers if first else reversed(answers):
        desk.receive(member, frame)
    assert desk.codes(call) is None
    desk.receive(2, desk.members.repeat(2, item))
    assert desk.codes(call) == ("ok", "already_validated")
    assert desk.completed[call].results[0].sequence == item.entry.sequence


@pytest.mark.parametrize("repeats", [1, 2])
def test_r16_replies_and_true_repeats_add_up_in_any_order(repeats: int) -> None:
    desk = Desk()
    call = desk.submit(operation("A"))
    (item,) = desk.members.execute(*desk.bundles())
    answers = [desk.members.repeat(1, item), desk.members.reply(2, item)]
    for member, frame in (
        ((1, answers[0]), (2, answers[1])) if repeats == 1 else ((2, answers[1]), (1, answers[0]))
    ):
        assert desk.codes(call) is None
        desk.receive(member, frame)
    assert desk.codes(call) == ("ok",)


def test_r16_a_receipt_that_was_verified_for_one_member_is_none_of_another() -> None:
    """Bundles of one batch have the same receipts, whose signatures are checked once: a liar shows that of an
    honest member with the second bundle."""
    desk = Desk()
    desk.submit(operation("A"))
    call = desk.submit(operation("B"))
    one, two = desk.members.execute(*desk.bundles())
    for member in (1, 2):
        desk.receive(member, desk.members.reply(member, one))
    for liar in (0, 3):
        desk.receive(liar, desk.members.reply(liar, two, receipt=desk.members.receipt(2, two.entry)))
        desk.receive(2, desk.members.reply(2, two))
        assert desk.codes(call) is None
    desk.receive(1, desk.members.reply(1, two))
    assert desk.codes(call) == ("ok",)


def test_r16_a_repeat_for_another_bundle_supports_nothing() -> None:
    desk = Desk()
    call = desk.submit(operation("A"))
    other = desk.submit(operation("B"))
    one, two = desk.members.execute(*desk.bundles())
    moved = {"request": one.request}
    desk.receive(3, desk.members.repeat(3, two, **moved))
    desk.receive(1, desk.members.repeat(1, one))
    assert desk.codes(call) is None, "the position is that of the other bundle"
    desk.receive(2, desk.members.repeat(2, one))
    assert desk.codes(call) == ("ok",)
    assert desk.codes(other) is None


def test_a_liar_with_changing_claims_keeps_one_claim() -> None:
    desk = Desk()
    call = desk.submit(operation("A"))
    (item,) = desk.members.execute(*desk.bundles())
    for code in ("not_validated", "disputed", "ticket_not_found"):
        desk.receive(0, desk.members.forged(0, item, code))
        desk.receive(0, desk.members.forged(0, item, code))
        (flight,) = desk.collector._flights.values()
        assert len(flight.tally._candidates) == 1
    desk.receive(0, desk.members.reply(0, item))
    assert desk.codes(call) is None
    desk.receive(1, desk.members.reply(1, item))
    assert desk.codes(call) == ("ok",)


def held(desk: Desk) -> int:
    """Bytes of its members' frames that the collector keeps, measured as a copy of all it holds."""
    verifier = desk.collector._verifier
    flights = list(desk.collector._flights.values())
    kept = [frame for _member, frame in verifier._receipts]
    for flight in flights:
        tally = flight.tally
        kept += [frame for candidate in tally._candidates.values() for frame in candidate.receipts.values()]
        kept += [outcome.state for candidate in tally._candidates.values() for outcome in candidate.outcomes]
        kept += [code.encode() for repeat in tally._repeats.values() for code in repeat.codes]
        kept += [code.encode() for code in tally._hints.values()]
    return sum(map(len, kept))


@pytest.mark.parametrize("length", [2_000, 100_000])
def test_pitfall_15_signed_answers_of_any_length_are_not_kept(length: int) -> None:
    """Its signature is good, and each of its answers differs: what they leave behind is bounded."""
    desk = Desk()
    call = desk.submit(operation("A"), operation("A"))
    (item,) = desk.members.execute(*desk.bundles())
    for number in range(40):
        long = "x" * 250
        codes = (*[long] * (length // 250), str(number))
        desk.receive(3, desk.members.repeat(3, item, codes=codes))
        desk.receive(3, desk.members.repeat(3, item, codes=(long, str(number))))
        desk.receive(3, desk.members.reply(3, item, receipt=bytes(length) + bytes([number])))
        fat = tuple(m.Outcome(outcome.code, bytes(length)) for outcome in item.outcomes)
        root = subtree(item.first_index, item.bundle.operations, fat, item.entry.timestamp)
        entry = changed(item, results_root=root)
        own = desk.members.receipt(3, entry)
        desk.receive(3, desk.members.reply(3, item, entry=entry, outcomes=fat, path=(), receipt=own))
        desk.receive(3, link_frame(m.Busy((0, 0), 0, item.request, f"{number} {long}"[:256], 0)))
    assert held(desk) < 8_000
    assert desk.collector.refused()[3] >= 120
    for member in (0, 1):
        desk.receive(member, desk.members.reply(member, item))
    assert desk.codes(call) == ("ok", "already_validated")
    assert held(desk) < 2_000


def test_refused_answers_are_counted_by_member() -> None:
    desk = Desk()
    desk.submit(operation("A"))
    (item,) = desk.members.execute(*desk.bundles())
    desk.receive(2, desk.members.reply(2, item, outcomes=()))
    assert desk.collector.refused() == (0, 0, 1, 0)


def test_p15_the_size_limit_of_an_outcome_follows_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With about 13 long-named members the outcome of a change was refused, and only its code known."""
    members = tuple(g.Member("m" * 62 + f"{n:02}", bytes(32), "h" * 253, 65_000) for n in range(31))
    grants = tuple(g.Grant(f"{n:02}" + "\U0001f39f" * 62, "operate") for n in range(64))
    listed = ShownPrincipal("p" * 64, g.Principal("p" * 64, bytes(32), grants))
    shown = {
        "reconfigure": canonical.encode((9_999, members)),
        "limit_principal": canonical.encode(listed),
        "validate": bytes(6_000),
    }
    found = {}
    for kind, state in shown.items():
        desk = Desk()
        monkeypatch.setattr(desk.members, "_apply", lambda _operation, state=state: m.Outcome("ok", state))
        call = desk.submit(operation(kind=kind))
        desk.answer(*desk.bundles())
        found[kind] = None if call not in desk.completed else desk.completed[call].results[0].state
    assert found == shown | {"validate": None}, "a ticket's state is never so large: a liar's is not kept"
