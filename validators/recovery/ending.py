"""Executing a plan, and the end of the epoch behind it: what every member must reach, byte for byte (R11,
R22).

The operation `recover` is an entry like any other, at the sequence behind the plan's last: so a replay at
start, a lagging replica, a learner and an auditor read it as they read the log, and no second way changes the
membership. Nobody could have ordered it: its request has no signer, and no door lets it into a proposal.
"""

from __future__ import annotations

import msgspec

from tickets.machine import TicketApplication
from tickets.machine.recovery import operation_for
from validators import canonical
from validators.consensus import handover
from validators.consensus.application import Application
from validators.consensus.bodies import NULL_BATCH
from validators.consensus.effects import EntryRecord
from validators.consensus.executor import Executor
from validators.consensus.membership import RECOVERY
from validators.consensus.messages import (
    KIND_OF,
    NULL_BATCH_DIGEST,
    Batch,
    Bundle,
    Continuation,
    batch_digest,
    bundle_digest,
)
from validators.consensus.needs import Recovery
from validators.consensus.verified import VerifiedBatch, VerifiedBundle
from validators.genesis import Genesis
from validators.recovery.forms import CONTINUE, RecoveryError
from validators.recovery.planning import Plan, Slot
from validators.wire import ED25519, Door, FrameSigner, PeerError, Scheme
from validators.wire.envelope import encode_envelope
from validators.wire.scheme import SIGNATURE_SIZE

__all__ = ["Ending", "execute", "final_batch", "reach"]

OK = "ok"


class Ending(msgspec.Struct, frozen=True):
    """What a member reached that executed the plan."""

    continuation: Continuation
    """To be signed; `sender` is 0."""
    entries: tuple[EntryRecord, ...]
    """Those that its ledger lacks, `recover` the last of them."""
    handover: handover.HandOver
    """The end of the epoch, without signatures."""


class _Keys:
    """wire.Keys of the principals alone."""

    def __init__(self, application: TicketApplication) -> None:
        self._application = application

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """See wire.Keys: no member's statement is looked at."""
        return None

    def principal_key(self, name: str) -> bytes | None:
        """See wire.Keys."""
        return self._application.principal_key(name)


def reach(plan: Plan, recovery: Recovery, genesis: Genesis, scheme: Scheme = ED25519) -> Ending:
    """What a ledger comes to that holds the log on which the plan follows; raise RecoveryError. Raises
    InvariantBreach where the ledger contradicts itself."""
    cluster = plan.reading.config.cluster
    application = TicketApplication(genesis, cluster, verify=scheme.verify)
    application.load(recovery.rows)
    keys = _Keys(application)
    executor = Executor(plan.reading.config.epoch, application)
    executor.restore(recovery, FrameSigner(cluster, b"", keys, scheme=scheme))
    return execute(plan, application, executor, Door(cluster, keys, scheme=scheme))


def final_batch(epoch: int, keys: tuple[bytes, ...]) -> VerifiedBatch:
    """The batch that ends `epoch`: the members' own request, which nobody signs. Its proposed timestamp is 0,
    so its effective one is the least that is possible (R3): no clock is asked."""
    bundle = Bundle(epoch, RECOVERY, b"", (0, 0), 0, 0, (operation_for(keys),))
    encoded = canonical.encode(bundle)
    frame = encode_envelope(KIND_OF[Bundle], encoded, bytes(SIGNATURE_SIZE))
    batch = Batch(0, 0, (frame,))
    verified = VerifiedBundle(bundle, bundle_digest(encoded), frame)
    return VerifiedBatch(batch, batch_digest(0, 0, (verified.digest,)), canonical.encode(batch), (verified,))


def execute(plan: Plan, application: Application, executor: Executor, door: Door) -> Ending:
    """Bring a restored executor from the end of its own log to the end of the epoch; raise RecoveryError.

    `door`: knows the principals of `application`, whose signatures under requests are checked.
    """
    epoch = plan.reading.config.epoch
    entries: list[EntryRecord] = []
    for slot in plan.slots:
        if slot.sequence == executor.executed + 1:
            entries.append(executor.execute(_batch(slot, door)).record(slot.commits))
            _check_stable(plan, application, executor)
    if executor.executed != plan.last:
        raise RecoveryError(f"This log ends at {executor.executed}, and the plan begins at {plan.first}.")
    if application.membership().epoch != epoch:
        raise RecoveryError(
            f"The log ends with a change of the members that took effect at "
            f"{application.membership().after}, and recovery cannot go on behind one. {CONTINUE}"
        )
    keys = tuple(told.statement.new_key for told in plan.reading.told)
    step = executor.execute(final_batch(epoch, keys))
    outcome = step.done()[0][1].outcomes[0]
    if outcome.code != OK:
        raise RecoveryError(f"The machine refuses the new keys: {outcome.code}.")
    entries.append(step.record(()))
    begun = handover.begun(step, executor, application.membership())
    ending = canonical.decode(handover.HandOver, begun.value)
    continuation = Continuation(
        epoch=epoch,
        sender=0,
        sequence=step.entry.sequence,
        state_root=application.root(),
        log_root=executor.log_root(),
        timestamp=executor.timestamp,
        keys=keys,
    )
    return Ending(continuation, tuple(entries), ending)


def _check_stable(plan: Plan, application: Application, executor: Executor) -> None:
    """What was executed must be what q members signed, wherever a checkpoint among the statements says so.
    The entries are (reading), so whoever told them is not at fault."""
    for told in plan.reading.told:
        found = told.checkpoint
        if found is not None and found.sequence == executor.executed:
            mine = (application.root(), executor.log_root(), executor.timestamp)
            if mine != (found.state_root, found.log_root, found.timestamp):
                raise RecoveryError(
                    f"Executed here, the log leads to another state than {len(found.frames)} members signed "
                    f"at checkpoint {found.sequence}: this ledger or this program is damaged. Keep all "
                    "ledgers as they are."
                )


def _batch(slot: Slot, door: Door) -> VerifiedBatch:
    """The batch of a sequence whose requests are all signed; raise RecoveryError where nobody showed one."""
    if slot.digest == NULL_BATCH_DIGEST:
        return NULL_BATCH
    why = ""
    for body in slot.bodies:
        try:
            found = door.batch(body)
        except PeerError as error:
            why = str(error)
            continue
        if found.digest == slot.digest:
            return found
    raise RecoveryError(
        f"No request of the batch at sequence {slot.sequence} is signed as it must be: {why}."
    )
