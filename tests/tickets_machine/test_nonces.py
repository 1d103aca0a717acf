"""Nonces and `valid_until`: one operation, one outcome, however often it is asked for (R13, R14)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.machine import (
    Admit,
    Barrier,
    Dispute,
    Issue,
    Seed,
    Validate,
    nonces,
    seeded_count,
)
from dtvn.machine.nonces import KEPT_AFTER, NonceTable, Remembered
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import Operation
from tests.tickets_machine.support import HOUR, MINUTE, SECOND, Machine, genesis, shown


@pytest.fixture
def machine() -> Machine:
    made = Machine()
    made.do(Issue(), "T-1")
    return made


def test_r13_a_repetition_inside_one_bundle_and_one_batch_counts_once(machine: Machine) -> None:
    operation = machine.operation(Admit(), "T-1", nonce=b"k")
    one = machine.bundle([operation, operation])
    two = machine.bundle([operation])
    results = machine.execute([one, two]).results
    codes = [outcome.code for result in results if result for outcome in result.outcomes]
    assert codes == ["ok", "ok", "ok"]
    state = machine.show("T-1")
    assert state is not None
    assert sum(state.clock) == 2  # issue and one admission


def test_r13_a_repeated_outcome_shows_the_ticket_as_it_is_now(machine: Machine) -> None:
    for nonce, code in ((b"k", "ok"), (b"again", "already_validated")):
        assert machine.do(Validate(), "T-1", nonce=nonce) == code
    machine.do(Dispute(), "T-1")
    for nonce, code in ((b"k", "ok"), (b"again", "already_validated")):
        (outcome,) = machine.order(machine.operation(Validate(), "T-1", nonce=nonce))
        assert (outcome.code, shown(outcome).state.name) == (code, "DISPUTED")


def test_r13_transport_fields_are_no_part_of_the_body(machine: Machine) -> None:
    machine.do(Validate(), "T-1", nonce=b"k", entry="node0", valid_for=SECOND)
    assert machine.do(Validate(), "T-1", nonce=b"k", entry="node3", valid_for=MINUTE) == "ok"


def test_r13_a_nonce_is_kept_until_an_hour_after_valid_until() -> None:
    machine = Machine()
    machine.session()
    machine.now += 2 * HOUR  # the session's own nonce is forgotten by now
    machine.do(Barrier(), nonce=b"k", valid_for=MINUTE)
    machine.save()
    group = ("nonce", (machine.sequence,))
    keep_until = machine.rows[group].row.keep_until
    assert keep_until == machine.now - 1 + MINUTE + HOUR
    machine.now = keep_until - 1
    machine.do(Barrier())
    machine.save()
    assert group in machine.rows
    machine.do(Barrier())
    machine.save()
    assert group not in machine.rows
    assert machine.reload().root() == machine.application.root()


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("looked_at", ["the short one's end", "the long one's end"])
def test_r13_a_group_of_nonces_is_kept_until_its_latest_one_ends(order: int, looked_at: str) -> None:
    """Nonces of one sequence are forgotten together, the earliest not before its time."""
    machine = Machine()
    machine.session()
    machine.now += 2 * HOUR
    short = machine.operation(Barrier(), nonce=b"short", valid_for=SECOND)
    long = machine.operation(Barrier(), nonce=b"long", valid_for=9 * MINUTE)
    machine.order(*[short, long][::order])
    group = ("nonce", (machine.sequence,))
    machine.save()
    keep_until = machine.rows[group].row.keep_until
    assert keep_until == long.valid_until + HOUR
    first = short.valid_until + HOUR if "short" in looked_at else keep_until - 1
    for machine.now, kept in ((first, True), (keep_until, False)):  # `do` comes a microsecond later
        machine.do(Barrier())
        machine.save()
        assert (group in machine.rows) is kept
        assert machine.reload().root() == machine.application.root()


def test_r13_all_nonces_of_one_sequence_are_stored_and_forgotten_together() -> None:
    machine = Machine()
    machine.session()
    machine.now += 2 * HOUR
    operations = [machine.operation(Barrier(), nonce=nonce) for nonce in (b"one", b"two")]
    machine.order(*operations)
    machine.save()
    row = machine.rows["nonce", (machine.sequence,)].row
    assert [entry.nonce for entry in row.entries] == [b"one", b"two"]
    machine.now += HOUR + MINUTE
    assert [machine.do(Issue(), nonce.decode(), nonce=nonce) for nonce in (b"one", b"two")] == ["ok", "ok"]


def test_r13_state_bytes_that_equal_a_nonce_by_chance_do_not_count() -> None:
    """Here in the time of the admission: its last bytes read as a nonce's own do."""
    machine = Machine()
    machine.do(Issue(), "T-1")
    machine.now = (machine.now | 0xFFFFFF) - 0xFFFFFF + 0xC4016B - 1 + (1 << 24)
    assert machine.do(Admit(gate="n"), "T-1", nonce=b"first") == "ok"
    state = machine.show("T-1")
    assert state is not None
    assert b"\xc4\x01k" in canonical.encode(state)
    assert machine.do(Admit(gate="n"), "T-1", nonce=b"k") == "already_consumed"


def test_r13_a_principal_holds_a_bounded_number_of_nonces() -> None:
    machine = Machine(genesis(nonces_max=100))
    codes = [machine.do(Barrier(), nonce=bytes([number, 1])) for number in range(120)]
    assert codes == ["ok"] * 99 + ["busy"] * 21  # the session's own nonce is one of the hundred
    assert machine.do(Barrier(), nonce=b"k", principal="scanner") == "ok"
    assert machine.do(Barrier()) == "ok"
    machine.now += 2 * HOUR
    assert machine.do(Barrier(), nonce=bytes([110, 1])) == "ok"  # busy bound nothing


def test_r13_forgotten_nonces_make_room_for_as_many_and_a_load_counts_each_once() -> None:
    table = NonceTable(4, lambda _key: None)

    def use(*names: str, sequence: int) -> None:
        for at, name in enumerate(names):
            assert not table.full("gateway")
            first = Remembered(b"", 0, sequence, at)
            table.remember(("gateway", "", name.encode()), first, 10 * sequence)

    use("a", "b", sequence=1)
    use("c", "d", sequence=2)
    assert table.full("gateway")
    table.forget(KEPT_AFTER + 11)
    use("e", "f", sequence=3)
    assert table.full("gateway")
    table.forget(KEPT_AFTER + 21)
    use("g", sequence=4)
    groups = [(number, group) for number in (3, 4) if (group := table.row((number,))) is not None]
    for _ in range(2):  # a fetched state replaces what was there
        table.load(groups)
    use("h", sequence=5)
    assert table.full("gateway")
    assert not table.full("other")


def test_r13_a_full_quota_of_nonces_leaves_room_to_open_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a principal with an idle session would be blocked for an hour, nonces or not."""
    monkeypatch.setattr(nonces, "OPENINGS_RESERVED", 3)
    machine = Machine(genesis(nonces_max=100))
    codes = [machine.do(Barrier(), nonce=bytes([number, 1])) for number in range(100)]
    assert codes[-1] == "busy"

    def opened(nonce: bytes) -> str:
        result = machine.execute([machine.opening(nonce=nonce)]).results[0]
        assert result is not None
        return result.outcomes[0].code

    assert [opened(b"second"), opened(b"third")] == ["ok", "ok"]
    machine.save()
    machine.application = machine.reload()
    assert [opened(b"fourth"), opened(b"fifth")] == ["ok", "busy"], "their room is bounded too"
    machine.sessions["gateway"] = (machine.sequence - 1, 0)
    machine.numbers["gateway"] = 0
    assert machine.do(Barrier(), nonce=b"one more") == "busy"
    assert machine.do(Barrier()) == "ok"


def test_r13_a_retry_past_valid_until_is_not_reported_as_expired(machine: Machine) -> None:
    """f + 1 such hints would tell its client that the admission did not happen."""
    refuse = machine.application.refuse
    assert machine.do(Admit(gate="n"), "T-1", nonce=b"b") == "ok"
    retry = machine.operation(Admit(gate="n"), "T-1", nonce=b"b", valid_for=SECOND)
    fresh = machine.operation(Validate(), "T-1", nonce=b"l", valid_for=SECOND)
    bare = machine.operation(Validate(), "T-1", valid_for=SECOND)
    both = machine.bundle([fresh, retry])
    lone = machine.bundle([fresh, bare])
    machine.execute([], after=2 * SECOND)
    assert refuse(both.bundle, machine.now) is None
    assert refuse(lone.bundle, machine.now) is Reason.EXPIRED
    for number in range(2, 8):
        other = machine.bundle([altered(retry, ticket=f"T-{number}")])
        assert refuse(other.bundle, machine.now) is Reason.EXPIRED
    (result,) = machine.execute([both]).results
    assert result is not None
    assert [outcome.code for outcome in result.outcomes] == ["expired", "ok"]


def test_a_repeated_seed_creates_nothing(machine: Machine) -> None:
    (first,) = machine.order(machine.operation(Seed(), nonce=b"k"))
    (again,) = machine.order(machine.operation(Seed(), nonce=b"k"))
    assert (first.code, seeded_count(first.state)) == ("ok", 500)
    assert (again.code, seeded_count(again.state)) == ("ok", 0)
    assert again.state, "its leaf says so too"


def altered(operation: Operation, **fields: object) -> Operation:
    return msgspec.structs.replace(operation, **fields)


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize(
    "fields",
    [
        {"nonce": b"n" * 65},
        {"kind": "explode"},
        {"kind": "open_session"},
        {"ticket": ""},
        {"ticket": "../x"},
        {"ticket": "T" * 129},
        {"ticket": "T-1\n"},
        {"event": "a b"},
        {"event": ""},
        {"event": "e" * 65},
        {"actor": "nul\0"},
        {"actor": "a" * 129},
        {"entry": "node9"},
        {"entry": ""},
        {"payload": b"\x92\xa1a"},
        {"payload": b"\x92\xa1a\xa0\x00"},
        {"payload": b"\x92\xd9\x01a\xa0"},
    ],
)
def test_a_malformed_operation_has_an_outcome_and_changes_nothing(
    machine: Machine, fields: dict[str, object], *, known: bool
) -> None:
    """`known`: the same command came before: some members have it in their memo, others not."""
    machine.session()
    if known:
        assert machine.do(Admit(), "T-2")
    operation = altered(machine.operation(Admit(), "T-1"), **fields)
    before = machine.show("T-1")
    machine.application.root()
    (outcome,) = machine.order(operation)
    assert outcome.code == "malformed"
    named = (operation.event, operation.ticket) == ("default", "T-1")
    assert (shown(outcome) if outcome.state else None) == (before if named else None)
    assert machine.show("T-1") == before


def test_an_operation_with_an_unexpected_ticket_id_is_malformed(machine: Machine) -> None:
    """Also when such a ticket exists and the payload has been seen before."""
    machine.do(Seed())
    machine.do(Validate(), "T-1")
    seed = altered(machine.operation(Seed()), ticket="T-1")
    assert machine.order(seed)[0].code == "malformed"
