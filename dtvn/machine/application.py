"""The ticket machine as consensus sees it: executes batches, computes the state root, saves and loads rows.

Execution reads nothing but the state under the root, the batch, its sequence and its effective timestamp
(R22).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dtvn.machine import leaf, reasons, recover_operation
from dtvn.machine.kinds import CAPABILITY
from dtvn.machine.membership import Memberships
from dtvn.machine.principals import Principals
from dtvn.machine.rows import TicketRow
from dtvn.machine.snapshot import Proof, Staging
from dtvn.machine.state import MachineState
from dtvn.machine.ticket import MembersAt, TicketState, read_state, row_of
from dtvn.machine.transitions import State
from dtvn.protocol import canonical, signatures
from dtvn.protocol.consensus.application import BatchResult, BundleResult, Item, Repeated
from dtvn.protocol.consensus.effects import ApplicationChange, Reason
from dtvn.protocol.consensus.membership import KIND, Membership, Verify
from dtvn.protocol.consensus.messages import Bundle, Outcome, bundle_digest
from dtvn.protocol.consensus.sessions import ExecutedBundle
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.genesis import Genesis
from dtvn.protocol.versions import LISTS

UNOPENED = (0, 0)
"""The `session` field of a bundle that opens a session (R12)."""


class TicketApplication:
    """The replicated state of one cluster (implements dtvn.protocol.consensus.application.Application).

    `searched`: True if stored rows are searched, so ticket changes are TicketRows; else they are TicketBytes.
    `verify`: checks signatures inside operations; the simulator passes its own scheme.
    """

    def __init__(
        self,
        genesis: Genesis,
        cluster_id: bytes,
        *,
        searched: bool = False,
        verify: Verify = signatures.verify,
    ) -> None:
        self._genesis = genesis
        self._cluster_id = cluster_id
        self._searched = searched
        self._verify = verify
        self._state = MachineState(genesis, cluster_id, verify, searched=searched)

    def count_states(self) -> dict[str, int]:
        """Number of tickets by the name of their State, upheld apart from disputed; all five are present."""
        states = self._state.registry.states
        return {state.name: states.get(state, 0) for state in State}

    def count_kept(self) -> dict[str, int]:
        """Number of "runs" of agent events, of "locks" that are held, and of "waiters" for them."""
        locks = self._state.locks
        return {"runs": len(self._state.runs), "locks": len(locks), "waiters": len(locks.waiters)}

    def execute(self, bundles: Sequence[VerifiedBundle], *, sequence: int, timestamp: int) -> BatchResult:
        """Apply a batch in order; duplicates, unknown sessions and later epochs are skipped (R12,
        R19)."""
        self._state.begin(sequence, timestamp)
        self._state.context.alone = len(bundles) == 1 and len(bundles[0].bundle.operations) == 1
        results: list[BundleResult | None] = []
        index = 0
        for verified in bundles:
            if self._skips(verified.bundle):
                results.append(None)
            else:
                results.append(self._execute(verified, sequence, timestamp, index))
            index += len(verified.bundle.operations)
        self._state.end()
        return BatchResult(
            results=tuple(results),
            results_root=canonical.merkle_root(r.subtree for r in results if r is not None),
        )

    def refuse(self, bundle: Bundle, timestamp: int) -> Reason | None:
        """Why this bundle need not be ordered; None also if it was executed already (see `repeated`)."""
        if bundle.principal not in self._state.principals:
            return Reason.UNKNOWN_SENDER
        if bundle.epoch > self._state.memberships.now.epoch:
            return Reason.WRONG_EPOCH
        if not bundle.operations:
            return Reason.MALFORMED
        if len(bundle.operations) > self._state.memberships.now.parameters.batch_operations_max:
            return Reason.TOO_LARGE
        if self.repeated(bundle) is not None:
            return None
        if bundle.session == UNOPENED:
            if not _opens(bundle):
                return Reason.MALFORMED
        elif (reason := self._refuse_session(bundle)) is not None:
            return reason
        # A retry of an executed operation gets its first outcome, however late it comes (R13): f + 1
        # `expired` hints would mean to the client that nothing happened.
        first = self._state.operations.first
        principal = self._state.principals.who(bundle.principal)
        if all(
            operation.valid_until < timestamp and first(operation, principal) is None
            for operation in bundle.operations
        ):
            return Reason.EXPIRED
        return None

    def repeated(self, bundle: Bundle) -> Repeated | None:
        """Place where this (session, number) was executed, or None; for a bundle that opens a session, where
        its nonce was first used for the same operation (R13, R16)."""
        if bundle.session == UNOPENED:
            return self._opened(bundle) if _opens(bundle) else None
        executed = self._state.sessions.executed(
            bundle.session, principal=self._state.principals.who(bundle.principal), number=bundle.number
        )
        if executed is None:
            return None
        return Repeated(
            digest=executed.digest,
            sequence=executed.sequence,
            first_index=executed.first_index,
            codes=reasons.unpack(executed.codes, executed.count),
        )

    def root(self) -> bytes:
        """State root after the last execution (R24, R25)."""
        return self._state.root()

    def freeze(self, sequence: int) -> bytes:
        """See consensus.application."""
        return self._state.freeze(sequence)

    def pin(self, sequence: int) -> bytes | None:
        """See consensus.application."""
        return self._state.freezer.pin(sequence)

    def release(self) -> None:
        """See consensus.application."""
        self._state.freezer.release()

    def read_pinned(self, number: int) -> tuple[Item, ...] | None:
        """See consensus.application."""
        return self._state.freezer.read(number)

    def prove(self, event: str, ticket: str) -> Proof | None:
        """Proof of a ticket's state in the newest frozen state (R18); None if it cannot be made now."""
        return self._state.freezer.prove(event, ticket)

    def staging(self, manifest: bytes, root: bytes) -> Staging | None:
        """See consensus.application."""
        return Staging.begin(self._cluster_id, manifest, root, self._names_after if self._searched else None)

    def _names_after(self, epochs: Iterable[Membership]) -> MembersAt:
        """Ids of all members present or former by sequence, in a state with these epochs."""
        memberships = Memberships(self._genesis, self._cluster_id, self._verify, lambda _epoch: None)
        for epoch in epochs:
            memberships.load(epoch)
        return memberships.names_at

    def governs(self, principal: str) -> bool:
        """See consensus.application."""
        principals = self._state.principals
        return principals.may(principals.who(principal), CAPABILITY[KIND], "")

    def principal_key(self, name: str) -> bytes | None:
        """Public key with this wire name, retired or not, or None (R15)."""
        return self._state.principals.key(name)

    def membership(self) -> Membership:
        """The newest epoch that the executed log has begun (R35)."""
        return self._state.memberships.now

    def epoch(self, number: int) -> Membership | None:
        """An epoch that the executed log has begun, or None."""
        return self._state.memberships.epoch(number)

    def due(self) -> int | None:
        """See consensus.application."""
        return self._state.due()

    def size(self) -> int:
        """See consensus.application."""
        return len(self._state.registry)

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """Public key of a member in an epoch, or None (wire.Keys)."""
        found = self._state.memberships.epoch(epoch)
        return found.members[index].public_key if found and 0 <= index < len(found.members) else None

    @property
    def member_names(self) -> Sequence[str]:
        """Ids of all present and former members, in the vector clock's order."""
        return self._state.memberships.names

    @property
    def principals(self) -> Principals:
        """The principals as of the last execution. Read-only for the caller."""
        return self._state.principals

    def ticket(self, event: str, ticket: str) -> TicketState | None:
        """A ticket as of the last execution, for a node's own answers."""
        found = self._state.registry.get(event, ticket)
        return None if found is None else read_state(found.state)

    def row(self, event: str, ticket: str) -> TicketRow | None:
        """A ticket with all its columns, as of the last execution."""
        found = self._state.registry.get(event, ticket)
        return None if found is None else row_of(found, self._state.memberships.names_at)

    def changes(self) -> list[ApplicationChange]:
        """Rows changed since the last call, the last value per key; clears the list (R9)."""
        return self._state.drain()

    def load(self, rows: Iterable[ApplicationChange]) -> None:
        """Replace the whole state by materialised rows, given in any order (R9)."""
        state = MachineState(self._genesis, self._cluster_id, self._verify, searched=self._searched)
        state.load(rows)
        self._state = state

    def _skips(self, bundle: Bundle) -> bool:
        """Whether execution skips this bundle. A bundle signed for a later epoch is skipped in every earlier
        one, no matter which replica proposes it (R1, P10). The members' recovery bundle has no
        signature of its own: all members sign the log that it is in (R11)."""
        if recover_operation.is_recovery(bundle):
            return bundle.epoch != self._state.memberships.now.epoch or len(bundle.operations) != 1
        if (
            bundle.epoch > self._state.memberships.now.epoch
            or not bundle.operations
            or bundle.principal not in self._state.principals
        ):
            return True
        if bundle.session == UNOPENED:
            return not _opens(bundle) or self._opened(bundle) is not None
        return self._refuse_session(bundle) is not None

    def _execute(
        self, verified: VerifiedBundle, sequence: int, timestamp: int, first_index: int
    ) -> BundleResult:
        bundle = verified.bundle
        if recover_operation.is_recovery(bundle):
            return self._recover(bundle, sequence, timestamp, first_index)
        principal = self._state.principals.who(bundle.principal)
        opening = bundle.session == UNOPENED
        apply, context = self._state.operations.apply, self._state.context
        told = context.version >= LISTS
        outcomes = tuple(
            [
                Outcome(*apply(operation, principal, index, opening=opening), context.first if told else None)
                for index, operation in enumerate(bundle.operations, first_index)
            ]
        )
        if not opening:
            executed = ExecutedBundle(
                number=bundle.number,
                digest=verified.digest,
                sequence=sequence,
                first_index=first_index,
                count=len(outcomes),
                codes=reasons.pack(tuple([outcome.code for outcome in outcomes])),
            )
            self._state.sessions.record(bundle.session, executed, done_below=bundle.done_below)
        return BundleResult(
            first_index=first_index,
            outcomes=outcomes,
            subtree=leaf.subtree(first_index, bundle.operations, outcomes, timestamp),
        )

    def _recover(self, bundle: Bundle, sequence: int, timestamp: int, first_index: int) -> BundleResult:
        state = self._state
        outcome = Outcome(
            *recover_operation.recover(
                bundle.operations[0],
                state.memberships,
                state.principals,
                alone=state.context.alone,
                sequence=sequence,
            ),
            () if state.context.version >= LISTS else None,
        )
        subtree = leaf.subtree(first_index, bundle.operations, (outcome,), timestamp)
        return BundleResult(first_index=first_index, outcomes=(outcome,), subtree=subtree)

    def _refuse_session(self, bundle: Bundle) -> Reason | None:
        return self._state.sessions.refuse(
            bundle.session,
            principal=self._state.principals.who(bundle.principal),
            number=bundle.number,
            done_below=bundle.done_below,
        )

    def _opened(self, bundle: Bundle) -> Repeated | None:
        """Place where this `open_session` operation was executed first, in any bundle; None if it was not."""
        principal = self._state.principals.who(bundle.principal)
        first = self._state.operations.first(bundle.operations[0], principal)
        if first is None:
            return None
        return Repeated(
            digest=bundle_digest(canonical.encode(bundle)),
            sequence=first.sequence,
            first_index=first.index,
            codes=(reasons.CODE_OF[first.code],),
        )


def _opens(bundle: Bundle) -> bool:
    """Whether a bundle without a session has the only allowed form: one `open_session` with a nonce."""
    if len(bundle.operations) != 1:
        return False
    operation = bundle.operations[0]
    return operation.kind == "open_session" and bool(operation.nonce)
