"""The operation that ends an epoch offline: replicas execute it, no client can order it (R11)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.machine import operation_for, recover_operation
from dtvn.machine.recover_operation import Recover
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.membership import RECOVERY
from dtvn.protocol.consensus.verified import VerifiedBatch, VerifiedBundle
from dtvn.protocol.wire import PeerError
from dtvn.recovery.ending import final_batch
from tests.host.support import Paper, key_pair, operation
from tests.support.table import table
from tests.tickets_machine.support import Machine, public

NEW = tuple(public(f"next{number}") for number in range(4))


def ended(machine: Machine, batch: VerifiedBatch) -> str | None:
    """Execute it; the outcome code of its first operation, None: passed over."""
    result = machine.execute(list(batch.bundles)).results[0]
    return None if result is None else result.outcomes[0].code


def with_operation(**fields: object) -> VerifiedBatch:
    """The batch with another operation or another bundle."""
    batch = final_batch(0, NEW)
    bundle = batch.bundles[0].bundle
    other = msgspec.structs.replace(bundle, **fields)
    return msgspec.structs.replace(batch, bundles=(VerifiedBundle(other, bytes(32), b""),))


def test_r11_the_same_members_continue_under_new_keys() -> None:
    machine = Machine()
    before = machine.application.membership()
    root = machine.application.root()
    assert ended(machine, final_batch(0, NEW)) == "ok"
    after = machine.application.membership()
    assert (after.epoch, after.after, after.parameters) == (1, machine.sequence, before.parameters)
    assert [member.public_key for member in after.members] == list(NEW)
    for old, new in zip(before.members, after.members, strict=True):
        assert msgspec.structs.replace(new, public_key=old.public_key) == old
    assert machine.application.root() != root
    machine.save()
    assert machine.reload().membership() == after
    assert machine.reload().root() == machine.application.root()


@table(
    ("keys", "code"),
    [
        (NEW[:3], "malformed"),
        ((*NEW, public("one more")), "malformed"),
        ((*NEW[:3], NEW[0]), "malformed"),
        ((*NEW[:3], bytes(32)), "malformed"),
        ((*NEW[:3], public("node0")), "key_in_use"),
    ],
    count=5,
)
def test_r11_each_member_needs_a_new_and_unused_key(keys: tuple[bytes, ...], code: str) -> None:
    machine = Machine()
    assert ended(machine, final_batch(0, keys)) == code
    assert machine.application.membership().epoch == 0


def test_r11_a_principals_key_is_refused_as_a_members_key() -> None:
    machine = Machine()
    taken = machine.application.principal_key("gateway")
    assert taken is not None
    assert ended(machine, final_batch(0, (*NEW[:3], taken))) == "key_in_use"


def test_r11_a_recovery_ends_its_own_epoch_alone_and_once() -> None:
    machine = Machine()
    assert ended(machine, final_batch(1, NEW)) is None
    two = (operation_for(NEW), operation_for(NEW))
    assert ended(machine, with_operation(operations=two)) is None
    assert ended(machine, with_operation(operations=())) is None
    beside = [*final_batch(0, NEW).bundles, *final_batch(0, NEW).bundles]
    codes = [result.outcomes[0].code for result in machine.execute(beside).results if result is not None]
    assert codes == ["not_alone", "not_alone"]
    assert ended(machine, final_batch(0, NEW)) == "ok"
    assert ended(machine, final_batch(0, tuple(public(f"later{n}") for n in range(4)))) is None


def test_r11_no_other_operation_passes_permission_under_its_name() -> None:
    machine = Machine()
    for other in (
        msgspec.structs.replace(operation_for(NEW), kind="seed"),
        msgspec.structs.replace(operation_for(NEW), event="default"),
        msgspec.structs.replace(operation_for(NEW), payload=canonical.encode(Recover(NEW)) + b"\0"),
    ):
        assert ended(machine, with_operation(operations=(other,))) == "malformed"
    assert machine.application.membership().epoch == 0


def test_r11_a_principals_recovery_operation_is_malformed() -> None:
    """Replicas of two versions must agree on it."""
    machine = Machine()
    asked = msgspec.structs.replace(operation_for(NEW), valid_until=machine.now + 1_000_000)
    assert machine.order(asked)[0].code == "malformed"
    assert machine.application.membership().epoch == 0


def test_r11_the_door_refuses_a_recovery_request() -> None:
    """No key exists for that name: it enters no pool, no proposal and no batch that is fetched."""
    paper = Paper()
    batch = final_batch(0, tuple(key_pair(f"next{n}")[0] for n in range(4)))
    proposal = paper.signer("r0").sign(m.PrePrepare(0, 0, 0, 1, batch.digest), batch.body)
    supplied = paper.signer("r0").link(m.SupplyBatch(batch.body))
    for frame in (batch.batch.requests[0], proposal, supplied):
        with pytest.raises(PeerError) as caught:
            paper.verify(frame, 0)
        assert caught.value.reason is Reason.UNKNOWN_SENDER
    assert recover_operation.is_recovery(batch.bundles[0].bundle)
    assert not recover_operation.is_recovery(
        m.Bundle(0, "gateway", b"", (0, 0), 0, 0, (operation("T-1"),))
    ), RECOVERY
