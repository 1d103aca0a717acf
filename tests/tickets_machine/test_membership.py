"""Epochs in the replicated state: their rows, their keys, and vector clocks that grow (R24, R35)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.machine import (
    AddPrincipal,
    Admit,
    CommandError,
    Issue,
    Reconfigure,
    RotatePrincipal,
    Validate,
    build,
)
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.membership import KIND, Change, LivenessProof
from dtvn.protocol.consensus.messages import Batch, Bundle
from dtvn.protocol.genesis import Member, check_terms
from dtvn.protocol.quorum import MEMBERS_MAX
from dtvn.protocol.versions import NEWEST
from dtvn.protocol.wire.envelope import encode_envelope
from tests.support.table import table
from tests.tickets_machine.support import START, Machine, public


def key(number: int) -> bytes:
    return public(f"node{number}")


def reconfigured(machine: Machine, number: int, leaves: str = "", joins: tuple[Member, ...] = ()) -> None:
    """Change the membership, with liveness proofs of all next members."""
    now = machine.application.membership()
    members = [member for member in now.members if member.id != leaves] + list(joins)
    alive = tuple(
        LivenessProof(m.id, machine.sequence, machine.now, 2 * m.public_key, NEWEST) for m in members
    )
    change = Change(epoch=number, leaves=leaves, joins=joins, alive=alive, allow_small=True)
    assert machine.do(Reconfigure(change)) == "ok"


def newcomer(number: int) -> Member:
    return Member(f"node{number}", key(number), "127.0.0.1", 4_000 + number)


@pytest.mark.parametrize("searched", [True, False])
def test_r24_epochs_are_in_the_root_and_survive_a_restart(searched: bool) -> None:
    machine = Machine(searched=searched)
    roots = set()
    for ticket in range(8):
        machine.do(Issue(), f"T-{ticket}")
    for epoch in range(3):
        machine.do(Validate(), f"T-{epoch}", entry="node3")
        machine.do(AddPrincipal(f"node{4 + epoch}", key(4 + epoch)))
        reconfigured(machine, epoch, joins=(newcomer(4 + epoch),))
        machine.do(Admit(), f"T-{epoch}", entry=f"node{4 + epoch}")
        machine.save()
        fresh = machine.reload()
        assert fresh.root() == machine.application.root()
        assert fresh.membership() == machine.application.membership()
        assert fresh.member_key(epoch + 1, 4 + epoch) == key(4 + epoch)
        assert fresh.member_key(epoch, 4 + epoch) is None
        roots.add(fresh.root())
        for change in machine.rows.values():
            assert isinstance(change, ApplicationChange)
        later = machine.bundle([machine.operation(Validate(), f"T-{7 - epoch}", entry=f"node{4 + epoch}")])
        fresh.execute([later], sequence=machine.sequence + 1, timestamp=machine.now + 1)
        machine.execute([later])
        assert fresh.root() == machine.application.root()
    assert len(roots) == 3


def test_a_vector_clock_names_every_present_and_former_member() -> None:
    machine = Machine()
    machine.do(Issue(), "T-1", entry="node1")
    reconfigured(machine, 0, leaves="node1", joins=(newcomer(7),))
    assert machine.do(Validate(), "T-1", entry="node8") == "malformed"
    assert machine.do(Validate(), "T-1", entry="node7") == "ok"
    assert machine.do(Issue(), "T-2", entry="node1") == "ok"  # under way when that node went
    machine.save()
    row = machine.rows["ticket", ("default", "T-1")].row
    assert row.clock == {"node1": 1, "node7": 1}
    assert machine.application.member_names == ["node0", "node1", "node2", "node3", "node7"]


def test_the_outcome_of_a_change_names_the_next_epoch_and_its_members() -> None:
    """What an epoch change proof certificate proves (R35): it has the form that verifiers read."""
    from dtvn.proof.chain import EpochStart

    machine = Machine()
    members = machine.genesis.members[:3]
    alive = tuple(
        LivenessProof(m.id, machine.sequence, machine.now, 2 * m.public_key, NEWEST) for m in members
    )
    change = Change(epoch=0, leaves="node3", alive=alive, allow_small=True)
    operation = machine.operation(Reconfigure(change))
    [outcome] = machine.order(operation)
    assert operation.kind == KIND
    assert canonical.decode(EpochStart, outcome.state) == EpochStart(1, members)


@table("host", ["_node5", "node_5", "é.example", "http://h", "*", "a b", "", "1.2.3.4.5", "[::1]"], count=9)
def test_a_newcomer_whose_host_cannot_be_dialled_never_joins(host: str) -> None:
    """Before, the log accepted it, and no member could start in the epoch that it began."""
    machine = Machine()
    operation = machine.operation(Reconfigure(Change(epoch=0, joins=(newcomer(9),))))
    there = msgspec.structs.replace(newcomer(9), host=host)
    bad = msgspec.structs.replace(operation, payload=canonical.encode(Reconfigure(Change(0, "", (there,)))))
    assert [outcome.code for outcome in machine.order(bad)] == ["malformed"]
    with pytest.raises(CommandError, match="address cannot be dialled"):
        machine.operation(Reconfigure(Change(epoch=0, joins=(there,))))


@table(
    ("wrong", "said"),
    [
        ({"id": ""}, "a member's id has 1 to 64 characters"),
        ({"id": "n" * 65}, "a member's id has 1 to 64 characters"),
        ({"id": "-n"}, "a member's id has 1 to 64 characters"),
        ({"id": "n 1"}, "a member's id has 1 to 64 characters"),
        ({"public_key": bytes(31)}, "the newcomer's key is not an Ed25519 key"),
        ({"port": 0}, "address cannot be dialled"),
        ({"port": 65_536}, "address cannot be dialled"),
    ],
    count=7,
)
def test_a_newcomer_without_a_name_key_or_port_never_joins(wrong: dict[str, Any], said: str) -> None:
    machine = Machine()
    operation = machine.operation(Reconfigure(Change(epoch=0, joins=(newcomer(9),))))
    there = msgspec.structs.replace(newcomer(9), **wrong)
    bad = msgspec.structs.replace(operation, payload=canonical.encode(Reconfigure(Change(0, "", (there,)))))
    assert [outcome.code for outcome in machine.order(bad)] == ["malformed"]
    with pytest.raises(CommandError, match=said):
        machine.operation(Reconfigure(Change(epoch=0, joins=(there,))))
    longest = msgspec.structs.replace(newcomer(9), id="n" * 64, port=65_535)
    machine.operation(Reconfigure(Change(epoch=0, joins=(longest,))))


@table("host", ["10.0.0.7", "2001:db8::7", "localhost", "node-5", "n5.cup.example", "3com.example"], count=6)
def test_a_newcomer_is_dialled_at_an_address_or_a_name_of_dns(host: str) -> None:
    machine = Machine()
    there = msgspec.structs.replace(newcomer(9), host=host)
    assert machine.do(Reconfigure(Change(epoch=0, joins=(there,)))) == "not_ready"


@table(
    ("field", "value"),
    [
        *[
            ("drift_bound", 99_999),
            ("drift_bound", 1_000),
            ("view_timeout", 49_999),
            ("batch_bytes_max", 5_999),
        ],
        *[("checkpoint_interval", 3_178), ("checkpoint_interval", 0)],
        *[("batch_operations_max", 5_001), ("batch_operations_max", 0)],
    ],
    count=8,
)
def test_parameters_that_prevent_all_ordering_are_refused(field: str, value: int) -> None:
    """Not even the change back would be ordered: a drift bound of 1 ms delays every proposal without end."""
    machine = Machine()
    wanted = msgspec.structs.replace(machine.genesis.parameters, **{field: value})
    assert machine.do(Reconfigure(Change(epoch=0, parameters=(wanted,)))) == "malformed"


def test_the_largest_change_fits_into_the_smallest_batch() -> None:
    """So that small batches can be undone by the change back."""
    names = [f"m{number:02}".ljust(64, "x") for number in range(MEMBERS_MAX)]
    words = tuple(LivenessProof(name, 2**40, START, bytes(64), NEWEST) for name in names)
    joins = (Member("n" * 64, key(9), ".".join(["h" * 63] * 3 + ["h" * 61]), 65_535),)
    operation = build(
        Reconfigure(Change(2**20, names[0], joins, (), True, words)),
        actor="a" * 128,
        entry="e" * 64,
        valid_until=START,
        nonce=bytes(64),
    )
    bundle = Bundle(2**20, "p" * 64, bytes(32), (2**40, 0), 2**40, 2**40, (operation,))
    body = canonical.encode(Batch(2**20, START, (encode_envelope(1, canonical.encode(bundle), bytes(64)),)))
    smallest = msgspec.structs.replace(Machine().genesis.parameters, batch_bytes_max=6_000)
    check_terms("any", smallest, MEMBERS_MAX)
    assert len(body) <= smallest.batch_bytes_max


def test_a_key_that_another_member_used_is_refused() -> None:
    machine = Machine()
    machine.do(AddPrincipal("door", key(9)))
    taken = [
        Member("node9", key(9), "127.0.0.1", 1),  # of a principal of another name
        Member("node9", public("g"), "127.0.0.1", 1),
        Member("node9", key(1), "127.0.0.1", 1),
    ]
    for member in taken:
        assert machine.do(Reconfigure(Change(epoch=0, joins=(member,)))) == "key_in_use"
    reconfigured(machine, 0, leaves="node1", joins=(newcomer(5),))
    again = Member("node9", key(1), "127.0.0.1", 1)
    assert machine.do(Reconfigure(Change(epoch=1, joins=(again,)))) == "key_in_use"
    returned = Member("node1", key(1), "127.0.0.1", 1)
    assert machine.do(Reconfigure(Change(epoch=1, joins=(returned,)))) == "key_in_use", "its own of then"
    assert machine.do(AddPrincipal("node9", key(5))) == "key_in_use"
    assert machine.do(RotatePrincipal("scanner", key(1))) == "key_in_use"
