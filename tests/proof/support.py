"""A cluster on paper whose log is really executed: everything a certificate needs, byte for byte the same
in every run."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
from nacl import bindings

from dtvn.machine import Admit, Command, Issue, OpenSession, Reconfigure, TicketApplication, build
from dtvn.machine.leaf import leaf_body
from dtvn.proof import (
    Certificate,
    ChainFile,
    CheckpointProof,
    EpochStart,
    Receipts,
    chain_of_genesis,
    encode_certificate,
    results_path,
)
from dtvn.proof.certificate import CLUSTER_TAG_SIZE, version_of
from dtvn.proof.epoch_chain import epoch_change_certificate
from dtvn.protocol import canonical, quorum
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import membership as ms
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.epoch_change_proof import EpochChangeProof
from dtvn.protocol.consensus.executor import Executor, Step
from dtvn.protocol.consensus.log_tree import Frontier, append, inclusion_path, root
from dtvn.protocol.consensus.messages import entry_hash
from dtvn.protocol.consensus.verified import VerifiedBatch, VerifiedBundle
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import FIRST, NEWEST
from dtvn.protocol.wire import FrameSigner
from dtvn.protocol.wire.envelope import KIND_OF, encode_envelope, signed_bytes
from dtvn.recovery.ending import final_batch
from tests.host.support import GenesisKeys, key_pair, make_genesis

START = 1_795_000_000_000_000
VALID = 300_000_000


def subtree_of(hashes: Sequence[bytes]):  # type: ignore[no-untyped-def]
    """log_tree.Subtree over hashes in memory."""
    return lambda level, number: canonical.merkle_root(hashes[number << level : (number + 1) << level])


class PaperLog:
    """n members r0, r1 ...; `order` executes batches as every honest one of them does."""

    def __init__(
        self, members: int = 4, name: str = "paper", mode: Mode = Mode.PBFT, *, version: int = NEWEST
    ) -> None:
        self.genesis = g.agreeing_by(make_genesis(members, name, version=version), mode)
        self.cluster = g.cluster_id(self.genesis)
        self.application = TicketApplication(self.genesis, self.cluster, searched=True)
        self.executor = Executor(0, self.application)
        self.epochs = [[member.id for member in self.genesis.members]]
        """Names of the members, epoch by epoch."""
        self.epoch_changes: list[EpochChangeProof] = []
        self.signer = FrameSigner(self.cluster, key_pair("gateway")[1], GenesisKeys(self.genesis))
        self.steps: list[Step] = []
        self.roots: list[bytes] = []
        self.session: tuple[int, int] = (0, 0)
        self.number = 0
        self.order([self.operation(OpenSession(), nonce=b"session")])
        self.session = (1, 0)

    @property
    def names(self) -> list[str]:
        """Of the newest epoch."""
        return self.epochs[-1]

    @property
    def hashes(self) -> list[bytes]:
        return [step.entry_hash for step in self.steps]

    def operation(self, command: Command, ticket: str = "", nonce: bytes = b"", **fields: str) -> m.Operation:
        event = {} if isinstance(command, OpenSession) else {"event": fields.get("event", "default")}
        actor, entry = fields.get("actor", "gate-north"), fields.get("entry", self.names[0])
        until = START + 1_000_000 * len(self.steps) + VALID
        return build(
            command, ticket=ticket, nonce=nonce, actor=actor, entry=entry, valid_until=until, **event
        )

    def order(self, *bundles: Sequence[m.Operation]) -> Step:
        """One batch of these bundles, one second after the last."""
        frames = []
        for operations in bundles:
            opening = operations[0].kind == "open_session"
            self.number += not opening
            bundle = m.Bundle(
                epoch=0,
                principal="gateway",
                client=b"paper-00",
                session=(0, 0) if opening else self.session,
                number=0 if opening else self.number - 1,
                done_below=0 if opening else max(0, self.number - 500),
                operations=tuple(operations),
            )
            frames.append((bundle, self.signer.sign(bundle)))
        batch = m.Batch(0, START + 1_000_000 * len(self.steps), tuple(frame for _bundle, frame in frames))
        verified = tuple(
            VerifiedBundle(bundle, m.bundle_digest(canonical.encode(bundle)), frame)
            for bundle, frame in frames
        )
        digest = m.batch_digest(0, batch.proposed, tuple(each.digest for each in verified))
        step = self.executor.execute(VerifiedBatch(batch, digest, canonical.encode(batch), verified))
        self.steps.append(step)
        self.roots.append(self.application.root())
        return step

    def admit(
        self, ticket: str = "TICKET-1", gate: str = "north", code: bytes | None = None, **fields: str
    ) -> Step:
        """Issue a ticket, then admit it: two batches. `code`: None for the first form."""
        self.order([self.operation(Issue(product="day", seat="A-1"), ticket, **fields)])
        scan = self.operation(
            Admit(gate=gate, device="scanner-7", code=code), ticket, nonce=b"scan-1", **fields
        )
        return self.order([scan])

    def fill(self, until: int) -> None:
        """Batches of one ticket each, up to this sequence."""
        while len(self.steps) < until:
            self.order([self.operation(Issue(), f"FILL-{len(self.steps)}")])

    def change(self, *, leaves: str = "", joins: str = "") -> None:
        """One change of the membership, with liveness proofs of all: the next epoch begins after it."""
        epoch, sequence = len(self.epochs) - 1, len(self.steps) + 1
        newcomers = (g.Member(joins, key_pair(joins)[0], "127.0.0.1", 7500 + epoch),) if joins else ()
        names = [name for name in self.names if name != leaves] + ([joins] if joins else [])
        now = START + 1_000_000 * len(self.steps)
        words = tuple(self._word(name, epoch, sequence - 1, now) for name in names)
        wanted = ms.Change(epoch, leaves, newcomers, allow_small=True, alive=words)
        before = self.executor.frontier.peaks
        step = self.order([self.operation(Reconfigure(wanted))])
        assert step.done()[0][1].outcomes[0].code == "ok"
        membership = self.application.membership()
        self.epoch_changes.append(self._epoch_change_proof(step, before))
        self._go_on([member.id for member in membership.members])

    def recover(self, renamed: str = "+") -> EpochChangeProof:
        """All members end the epoch offline; the keys of the next one are those of their names with this
        behind it, which is how they are called here from now on."""
        epoch = len(self.epochs) - 1
        names = [name + renamed for name in self.names]
        before = self.executor.frontier.peaks
        step = self.executor.execute(final_batch(epoch, tuple(key_pair(name)[0] for name in names)))
        assert step.done()[0][1].outcomes[0].code == "ok"
        self.steps.append(step)
        self.roots.append(self.application.root())
        ended = msgspec.structs.replace(
            self._epoch_change_proof(step, before), checkpoint=self.continuations(epoch)
        )
        self.epoch_changes.append(ended)
        self._go_on(names)
        return ended

    def continuations(self, epoch: int, names: Sequence[str] = (), **fields: Any) -> tuple[bytes, ...]:
        """What all members sign to end an epoch, the last one of the log by default."""
        members = self.application.epoch(epoch + 1).members
        end = self._checkpoint(len(self.steps))
        keys = tuple(member.public_key for member in members)
        content = (end.sequence, end.state_root, end.log_root, end.timestamp, keys)
        body = msgspec.structs.replace(m.Continuation(epoch, 0, *content), **fields)
        frames = []
        for index, signature in self.sign(body, range(len(members)), names or self.epochs[epoch]):
            said = canonical.encode(msgspec.structs.replace(body, sender=index))
            frames.append(encode_envelope(KIND_OF[m.Continuation], said, signature))
        return tuple(frames)

    def _go_on(self, names: list[str]) -> None:
        self.epochs.append(names)
        executor = Executor(len(self.epochs) - 1, self.application)
        for field in ("executed", "head", "frontier", "timestamp"):
            setattr(executor, field, getattr(self.executor, field))
        self.executor = executor

    def _word(self, name: str, epoch: int, executed: int, now: int) -> ms.LivenessProof:
        newest = NEWEST if self.application.membership().version > FIRST else 0
        data = ms.liveness_bytes(self.cluster, epoch, name, executed, now, newest)
        signature = bindings.crypto_sign(data, key_pair(name)[1])[:64]
        return ms.LivenessProof(name, executed, now, signature, newest)

    def _epoch_change_proof(self, step: Step, peaks: tuple[bytes, ...]) -> EpochChangeProof:
        entry = step.entry
        bundle, result = step.done()[0]
        outcome = result.outcomes[0]
        leaf = leaf_body(0, bundle.bundle.operations[0], outcome, entry.timestamp)
        return EpochChangeProof(entry, leaf, peaks, self.checkpoint_frames(entry.sequence))

    def checkpoint_frames(self, sequence: int, signers: Sequence[int] | None = None) -> tuple[bytes, ...]:
        """q CHECKPOINTs of a sequence, as members send them; None: the first q of them."""
        body = self._checkpoint(sequence)
        return self.frames_of(body, self.epochs[body.epoch], signers)

    def frames_of(
        self, body: m.Checkpoint, names: Sequence[str], signers: Sequence[int] | None = None
    ) -> tuple[bytes, ...]:
        """CHECKPOINTs with this content by q of these members, the first ones unless said otherwise."""
        frames = []
        for index, signature in self.sign(body, signers, names):
            said = canonical.encode(msgspec.structs.replace(body, sender=index))
            frames.append(encode_envelope(KIND_OF[m.Checkpoint], said, signature))
        return tuple(frames)

    def _checkpoint(self, sequence: int) -> m.Checkpoint:
        entry = self.steps[sequence - 1].entry
        root, log_root = self.roots[sequence - 1], self.log_root(sequence)
        return m.Checkpoint(entry.epoch, 0, sequence, root, log_root, entry.timestamp)

    def log_root(self, sequence: int) -> bytes:
        return canonical.merkle_root(self.hashes[:sequence])

    # --- certificates ----------------------------------------------------------------------------

    def receipts(
        self,
        sequence: int,
        index: int = 0,
        signers: Sequence[int] | None = None,
        names: Sequence[str] | None = None,
    ) -> bytes:
        """A certificate of q receipts. `names`: who signs, where it is not the epoch's members."""
        entry = self.steps[sequence - 1].entry
        body = m.Receipt(entry.epoch, 0, sequence, self.steps[sequence - 1].entry_hash)
        signed = self.sign(body, signers, names or self.epochs[entry.epoch])
        return self._certificate(sequence, index, Receipts(signed))

    def checkpointed(
        self,
        sequence: int,
        checkpoint: int,
        index: int = 0,
        signers: Sequence[int] | None = None,
        names: Sequence[str] | None = None,
        epoch: int | None = None,
    ) -> bytes:
        """A certificate under the checkpoint at `checkpoint`; `epoch`: said to be of that one."""
        hashes = self.hashes[:checkpoint]
        path = inclusion_path(sequence - 1, checkpoint, subtree_of(hashes))
        body = self._checkpoint(checkpoint)
        if epoch is not None:
            body = msgspec.structs.replace(body, epoch=epoch)
        signed = self.sign(body, signers, names or self.epochs[body.epoch])
        proof = CheckpointProof(
            body.epoch, checkpoint, body.state_root, body.timestamp, b"".join(path), signed
        )
        return self._certificate(sequence, index, proof)

    def sign(
        self,
        body: m.Receipt | m.Checkpoint | m.Continuation,
        signers: Sequence[int] | None = None,
        names: Sequence[str] | None = None,
    ) -> tuple[tuple[int, bytes], ...]:
        """The body as q members sign it, each with its own index."""
        names = names or self.names
        signed = []
        enough = range(quorum.quorum(len(names), g.mode(self.genesis)))
        for index in signers if signers is not None else enough:
            data = canonical.encode(msgspec.structs.replace(body, sender=index))
            secret = key_pair(names[index])[1]
            data = signed_bytes(self.cluster, KIND_OF[type(body)], data)
            signed.append((index, bindings.crypto_sign(data, secret)[:64]))
        return tuple(signed)

    def _certificate(self, sequence: int, index: int, proof: Receipts | CheckpointProof) -> bytes:
        step = self.steps[sequence - 1]
        bundles = [(r.first_index, b.bundle.operations, r.outcomes) for b, r in step.done()]
        leaf, sides, path = results_path(bundles, index, step.entry.timestamp)
        entry = step.entry
        return encode_certificate(
            Certificate(
                version_of(leaf),
                self.cluster[:CLUSTER_TAG_SIZE],
                canonical.encode_trimmed(leaf),
                sides,
                path,
                entry.epoch,
                entry.sequence,
                entry.batch_digest,
                entry.previous,
                proof,
            )
        )

    def chain(self, *epoch_changes: bytes) -> bytes:
        """The epoch chain's bytes: through all epochs of this log, or with these epoch change proofs."""
        file = chain_of_genesis(g.encode(self.genesis))
        epoch_changes = epoch_changes or tuple(
            epoch_change_certificate(canonical.encode(each), self.cluster) for each in self.epoch_changes
        )
        return canonical.encode(ChainFile(file.version, file.genesis, epoch_changes))


class Later:
    """A second epoch after a PaperLog: one epoch change proof, one admission in it, signed by other
    members."""

    def __init__(self, log: PaperLog, names: Sequence[str]) -> None:
        self.log = log
        self.names = names
        self.members = tuple(
            g.Member(name, key_pair(name)[0], "127.0.0.1", 7100 + at) for at, name in enumerate(names)
        )
        self.frontier = Frontier()
        for hashed in log.hashes:
            self.frontier = append(self.frontier, hashed)
        self.hashes = log.hashes
        change = m.Operation(ms.KIND, "", "", "operator", "", START + VALID, b"change", b"")
        self.epoch_change_leaf = (0, change, "ok", canonical.encode(EpochStart(1, self.members)))
        self.ends = len(log.hashes) + 1
        self.epoch_change_proof = self.prove(
            self.epoch_change_leaf, epoch=0, checkpoint_epoch=0, names=log.names
        )

    def prove(
        self,
        leaf: tuple[int, m.Operation, str, bytes],
        *,
        epoch: int,
        checkpoint_epoch: int,
        names: Sequence[str],
    ) -> bytes:
        """Append an entry of one operation and prove it by the checkpoint at that entry."""
        sequence = len(self.hashes) + 1
        timestamp = START + 1_000_000 * sequence
        index, operation, code, state = leaf
        encoded = canonical.encode((index, operation, code, timestamp, state))
        batch = sha256(b"batch %d" % sequence).digest()
        entry = m.Entry(
            epoch, sequence, batch, canonical.digest(b"\x00" + encoded), timestamp, self.hashes[-1]
        )
        self.hashes.append(entry_hash(entry))
        self.frontier = append(self.frontier, self.hashes[-1])
        path = inclusion_path(sequence - 1, sequence, subtree_of(self.hashes))
        body = m.Checkpoint(checkpoint_epoch, 0, sequence, bytes(32), root(self.frontier), timestamp)
        signed = self.log.sign(body, names=names)
        proof = CheckpointProof(checkpoint_epoch, sequence, bytes(32), timestamp, b"".join(path), signed)
        return encode_certificate(
            Certificate(
                1,
                self.log.cluster[:CLUSTER_TAG_SIZE],
                encoded,
                0,
                b"",
                epoch,
                sequence,
                batch,
                entry.previous,
                proof,
            )
        )
