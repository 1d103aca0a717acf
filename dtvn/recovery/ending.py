"""Executes a plan and the end of the epoch after it: every member must reach the same, byte for byte (R11,
R22).

The operation `recover` is an entry like any other, at the sequence after the plan's last one. So the replay
at start, a lagging replica, a learner and an auditor read it as a part of the log, and there is no second way
to change the membership. It cannot have been ordered: its request has no signer, so no replica accepts it in
a proposal.
"""

from __future__ import annotations

import msgspec

from dtvn.machine import TicketApplication, operation_for
from dtvn.machine.keyring import KeyRing
from dtvn.protocol import canonical
from dtvn.protocol.consensus import NULL_BATCH, Executor, epoch_change_proof
from dtvn.protocol.consensus.application import Application
from dtvn.protocol.consensus.effects import EntryRecord
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.membership import RECOVERY
from dtvn.protocol.consensus.messages import (
    KIND_OF,
    NULL_BATCH_DIGEST,
    Batch,
    Bundle,
    Continuation,
    batch_digest,
    bundle_digest,
)
from dtvn.protocol.consensus.verified import VerifiedBatch, VerifiedBundle
from dtvn.protocol.genesis import Genesis
from dtvn.protocol.scheme import SIGNATURE_SIZE
from dtvn.protocol.wire import ED25519, Door, FrameSigner, PeerError, Scheme, encode_envelope
from dtvn.recovery.forms import CONTINUE, RecoveryError
from dtvn.recovery.planning import Plan, Slot

OK = "ok"


class Ending(msgspec.Struct, frozen=True):
    """The result of a member that executed the plan."""

    continuation: Continuation
    """The statement to be signed; `sender` is 0."""
    entries: tuple[EntryRecord, ...]
    """The entries that the member's ledger lacks; the last one holds `recover`."""
    epoch_change_proof: epoch_change_proof.EpochChangeProof
    """The end of the epoch, without signatures."""


def reach(plan: Plan, tail: LedgerTail, genesis: Genesis, scheme: Scheme = ED25519) -> Ending:
    """Executes the plan on a ledger that holds the log up to the plan's first sequence. Raises RecoveryError,
    and InvariantBreach if the ledger contradicts itself."""
    cluster = plan.reading.config.cluster
    application = TicketApplication(genesis, cluster, verify=scheme.verify)
    application.load(tail.rows)
    keys = KeyRing(application, plan.reading.membership)
    executor = Executor(plan.reading.config.epoch, application)
    executor.restore(tail, FrameSigner(cluster, b"", keys, scheme=scheme))
    return execute(plan, application, executor, Door(cluster, keys, scheme=scheme))


def final_batch(epoch: int, keys: tuple[bytes, ...]) -> VerifiedBatch:
    """The batch that ends `epoch`: the members' own request, which has no signature. Its proposed timestamp
    is 0, so its effective timestamp is the lowest possible one (R3) and needs no clock."""
    bundle = Bundle(epoch, RECOVERY, b"", (0, 0), 0, 0, (operation_for(keys),))
    encoded = canonical.encode(bundle)
    frame = encode_envelope(KIND_OF[Bundle], encoded, bytes(SIGNATURE_SIZE))
    batch = Batch(0, 0, (frame,))
    verified = VerifiedBundle(bundle, bundle_digest(encoded), frame)
    return VerifiedBatch(batch, batch_digest(0, 0, (verified.digest,)), canonical.encode(batch), (verified,))


def execute(plan: Plan, application: Application, executor: Executor, door: Door) -> Ending:
    """Executes from the end of a restored executor's log to the end of the epoch; raises RecoveryError.

    `door`: checks the signatures of requests by the principals of `application`.
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
    begun = epoch_change_proof.begun(step, executor, application.membership())
    ending = canonical.decode(epoch_change_proof.EpochChangeProof, begun.value)
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
    """Raises RecoveryError if the executed state differs from a stable checkpoint of a statement at the same
    sequence. The statements' entries have been checked (reading), so the members that sent them are not at
    fault."""
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
    """The first body of a slot's batch in which all requests are validly signed; raises RecoveryError if no
    member sent one."""
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
