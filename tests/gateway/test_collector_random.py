"""Random members, lies, losses and frames: each result is that of the log, and no frame raises."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from tests.gateway.support import SECOND, Desk, operation
from tests.gateway.test_collector_liars import LIES


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_each_result_equals_the_log_despite_f_liars(data: st.DataObject) -> None:
    """Random clusters, calls, batches, losses, repetitions, orders and lies."""
    count = data.draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7]), label="members")
    liars = frozenset(range(quorum.faults(count, Mode.PBFT)))
    desk = Desk(count)
    tickets = st.sampled_from(["A", "B", "C"])
    calls = [
        desk.submit(*map(operation, data.draw(st.lists(tickets, min_size=1, max_size=4), label="call")))
        for _ in range(data.draw(st.integers(1, 6), label="calls"))
    ]
    truth: dict[tuple[int, int], str] = {}
    while frames := desk.bundles():
        cut = data.draw(st.integers(0, len(frames)), label="cut")
        for batch in (frames[:cut], frames[cut:]):
            done = desk.members.execute(*batch)
            for item in done:
                for index, outcome in enumerate(item.outcomes, item.first_index):
                    truth[item.entry.sequence, index] = outcome.code
            answers = [
                (member, item, kind)
                for item in done
                for member in range(count)
                for kind in data.draw(st.lists(st.sampled_from(["reply", "repeat"]), min_size=1, max_size=2))
            ]
            for member, item, kind in data.draw(st.permutations(answers), label="order"):
                if member in liars:
                    lie = data.draw(st.sampled_from(sorted(LIES)), label="lie")
                    desk.receive(member, LIES[lie](desk.members, member, item))
                else:
                    desk.receive(member, getattr(desk.members, kind)(member, item))
    for call in calls:
        for result in desk.completed[call].results:
            assert result.code == truth[result.sequence, result.index]
    assert len({(r.sequence, r.index) for call in calls for r in desk.completed[call].results}) == sum(
        len(desk.completed[call].results) for call in calls
    ), "no two operations share one place in the log"


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3), st.binary(max_size=300), st.integers(0, 127))
def test_no_frame_of_a_member_raises(member: int, noise: bytes, kind: int) -> None:
    desk = Desk(session=False)
    desk.submit(operation())
    desk.receive(member, noise)
    desk.receive(member, msgspec.msgpack.encode((kind, noise, b"", b"")))
    desk.pass_time(SECOND)
