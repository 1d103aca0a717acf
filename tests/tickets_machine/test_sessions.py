"""Sessions: every bundle once (R12, R16, R19; P9)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.machine import Admit, Barrier, Issue, OpenSession, TicketApplication, Validate
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import Bundle
from dtvn.protocol.consensus.sessions import WINDOW
from tests.tickets_machine.support import MINUTE, Machine, genesis, sealed


@pytest.fixture
def machine() -> Machine:
    made = Machine()
    made.do(Issue(), "T-1")
    return made


def refused(machine: Machine, bundle: Bundle) -> Reason | None:
    return machine.application.refuse(bundle, machine.now)


def test_r12_a_session_id_is_the_position_of_its_opening_operation() -> None:
    machine = Machine()
    barrier = machine.bundle([machine.operation(Barrier())] * 3)
    opening = machine.opening(nonce=b"second")
    machine.execute([barrier, opening])
    bundle = machine.bundle([machine.operation(Barrier())], session=(machine.sequence, 3), number=0)
    assert machine.execute([bundle]).results[0] is not None


def test_r12_an_executed_bundle_is_skipped_and_located_in_the_log(machine: Machine) -> None:
    bundle = machine.bundle([machine.operation(Validate(), "T-1"), machine.operation(Validate(), "T-1")])
    first = machine.execute([machine.bundle([machine.operation(Barrier())] * 2), bundle])
    sequence = machine.sequence
    assert first.results[1] is not None
    again = machine.execute([bundle])
    assert again.results == (None,)
    repeated = machine.application.repeated(bundle.bundle)
    assert repeated is not None
    assert repeated.digest == bundle.digest
    assert (repeated.sequence, repeated.first_index) == (sequence, 2)
    assert repeated.codes == ("ok", "already_validated")
    assert refused(machine, bundle.bundle) is None  # the core asks `repeated`


def test_r19_a_duplicate_inside_one_batch_is_skipped(machine: Machine) -> None:
    bundle = machine.bundle([machine.operation(Admit(), "T-1")])
    results = machine.execute([bundle, bundle]).results
    assert results[0] is not None
    assert results[0].outcomes[0].code == "ok"
    assert results[1] is None


def test_row_9_another_body_under_an_executed_number_is_never_executed(machine: Machine) -> None:
    number = machine.numbers["gateway"]
    machine.execute([machine.bundle([machine.operation(Barrier())])])
    other = machine.bundle([machine.operation(Admit(), "T-1")], number=number)
    assert machine.execute([other]).results == (None,)
    assert machine.state("T-1") == "ISSUED"
    repeated = machine.application.repeated(other.bundle)
    assert repeated is not None
    assert repeated.digest != other.digest  # the core sees that it answers another request


def test_skipped_bundles_keep_their_indices(machine: Machine) -> None:
    """Indices follow from the batch alone, whatever was executed before."""
    old = machine.bundle([machine.operation(Barrier())] * 5)
    machine.execute([old])
    results = machine.execute([old, machine.bundle([machine.operation(Admit(), "T-1")])]).results
    assert results[1] is not None
    assert results[1].first_index == 5
    state = machine.show("T-1")
    assert state is not None
    assert state.index == 5


def test_bundles_of_one_session_may_come_in_any_order(machine: Machine) -> None:
    bundles = [machine.bundle([machine.operation(Barrier())]) for _ in range(5)]
    results = machine.execute(bundles[::-1]).results
    assert None not in results


@pytest.mark.parametrize(
    ("offset", "reason"),
    [(0, None), (WINDOW - 1, None), (WINDOW, Reason.OUTSIDE_SESSION_WINDOW)],
)
def test_r12_bundle_numbers_must_be_inside_a_window(offset: int, reason: Reason | None) -> None:
    machine = Machine()
    machine.session()
    bundle = machine.bundle([machine.operation(Barrier())], number=offset)
    assert refused(machine, bundle.bundle) is reason
    assert (machine.execute([bundle]).results[0] is None) is (reason is not None)


def test_r12_the_window_moves_only_by_done_below(machine: Machine) -> None:
    session = machine.session()
    machine.execute([machine.bundle([machine.operation(Barrier())], number=900)])
    beyond = machine.bundle([machine.operation(Barrier())], number=WINDOW + 10)
    assert refused(machine, beyond.bundle) is Reason.OUTSIDE_SESSION_WINDOW
    moving = machine.bundle([machine.operation(Barrier())], number=WINDOW + 10, done_below=800)
    assert refused(machine, moving.bundle) is None
    assert machine.execute([moving]).results[0] is not None
    below = machine.bundle([machine.operation(Barrier())], session=session, number=799)
    assert refused(machine, below.bundle) is Reason.OUTSIDE_SESSION_WINDOW
    assert machine.execute([below]).results == (None,)


def test_row_9_a_replay_below_done_below_changes_nothing(machine: Machine) -> None:
    machine.do(Issue(), "T-2")
    old = machine.bundle([machine.operation(Validate(), "T-2")])
    machine.execute([old])
    number = machine.numbers["gateway"]
    machine.execute([machine.bundle([machine.operation(Barrier())], done_below=number)])
    assert machine.application.repeated(old.bundle) is None
    root = machine.application.root()
    assert machine.execute([old]).results == (None,)
    assert machine.application.root() == root


def test_a_bundle_below_its_own_done_below_is_skipped(machine: Machine) -> None:
    bundle = machine.bundle([machine.operation(Barrier())], number=5, done_below=6)
    assert machine.execute([bundle]).results == (None,)


def test_a_far_leap_of_done_below_costs_no_work(machine: Machine) -> None:
    far = 2**62  # the largest number that the wire carries
    bundle = machine.bundle([machine.operation(Barrier())], number=far, done_below=far)
    assert machine.execute([bundle]).results[0] is not None
    assert machine.application.root()


def test_r1_a_request_signed_for_a_later_epoch_is_not_executed_before_it(machine: Machine) -> None:
    """A primary can put it into a batch; every replica passes it over, and no pool keeps it."""
    honest = machine.bundle([machine.operation(Barrier())])
    early = sealed(msgspec.structs.replace(honest.bundle, epoch=7))
    opening = sealed(msgspec.structs.replace(machine.opening(nonce=b"early").bundle, epoch=1))
    assert refused(machine, early.bundle) is Reason.WRONG_EPOCH
    assert refused(machine, opening.bundle) is Reason.WRONG_EPOCH
    results = machine.execute([early, opening, honest]).results
    assert results[:2] == (None, None)
    assert results[2] is not None
    assert results[2].first_index == 2


def test_r12_an_unknown_session_is_never_created(machine: Machine) -> None:
    bundle = machine.bundle([machine.operation(Admit(), "T-1")], session=(77, 0), number=0)
    assert refused(machine, bundle.bundle) is Reason.UNKNOWN_SESSION
    assert machine.execute([bundle]).results == (None,)
    assert machine.state("T-1") == "ISSUED"


def test_a_session_serves_only_the_principal_that_opened_it(machine: Machine) -> None:
    bundle = machine.bundle(
        [machine.operation(Admit(), "T-1")],
        principal="scanner",
        session=machine.session("gateway"),
        number=50,
    )
    assert refused(machine, bundle.bundle) is Reason.UNKNOWN_SESSION
    assert machine.execute([bundle]).results == (None,)


def test_r15_an_unknown_principal_is_skipped(machine: Machine) -> None:
    bundle = machine.bundle(
        [machine.operation(OpenSession(), nonce=b"n")],
        principal="nobody",
        session=(0, 0),
        number=0,
    )
    assert refused(machine, bundle.bundle) is Reason.UNKNOWN_SENDER
    assert machine.execute([bundle]).results == (None,)


def test_r12_the_least_recently_executed_session_is_evicted() -> None:
    machine = Machine(genesis(sessions_max=4))
    sessions = []
    for number in range(4):
        machine.execute([machine.opening(nonce=bytes([number]))])
        sessions.append((machine.sequence, 0))
    for session in (sessions[0], sessions[2]):
        machine.execute([machine.bundle([machine.operation(Barrier())], session=session, number=0)])
    machine.execute([machine.opening(nonce=b"fifth"), machine.opening(nonce=b"sixth")])
    alive = [
        machine.execute([machine.bundle([machine.operation(Barrier())], session=session, number=9)]).results[
            0
        ]
        is not None
        for session in sessions
    ]
    assert alive == [True, False, True, False]


def opened(machine: Machine, principal: str, count: int) -> list[tuple[int, int]]:
    """`count` new sessions, one a sequence."""
    sessions = []
    for _ in range(count):
        nonce = machine.sequence.to_bytes(4, "big")
        machine.execute([machine.opening(principal=principal, nonce=nonce)])
        sessions.append((machine.sequence, 0))
    return sessions


def alive(machine: Machine, sessions: list[tuple[int, int]], principal: str) -> int:
    """How many of these still take a bundle."""
    bundles = [machine.bundle((), principal=principal, session=session, number=9) for session in sessions]
    asked = [msgspec.structs.replace(b.bundle, operations=(machine.operation(Barrier()),)) for b in bundles]
    return sum(machine.application.refuse(each, machine.now) is None for each in asked)


def test_r12_a_principal_without_grants_evicts_only_its_own_sessions() -> None:
    """Three principals, twelve places: four each where the table is full."""
    machine = Machine(genesis(sessions_max=12))
    gate = opened(machine, "gateway", 3)
    scan = opened(machine, "scanner", 2)
    swept = opened(machine, "reader", 60)
    assert (alive(machine, gate, "gateway"), alive(machine, scan, "scanner")) == (3, 2)
    assert alive(machine, swept[-7:], "reader") == alive(machine, swept, "reader") == 7


def test_r12_a_principal_below_its_share_evicts_one_above_it() -> None:
    machine = Machine(genesis(sessions_max=12))
    scan = opened(machine, "scanner", 3)
    swept = opened(machine, "reader", 9)
    gate = opened(machine, "gateway", 6)
    assert alive(machine, scan, "scanner") == 3, "the oldest, but within its share"
    assert alive(machine, gate, "gateway") == alive(machine, gate[-4:], "gateway") == 4, (
        "its share, the newest"
    )
    assert alive(machine, swept, "reader") == alive(machine, swept[-5:], "reader") == 5


def test_r12_shares_are_the_same_after_a_restart() -> None:
    machine = Machine(genesis(sessions_max=12))
    swept = opened(machine, "reader", 12)
    for session in reversed(swept):
        machine.execute(
            [machine.bundle([machine.operation(Barrier())], principal="reader", session=session, number=0)]
        )
    machine.save()
    fresh = machine.reload(backwards=True)
    openings = [machine.opening(principal="gateway"), machine.opening(principal="reader", nonce=b"more")]
    machine.execute(openings)
    fresh.execute(openings, sequence=machine.sequence, timestamp=machine.now)
    assert fresh.root() == machine.application.root()
    assert alive(machine, swept, "reader") == alive(machine, swept[:-2], "reader") == 10


def test_an_evicted_session_takes_its_rows_with_it() -> None:
    machine = Machine(genesis(sessions_max=4))
    machine.do(Barrier())
    machine.save()
    assert ("bundle", (1, 0, 0)) in machine.rows
    for number in range(4):
        machine.execute([machine.opening(nonce=bytes([number]))])
    machine.save()
    assert ("session", (1, 0)) not in machine.rows
    assert ("bundle", (1, 0, 0)) not in machine.rows
    assert machine.reload().root() == machine.application.root()


def test_r13_opening_twice_with_one_nonce_opens_once() -> None:
    machine = Machine()
    opening = machine.opening(nonce=b"mine")
    results = machine.execute([opening, opening]).results
    assert results[0] is not None
    assert results[1] is None
    later = machine.opening(nonce=b"mine")  # another bundle: valid_until moved on
    machine.now += MINUTE
    assert later.digest != sealed(opening.bundle).digest or later.bundle == opening.bundle
    assert machine.execute([later]).results == (None,)
    repeated = machine.application.repeated(later.bundle)
    assert repeated is not None
    assert (repeated.sequence, repeated.first_index, repeated.codes) == (1, 0, ("ok",))
    assert repeated.digest == later.digest


def test_a_bundle_without_session_has_one_form_only() -> None:
    machine = Machine()
    bare = [machine.operation(OpenSession())]
    twice = [machine.operation(OpenSession(), nonce=b"n")] * 2
    other = [machine.operation(Barrier(), nonce=b"n")]
    for operations in (bare, twice, other):
        bundle = machine.bundle(operations, session=(0, 0), number=0)
        assert refused(machine, bundle.bundle) is Reason.MALFORMED
        assert machine.execute([bundle]).results == (None,)


def test_an_empty_bundle_is_refused_and_skipped(machine: Machine) -> None:
    bundle = machine.bundle([], number=3)
    assert refused(machine, bundle.bundle) is Reason.MALFORMED
    assert machine.execute([bundle]).results == (None,)


def test_expired_or_too_large_bundles_are_refused_on_arrival(machine: Machine) -> None:
    late = machine.bundle([machine.operation(Barrier(), valid_for=-1)])
    assert refused(machine, late.bundle) is Reason.EXPIRED
    large = machine.bundle([machine.operation(Barrier())] * 1_001)
    assert refused(machine, large.bundle) is Reason.TOO_LARGE


def test_row_9_a_restart_forgets_no_executed_bundle(machine: Machine) -> None:
    """Replay after a restart: the client table is in the rows and in the root."""
    bundles = [
        machine.bundle([machine.operation(Validate(), "T-1")]),
        *(machine.bundle([machine.operation(Barrier())]) for _ in range(200)),
    ]
    machine.execute(bundles)
    machine.save()
    fresh: TicketApplication = machine.reload()
    assert fresh.root() == machine.application.root()
    for bundle in bundles:
        assert fresh.repeated(bundle.bundle) == machine.application.repeated(bundle.bundle)
    results = fresh.execute(bundles, sequence=machine.sequence + 1, timestamp=machine.now + 1)
    assert set(results.results) == {None}


def test_eviction_order_survives_a_restart() -> None:
    machine = Machine(genesis(sessions_max=4))
    sessions = []
    for number in range(4):
        machine.execute([machine.opening(nonce=bytes([number]))])
        sessions.append((machine.sequence, 0))
    for session in reversed(sessions):
        machine.execute([machine.bundle([machine.operation(Barrier())], session=session, number=0)])
    machine.save()
    opening = machine.opening(nonce=b"fifth")
    fresh = machine.reload(backwards=True)
    machine.execute([opening])
    fresh.execute([opening], sequence=machine.sequence, timestamp=machine.now)
    assert fresh.root() == machine.application.root()
