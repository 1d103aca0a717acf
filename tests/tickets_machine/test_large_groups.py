"""A group of the state that is too large for one answer travels in parts (R23, R25; decision 0166)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import pytest

from dtvn.machine import Issue, Seed, TicketApplication, Validate, snapshot
from dtvn.machine import parts as machine_parts
from dtvn.machine.parts import size_of
from dtvn.machine.snapshot import Staging, _ticket_key
from dtvn.machine.tree import GROUP_BUCKETS, GROUPS, locate, salted
from dtvn.protocol import canonical
from dtvn.protocol.consensus.application import Item
from dtvn.protocol.consensus.messages import FetchGroups
from dtvn.protocol.consensus.transfer import parts
from dtvn.protocol.consensus.transfer.serving import ANSWER_BYTES, GROUP_BYTES_MAX
from dtvn.protocol.genesis import cluster_id
from tests.tickets_machine.support import Machine
from tests.tickets_machine.test_snapshot import frozen, installed

Items = tuple[Item, ...]
LONG = tuple((f"{number:02d}" + "\U00010000" * 62, "\U00010000" * 256) for number in range(16))
"""The longest metadata that a ticket may have."""
CROWD = 7
"""The group in which the tickets of these tests fall."""


def crowded(machine: Machine, group: int = CROWD) -> Iterator[str]:
    """Ids of tickets that all fall into one group."""
    salt = salted(cluster_id(machine.genesis))
    for number in itertools.count():
        name = f"T{number}"
        if locate(salt, _ticket_key("default", name))[0] // GROUP_BUCKETS == group:
            yield name


def fetched(source: TicketApplication, staging: Staging) -> int:
    """Fetch every part in turn; returns the bytes of the largest answer."""
    largest = 0
    while staging.missing:
        question = canonical.encode(FetchGroups(10, parts.spell(parts.some(staging.missing, set(), 32))))
        for number in parts.read(canonical.decode(FetchGroups, question).groups):
            items = source.read_pinned(number)
            assert items
            largest = max(largest, sum(map(size_of, items)))
            assert staging.add(number, items)
    return largest


def begun(machine: Machine, sequence: int = 10) -> Staging:
    root, manifest = frozen(machine, sequence)
    staging = machine.application.staging(manifest, root)
    assert staging is not None
    return staging


def crowd(machine: Machine, count: int, issue: Issue | None = None, group: int = CROWD) -> list[str]:
    names = list(itertools.islice(crowded(machine, group), count))
    for name in names:
        assert machine.do(issue or Issue(), name) == "ok"
    return names


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Some groups are large: those with more than a few tickets."""
    monkeypatch.setattr(machine_parts, "WHOLE_BYTES_MAX", 2_000)
    monkeypatch.setattr(machine_parts, "PART_BYTES", 1_000)
    return Machine()


def listed(machine: Machine, staging: Staging) -> Items:
    """The list of the crowd's group, taken."""
    found = machine.application.read_pinned(CROWD)
    assert found is not None
    assert staging.add(CROWD, found)
    return found


def test_r23_a_state_is_transferred_although_tickets_crowd_one_group() -> None:
    machine = Machine()
    crowd(machine, 400, Issue(data=b"d" * 4_096, metadata=LONG))
    root = machine.application.root()
    staging = begun(machine)
    assert fetched(machine.application, staging) < ANSWER_BYTES
    assert sum(map(size_of, staging._groups[CROWD])) > GROUP_BYTES_MAX
    assert installed(staging).root() == root


def test_r25_a_group_fetched_in_parts_equals_the_pinned_one(small: Machine) -> None:
    names = crowd(small, 150)
    root = small.application.root()
    staging = begun(small)
    small.do(Validate(), names[0])
    small.application.freeze(20)
    small.do(Issue(), next(itertools.islice(crowded(small), 150, None)))
    assert fetched(small.application, staging) < 5_500, "the list: 150 hashes in 64 pieces"
    assert installed(staging).root() == root


def test_p17_parts_of_any_size_are_accepted_from_any_member(small: Machine) -> None:
    """Leaf by leaf, in whatever order, twice."""
    crowd(small, 70)
    staging = begun(small)
    listed(small, staging)
    numbers = [number for number in staging.missing if number >= GROUPS]
    assert len(numbers) == 2
    while numbers:
        items = small.application.read_pinned(numbers[-1])
        assert items
        assert staging.add(numbers[-1], items[:1])
        numbers = [number for number in staging.missing if number >= GROUPS]
    fetched(small.application, staging)
    assert installed(staging).root() == small.application.root()


def test_p17_leaves_after_a_quicker_liars_answer_are_taken_too(small: Machine) -> None:
    """A liar answers the same question with one leaf, which renumbers what is missing; it must not make every
    honest answer look useless.
    """
    crowd(small, 70)
    staging = begun(small)
    listed(small, staging)
    for number in [number for number in staging.missing if number >= GROUPS]:
        items = small.application.read_pinned(number) or ()
        assert staging.add(number, items[:1])
        assert number not in staging.missing
        assert staging.add(number, items)
        behind = parts.first_of(number) + len(items)  # type: ignore[operator]
        lacking = {parts.first_of(each) for each in staging.missing if each >= GROUPS}
        assert lacking.isdisjoint(range(behind - len(items), behind))
    fetched(small.application, staging)
    assert installed(staging).root() == small.application.root()


def test_p17_a_poisoned_part_or_list_is_recognised_by_itself(small: Machine) -> None:
    crowd(small, 70)
    staging = begun(small)
    (found,) = small.application.read_pinned(CROWD) or ()
    first = next(at for at, bucket in enumerate(found) if bucket)
    wrong = [
        (*found[:first], found[first][:-1] + b"\0", *found[first + 1 :]),
        (*found[:first], found[first][:-32], *found[first + 1 :]),
        (*found[:first], found[first][:-1], *found[first + 1 :]),
        (*found[:-1], found[-1] + bytes(32)),
        found[::-1],
        (b"",) * GROUP_BUCKETS,
        found[:-1],
        (*found, b""),
        found[:3],
    ]
    for item in wrong:
        assert not staging.add(CROWD, (item,))
    assert not staging.add(CROWD, (found, found))
    other = next(group for group in staging.missing if group != CROWD)
    assert not staging.add(other, (found,)), "the list of another group"
    assert staging.add(CROWD, (found,))
    number = next(number for number in staging.missing if number >= GROUPS)
    items = small.application.read_pinned(number) or ()
    state, issued = items[0]
    for sent in (
        (),
        items[::-1],
        items[1:],
        (*items, items[-1]),
        ((state, issued + b"\0"), *items[1:]),
        ((b"ticket" + state + issued,), *items[1:]),
        ((state + issued[:1], issued[1:]), *items[1:]),
        ((), *items[1:]),
        (found,),
    ):
        assert not staging.add(number, sent)
        assert number in staging.missing
    assert not staging.add(parts.part(CROWD, parts.LEAVES_MAX), items), "no leaf has that number"
    assert staging.add(number, items)


def test_p17_a_whole_small_group_after_a_liars_list_is_accepted(
    small: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd(small, 70)
    staging = begun(small)
    listed(small, staging)
    monkeypatch.setattr(machine_parts, "WHOLE_BYTES_MAX", 1 << 20)
    small.application.release()
    small.application.pin(10)
    number = next(number for number in staging.missing if number >= GROUPS)
    whole = small.application.read_pinned(number) or ()
    assert len(whole) >= 70
    assert staging.add(number, whole)
    assert not [number for number in staging.missing if parts.group_of(number) == CROWD]
    fetched(small.application, staging)
    assert installed(staging).root() == small.application.root()


def test_received_parts_are_kept_for_a_newer_snapshot(small: Machine) -> None:
    crowd(small, 150)
    staging = begun(small)
    listed(small, staging)
    number = next(number for number in staging.missing if number >= GROUPS)
    assert staging.add(number, small.application.read_pinned(number) or ())
    small.do(Issue(), next(crowded(small, CROWD + 1)))
    newer = begun(small, 20)
    newer.adopt(staging)
    assert CROWD not in newer.missing
    assert number not in newer.missing
    assert [number for number in newer.missing if number >= GROUPS]
    fetched(small.application, newer)
    assert installed(newer).root() == small.application.root()


def groups_put_in_order(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each large group that its source puts in order."""
    found: list[int] = []
    right = snapshot.list_of
    monkeypatch.setattr(
        snapshot, "list_of", lambda leaves, group: (found.append(group), right(leaves, group))[1]
    )
    return found


def test_r25_large_groups_are_ordered_once_and_a_bounded_number_are_kept(
    small: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sorted_ = groups_put_in_order(monkeypatch)
    for group in (1, 2, 3):
        crowd(small, 70, group=group)
    fetched(small.application, begun(small))
    assert len(sorted_) == len(set(sorted_)) >= 3
    sorted_.clear()
    monkeypatch.setattr(snapshot, "ORDERED_MAX", 150)
    small.application.release()
    begun(small)
    for group in (1, 2, 3, 2, 3, 1):
        small.application.read_pinned(parts.part(group, 0))
    assert sorted_ == [1, 2, 3, 1]
    assert list(small.application._state.freezer._pinned.ordered) == [3, 1]  # type: ignore[union-attr]


def test_r25_an_unchanged_group_is_not_ordered_again(small: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that asks for each new checkpoint makes its source order only the changed groups."""
    found = groups_put_in_order(monkeypatch)
    crowd(small, 70, group=1)
    names = crowd(small, 71, group=2)
    begun(small)
    before = [small.application.read_pinned(group) for group in (1, 2)]
    small.do(Validate(), names[0])
    newer = begun(small, 20)
    after = [small.application.read_pinned(group) for group in (1, 2)]
    assert found == [1, 2, 2]
    assert after[0] == before[0]
    assert after[1] != before[1]
    fetched(small.application, newer)
    assert installed(newer).root() == small.application.root()


def test_a_part_beyond_every_group_is_empty(small: Machine) -> None:
    small.do(Seed())
    crowd(small, 70)
    begun(small)
    assert small.application.read_pinned(parts.part(CROWD, 500)) == ()
    assert small.application.read_pinned(-1) is None


def test_r23_a_question_names_groups_or_parts_of_one_of_them() -> None:
    missing = dict.fromkeys([3, 5, parts.part(4, 0), parts.part(4, 64), parts.part(9, 1_048_512)])
    assert parts.some(missing, set(), 32) == (3, 5)
    assert parts.some(missing, {3, 5}, 32) == (parts.part(4, 0), parts.part(4, 64))
    assert parts.some(missing, {3}, 1) == (5,)
    for without in (set(), {3, 5}, set(missing) - {parts.part(9, 1_048_512)}, set(missing)):
        numbers = parts.some(missing, without, 32)
        spelt = parts.spell(numbers)
        assert parts.read(canonical.decode(FetchGroups, canonical.encode(FetchGroups(1, spelt))).groups) == (
            numbers
        )
    assert parts.read((4, 4)) == ()
    assert parts.read((4, 4, 0, 0, 1)) == (parts.part(4, 0),)
    assert msgspec.msgpack.encode(parts.spell(()))
