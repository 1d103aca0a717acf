"""Reads the statements of all members strictly: every signature and proof is checked (P4).

An absent proof claims nothing. A proof that is present must be valid, or the statement is refused with a
sentence that names its member.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dtvn.proof import ProofError
from dtvn.proof.epoch_chain import EpochChain
from dtvn.protocol import canonical
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus.certificate import (
    CheckpointCertificate,
    Prepared,
    read_checkpoint,
    read_commits,
    read_prepared,
)
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.log_tree import Frontier, append, root
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST, Batch, entry_hash
from dtvn.protocol.consensus.verified import Peer, Verified
from dtvn.protocol.genesis import Genesis, cluster_id
from dtvn.protocol.quorum import Mode
from dtvn.protocol.signatures import is_public_key
from dtvn.protocol.wire import ED25519, Door, PeerError, Scheme
from dtvn.recovery.forms import (
    CONTINUE,
    Held,
    PlanFile,
    Proofs,
    RecoveryError,
    StateFile,
    Statement,
    statement_bytes,
)

NOBODY = Peer("", None)


class Accepted(msgspec.Struct, frozen=True):
    """An entry that a Raft member has accepted and not executed."""

    sequence: int
    digest: bytes


class Told(msgspec.Struct, frozen=True):
    """One member's statement, fully verified."""

    index: int
    statement: Statement
    checkpoint: CheckpointCertificate | None
    entries: tuple[Held, ...]
    prepared: tuple[Prepared, ...]
    bodies: tuple[tuple[bytes, bytes], ...]
    """(digest, batch) of the prepared certificates that come with their batch."""
    accepted: tuple[Accepted, ...]
    """Raft: the log above the executed entries."""
    last_term: int
    """Raft: the own term of the last entry of its log; 0 if it shows none."""
    frames: tuple[Verified[Any], ...]
    """Every signed frame inside, including those of other members."""


class Reading(msgspec.Struct, frozen=True):
    """The statements of all members, in the order of their index."""

    config: Config
    membership: Membership
    """The epoch that ends."""
    epoch_changes: tuple[bytes, ...]
    """Encoded EpochChangeProofs from genesis to `membership`."""
    told: tuple[Told, ...]


class MemberKeys:
    """wire.Keys with the members of one epoch and without principals."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """See wire.Keys."""
        members = self._membership.members
        known = epoch == self._membership.epoch and 0 <= index < len(members)
        return members[index].public_key if known else None

    def principal_key(self, name: str) -> bytes | None:
        """See wire.Keys."""
        return None


def read_states(plan: PlanFile, genesis: Genesis, scheme: Scheme = ED25519) -> Reading:
    """Checks the statements of all members; raises RecoveryError with one sentence."""
    if not plan.states:
        raise RecoveryError("No member told anything.")
    membership, epoch_changes = epoch_of(plan.states, genesis, scheme)
    cluster = cluster_id(genesis)
    config = configuration.build(genesis, cluster, None, membership)
    names = [state.statement.member for state in plan.states]
    if missing := [name for name in config.members if name not in names]:
        raise RecoveryError(
            f"The statement of {', '.join(missing)} is missing: all {config.n} members must tell what "
            f"they hold. Is one's old key gone? {CONTINUE}"
        )
    if names != list(config.members):
        raise RecoveryError("The statements are not one of each member of the epoch, in its order.")
    _check_keys(plan.states, membership, genesis)
    door = Door(cluster, MemberKeys(membership), scheme=scheme)
    told = tuple(
        _Reader(state, index, config, door, membership).read() for index, state in enumerate(plan.states)
    )
    return Reading(config, membership, epoch_changes, told)


def epoch_of(
    states: Sequence[StateFile], genesis: Genesis, scheme: Scheme = ED25519
) -> tuple[Membership, tuple[bytes, ...]]:
    """The newest epoch proved by the epoch change proofs in these statements, and these epoch change
    proofs; raises RecoveryError if a statement names another epoch."""
    shown: dict[int, list[bytes]] = {}
    for state in states:
        for data in _proofs(state).epoch_changes:
            try:
                shown.setdefault(
                    canonical.decode(epoch_change_proof.EpochChangeProof, data).entry.epoch, []
                ).append(data)
            except canonical.CanonicalError as error:
                raise RecoveryError(
                    f"{_name(state)}: an epoch change proof does not decode ({error})."
                ) from error
    chain, used = EpochChain(genesis, (founding(genesis),), scheme), []
    while offers := shown.get(chain.present.epoch):
        why = ""
        for data in offers:
            try:
                chain.take(data)
            except ProofError as error:
                why = str(error)
                continue
            used.append(data)
            break
        else:
            raise RecoveryError(f"The end of epoch {chain.present.epoch} is not proved: {why}.")
    now = chain.present
    for state in states:
        if state.statement.epoch != now.epoch:
            raise RecoveryError(
                f"{_name(state)} speaks of epoch {state.statement.epoch}, and the newest that is proved is "
                f"{now.epoch}: tell its state again with `--epochs` and the file of a member that knows it."
            )
    return now, tuple(used)


def _check_keys(states: Sequence[StateFile], membership: Membership, genesis: Genesis) -> None:
    """Raises RecoveryError unless each member's new key is new and not shared with another member."""
    known = {member.public_key for member in membership.members}
    known |= {principal.public_key for principal in genesis.principals}
    for state in states:
        key = state.statement.new_key
        if not is_public_key(key) or key in known:
            raise RecoveryError(f"{_name(state)} names a key for the next epoch that is not new.")
        known.add(key)


def _proofs(state: StateFile) -> Proofs:
    try:
        return canonical.decode(Proofs, state.proofs)
    except canonical.CanonicalError as error:
        raise RecoveryError(f"{_name(state)}: its proofs cannot be read ({error}).") from error


def _name(state: StateFile) -> str:
    name = state.statement.member
    return name if name.isprintable() else "a member with an odd name"


class _Reader:
    """Checks one statement."""

    def __init__(
        self, state: StateFile, index: int, config: Config, door: Door, membership: Membership
    ) -> None:
        self._state = state
        self._statement = state.statement
        self._index = index
        self._config = config
        self._door = door
        self._key = membership.members[index].public_key
        self._nested: dict[bytes, Verified[Any]] = {}

    def read(self) -> Told:
        state, statement = self._state, self._statement
        data = statement_bytes(self._config.cluster, statement)
        if not self._door.scheme.verify(self._key, data, state.signature):
            raise self._wrong(
                "its signature is not by the key of this member in the epoch: of another cluster, or forged"
            )
        if canonical.digest(state.proofs) != statement.proofs:
            raise self._wrong("its proofs are not those that it signed")
        proofs = _proofs(state)
        checkpoint = self._checkpoint(proofs)
        if statement.vouches and (statement.lost or statement.executed < self._config.base):
            raise self._wrong("it vouches for a log of which its ledger knows that it is not the newest")
        self._check_entries(proofs)
        self._check_covered(proofs, checkpoint)
        prepared, bodies = self._prepared(proofs)
        accepted = self._accepted(proofs)
        bodies += tuple((each.digest, body) for each, body in zip(accepted, proofs.accepted, strict=True))
        newest = [held.body for held in proofs.entries] + [*proofs.accepted]
        for frame in proofs.heard:
            self._open(frame)
        return Told(
            index=self._index,
            statement=statement,
            checkpoint=checkpoint,
            entries=proofs.entries,
            prepared=prepared,
            bodies=bodies,
            accepted=accepted,
            last_term=self._own_term(newest[-1]) if newest else 0,
            frames=tuple(self._all()),
        )

    def _checkpoint(self, proofs: Proofs) -> CheckpointCertificate | None:
        statement, config = self._statement, self._config
        if statement.executed < config.base:
            if proofs.checkpoint or proofs.entries or proofs.prepared or statement.votes:
                raise self._wrong("it shows what its log does not reach")
            return None
        if not proofs.checkpoint:
            if statement.stable != config.base:
                raise self._wrong(f"its stable checkpoint {statement.stable} is not proved")
            return None
        self._open(*proofs.checkpoint)
        found = read_checkpoint(proofs.checkpoint, self._nested, config)
        if found is None or found.sequence != statement.stable or found.sequence > statement.executed:
            raise self._wrong(f"its CHECKPOINTs do not prove the stable checkpoint {statement.stable}")
        return found

    def _check_entries(self, proofs: Proofs) -> None:
        """Check that the entries form a chain to the end of the log, and that q COMMITs decided each one
        above the checkpoint."""
        statement, config = self._statement, self._config
        previous = b""
        expected = max(statement.stable, config.base)
        if proofs.entries:
            expected = min(expected, max(config.base, proofs.entries[0].entry.sequence - 1))
        for held in proofs.entries:
            entry = held.entry
            expected += 1
            if (entry.sequence, entry.epoch) != (expected, config.epoch) or previous not in (
                b"",
                entry.previous,
            ):
                raise self._wrong(f"its entry {entry.sequence} does not continue its log")
            if entry.sequence > statement.stable or held.commits:
                self._check_commits(held)
            if self._digest(held.body) != entry.batch_digest:
                raise self._wrong(f"the batch of its entry {entry.sequence} is another one")
            previous = entry_hash(entry)
        if statement.executed >= config.base and expected != statement.executed:
            raise self._wrong(f"its log ends at {statement.executed}, its entries at {expected}")
        if previous not in (b"", statement.head):
            raise self._wrong("its last entry is not the one that it signed")

    def _check_covered(self, proofs: Proofs, checkpoint: CheckpointCertificate | None) -> None:
        """Check that entries below the checkpoint belong to the log that q members signed: the plan of all
        members uses them, and a false one would cast suspicion on members with q COMMITs that differ."""
        stable = self._statement.stable
        covered = [held for held in proofs.entries if held.entry.sequence <= stable]
        if not covered:
            return
        size = covered[0].entry.sequence - 1
        frontier = Frontier(size, proofs.before)
        whole = len(proofs.before) == size.bit_count()
        for held in covered if whole else ():
            frontier = append(frontier, entry_hash(held.entry))
        if not whole or checkpoint is None or root(frontier) != checkpoint.log_root:
            raise self._wrong(f"its entries are not those that its stable checkpoint {stable} covers")

    def _check_commits(self, held: Held) -> None:
        entry = held.entry
        self._open(*held.commits)
        found = read_commits(held.commits, self._nested, self._config)
        if found is None or (found.sequence, found.digest) != (entry.sequence, entry.batch_digest):
            raise self._wrong(f"its COMMITs do not prove entry {entry.sequence}")

    def _prepared(self, proofs: Proofs) -> tuple[tuple[Prepared, ...], tuple[tuple[bytes, bytes], ...]]:
        statement, config = self._statement, self._config
        found: list[Prepared] = []
        bodies: list[tuple[bytes, bytes]] = []
        last = statement.executed
        for certified in proofs.prepared:
            self._open(certified.proof.pre_prepare, *certified.proof.prepares)
            one = read_prepared(certified.proof, self._nested, config)
            if one is None or not last < one.sequence <= statement.stable + config.watermark_span:
                raise self._wrong("one of its prepared certificates proves nothing")
            last = one.sequence
            found.append(one)
            if certified.body:
                if self._digest(certified.body) != one.digest:
                    raise self._wrong(f"the batch that it prepared at {one.sequence} is another one")
                bodies.append((one.digest, certified.body))
        return tuple(found), tuple(bodies)

    def _accepted(self, proofs: Proofs) -> tuple[Accepted, ...]:
        if proofs.accepted and self._config.mode is not Mode.RAFT:
            raise self._wrong("it shows entries without a proof")
        first = self._statement.executed + 1
        return tuple(
            Accepted(sequence, self._digest(body)) for sequence, body in enumerate(proofs.accepted, first)
        )

    def _own_term(self, body: bytes) -> int:
        """The term of the leader that made an entry; its digest was checked before."""
        return canonical.decode(Batch, body).origin_view if body else 0

    def _open(self, *frames: bytes) -> None:
        for frame in frames:
            if frame in self._nested:
                continue
            try:
                self._nested[frame] = self._door.statement(NOBODY, frame)
            except PeerError as error:
                raise self._wrong(f"a statement that it shows is invalid: {error}") from error

    def _all(self) -> list[Verified[Any]]:
        waiting, found = list(self._nested.values()), []
        while waiting:
            one = waiting.pop()
            found.append(one)
            waiting += one.nested.values()
        return found

    def _digest(self, body: bytes) -> bytes:
        try:
            return self._door.digest_of(body) if body else NULL_BATCH_DIGEST
        except PeerError as error:
            raise self._wrong(f"a batch that it shows is invalid: {error}") from error

    def _wrong(self, why: str) -> RecoveryError:
        return RecoveryError(f"The statement of {_name(self._state)} is refused: {why}.")
