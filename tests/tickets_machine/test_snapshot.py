"""A frozen state is read while later ones are made, and assembled elsewhere (R24, R25; P17)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.machine import Issue, Seed, TicketApplication, Validate, prove_ticket, read_state, snapshot
from dtvn.machine.snapshot import Staging
from dtvn.machine.tree import GROUPS, SIZE, root_of_groups
from dtvn.protocol.genesis import cluster_id
from tests.tickets_machine.support import Machine

DEEP = b"\x91" * 5_000 + b"\x90"
BOTTOMLESS = (
    (b"\x93\xa1x\x91" + DEEP + b"\xc0",),  # the key of a row
    (b"\x93\xa1x\x90" + DEEP,),  # what a row holds
    (b"\x95\xa1e\xa1t\x01\xa0" + DEEP, b""),  # behind the head of a ticket
)
"""Items in which arrays are nested deeper than a decoder's stack reaches."""


def gather(source: TicketApplication, manifest: bytes, root: bytes) -> Staging:
    """All groups, read at once."""
    staging = source.staging(manifest, root)
    assert staging is not None
    for group in list(staging.missing):
        items = source.read_pinned(group)
        assert items is not None
        assert staging.add(group, items)
    return staging


def installed(staging: Staging) -> TicketApplication:
    assert not staging.missing
    application = Machine().application
    application.load(staging.rows())
    return application


def frozen(machine: Machine, sequence: int = 10) -> tuple[bytes, bytes]:
    root = machine.application.freeze(sequence)
    manifest = machine.application.pin(sequence)
    assert manifest is not None
    return root, manifest


def test_a_snapshot_restores_the_state_it_was_taken_of() -> None:
    machine = Machine()
    machine.do(Seed())
    machine.do(Validate(), "TICKET-001")
    root, manifest = frozen(machine)
    other = installed(gather(machine.application, manifest, root))
    assert other.root() == root
    assert other.size() == machine.application.size()
    assert other.changes() == [], "what was installed is not stored twice"


def test_r25_a_pinned_state_is_unchanged_while_execution_continues() -> None:
    """Changes before and after the next freezes, tickets that came later, sessions and nonces that moved."""
    machine = Machine()
    machine.do(Seed())
    root, manifest = frozen(machine)
    machine.do(Validate(), "TICKET-001")
    machine.application.root()
    machine.do(Validate(), "TICKET-002")
    for sequence in (20, 30):
        assert machine.application.freeze(sequence) != root
        assert machine.do(Validate(), f"TICKET-0{sequence}") == "ok"
        assert machine.do(Issue(), f"LATE-{sequence}") == "ok"
    assert installed(gather(machine.application, manifest, root)).root() == root


def test_only_the_newest_freeze_can_be_pinned() -> None:
    machine = Machine()
    machine.application.freeze(10)
    machine.application.freeze(20)
    assert machine.application.pin(10) is None
    assert machine.application.pin(20) is not None
    machine.application.release()
    assert machine.application.read_pinned(0) is None


def test_p17_a_manifest_that_is_not_the_roots_is_refused() -> None:
    machine = Machine()
    machine.do(Seed())
    root, manifest = frozen(machine)
    assert root_of_groups(manifest) == root
    for wrong in (b"", manifest[:-1], manifest + b"\0" * SIZE, bytes(GROUPS * SIZE), manifest[::-1]):
        assert machine.application.staging(wrong, root) is None


def test_p17_every_poisoned_group_is_recognised() -> None:
    machine = Machine()
    machine.do(Seed())
    root, manifest = frozen(machine)
    staging = machine.application.staging(manifest, root)
    assert staging is not None
    groups = {group: machine.application.read_pinned(group) or () for group in staging.missing}
    group = next(g for g, items in groups.items() if any(len(item) == 2 for item in items))
    items = groups[group]
    ticket = next(item for item in items if len(item) == 2)
    other = next(items for g, items in groups.items() if g != group)
    rest = tuple(item for item in items if item is not ticket)
    poisoned: list[tuple[tuple[bytes, ...], ...]] = [
        rest,
        (*items, ticket),
        (*rest, (ticket[0], ticket[1] + b"\0")),
        (*rest, (ticket[0][:-1] + bytes((ticket[0][-1] ^ 1,)), ticket[1])),
        (*rest, (b"", b"")),
        (*rest, ()),
        (*rest, (b"\xc1",)),
        *((*rest, item) for item in BOTTOMLESS),
        (*rest, (ticket[0], ticket[1], b"")),
        other,
        (),
    ]
    for items_sent in poisoned:
        assert not staging.add(group, items_sent)
        assert group in staging.missing
    assert not staging.add(GROUPS + 5, ())
    assert not staging.add(-1, ())
    assert staging.add(group, items)
    assert staging.add(group, other), "a second copy is not even looked at"


def test_groups_that_did_not_change_are_kept_for_a_newer_snapshot() -> None:
    machine = Machine()
    machine.do(Seed())
    root, manifest = frozen(machine)
    old = gather(machine.application, manifest, root)
    machine.do(Validate(), "TICKET-001")
    newer_root, newer_manifest = frozen(machine, 20)
    newer = machine.application.staging(newer_manifest, newer_root)
    assert newer is not None
    newer.adopt(old)
    assert 0 < len(newer.missing) <= 6, "a ticket, the session, its page, a nonce group or two, the clock"
    for group in list(newer.missing):
        assert newer.add(group, machine.application.read_pinned(group) or ())
    assert installed(newer).root() == newer_root


def test_a_pinned_state_that_keeps_too_much_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "KEPT_MAX", 5)
    machine = Machine()
    machine.do(Seed())
    frozen(machine)
    for number in range(1, 8):
        machine.do(Validate(), f"TICKET-00{number}")
    assert machine.application.read_pinned(0) is not None
    machine.application.freeze(20)
    assert machine.application.read_pinned(0) is None


def test_r18_a_frozen_state_proves_presence_and_absence_of_a_ticket() -> None:
    machine = Machine()
    machine.do(Seed())
    cluster = cluster_id(machine.genesis)
    assert machine.application.prove("default", "TICKET-001") is None, "nothing is frozen yet"
    root = machine.application.freeze(10)
    machine.do(Validate(), "TICKET-001")
    proof = machine.application.prove("default", "TICKET-001")
    assert proof is not None
    found = prove_ticket(cluster, root, proof, "default", "TICKET-001")
    assert found is not None
    state = read_state(found[0])
    assert state is not None
    assert (proof.sequence, state.ticket, state.state.name) == (10, "TICKET-001", "ISSUED")
    absent = machine.application.prove("default", "NOBODY")
    assert absent is not None
    assert prove_ticket(cluster, root, absent, "default", "NOBODY") is None
    for wrong in (
        msgspec.structs.replace(proof, items=()),
        msgspec.structs.replace(proof, items=(*proof.items, (b"", b""))),
        msgspec.structs.replace(proof, siblings=proof.siblings[:-1]),
        msgspec.structs.replace(proof, siblings=proof.siblings[::-1]),
        *(msgspec.structs.replace(proof, items=(*proof.items, item)) for item in BOTTOMLESS),
    ):
        with pytest.raises(ValueError, match=r"bucket|read"):
            prove_ticket(cluster, root, wrong, "default", "TICKET-001")
    with pytest.raises(ValueError, match="bucket"):
        prove_ticket(cluster, root, proof, "default", "NOBODY")
    machine.application.root()
    assert machine.application.prove("default", "TICKET-001") is None, "the tree has moved on"


def test_r45_a_searched_state_gets_the_rows_that_it_would_have_written_itself() -> None:
    """A follower with pages takes a state: its tickets have all columns, and equal those of the source."""
    machine = Machine()
    machine.do(Seed())
    machine.do(Validate(), "TICKET-001")
    root, manifest = frozen(machine)
    source = machine.application
    follower = TicketApplication(machine.genesis, cluster_id(machine.genesis), searched=True)
    staging = follower.staging(manifest, root)
    assert staging is not None
    for group in list(staging.missing):
        assert staging.add(group, source.read_pinned(group) or ())
    rows = {change.key: change.row for change in staging.rows() if change.table == "ticket"}
    assert len(rows) == source.size()
    assert rows == {key: source.row(*key) for key in rows}
    assert list(rows) == sorted(rows, key=lambda key: (len(key[0]), key[0], len(key[1]), key[1]))
    for loaded in (staging.rows, staging.state):
        follower.load(loaded())
        assert follower.root() == root
        assert follower.changes() == []
        assert {key: follower.row(*key) for key in rows} == rows
