"""Can a client's outcome be proved to a verifier that trusts genesis alone, and nothing false be? (R26, R27)

At the end of a world, certificates of some answers are built from an honest node's log as the platform does
it, and verified with the chain of epochs that honest nodes can show. Forged ones must be refused, also those
that stolen keys of former members could sign (R35).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from dtvn.proof import (
    Certificate,
    Chain,
    CheckpointProof,
    Epoch,
    Leaf,
    ProofError,
    Receipts,
    assembly,
    decode_certificate,
    encode_certificate,
    extend_chain,
    verify,
)
from dtvn.proof.epoch_chain import epoch_change_certificate
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import CheckpointRecord, EntryRecord
from dtvn.protocol.consensus.log_tree import inclusion_path
from dtvn.protocol.wire import Envelope, decode_envelope, signed_bytes
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Place
from simulator.gateway import Gateway, Request
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.world import World

SAMPLE_MAX = 12
"""Most answers of one world that are proved."""

Kind = tuple[int, int, bool, bool]
"""Gateway, epoch, whether the operation succeeded, whether it was not the first of its batch."""
Executed = tuple[int, tuple[m.Operation, ...], tuple[m.Outcome, ...]]


class Exports(Checker):
    """Stores the newest answer of each kind, and exports its certificate."""

    name = "exports"

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self.verified = 0
        """Number of valid certificates that were accepted."""
        self.of_former_epochs = 0
        """Number of accepted certificates that are of epochs which were over."""
        self.refused = 0
        """Number of forged certificates that were refused."""
        self._history = history
        self._told: dict[Kind, tuple[Place, m.Operation, str]] = {}
        self._roots: dict[tuple[int, int], bytes] = {}
        """Roots of the log tree's subtrees, by level and number."""

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See Checker."""
        later = self._history.epochs[1:]
        for operation, result in zip(request.operations, request.results or (), strict=True):
            if result.sequence:
                epoch = sum(result.sequence > each.after for each in later) if later else 0
                kind = gateway.number, epoch, result.code == "ok", result.index > 0
                self._told[kind] = (result.sequence, result.index), operation, result.code

    def finish(self) -> None:
        """See Checker."""
        told = [self._told[kind] for kind in sorted(self._told)]
        if not told:
            return
        chain = self._chain()
        for place, operation, code in told[:: len(told) // SAMPLE_MAX + 1]:
            shown = self._shown(place[0])
            if shown is not None:
                self._export(*shown, chain, place, operation, code)

    def _shown(self, sequence: int) -> tuple[Node, EntryRecord] | None:
        """An honest node that is up and has an entry, preferably with the whole log, and the entry. None if
        all of them lag, or hold a snapshot above it."""
        copies = [node for node in self.world.nodes.values() if node.honest and node.up]
        copies.sort(key=lambda node: (node.disk.base is not None, -len(node.disk.log)))
        return next(((node, record) for node in copies if (record := _entry(node, sequence))), None)

    def _chain(self) -> Chain:
        """Genesis, and the end of each epoch as an honest ledger keeps it."""
        world, epochs = self.world, self._history.epochs
        founding = Epoch(world.genesis.members, 0, world.cluster)
        chain = Chain(world.cluster, world.genesis.name, (founding,), world.mode, world.keyring.scheme)
        for following in epochs[1:]:
            ended = self._ended(following.epoch - 1)
            if ended is None and self._history.highest > following.after:
                self.fail(f"no honest ledger shows how epoch {following.epoch - 1} ended (R35)")
            if ended is None:
                break
            try:
                chain = extend_chain(chain, epoch_change_certificate(ended, world.cluster))
            except ProofError as error:
                self.fail(f"the end of epoch {following.epoch - 1} is not proved: {error}")
            if chain.epochs[-1].members != following.members or chain.epochs[-1].after != following.after:
                self.fail(f"the chain begins another epoch {following.epoch} than the log")
        return chain

    def _ended(self, epoch: int) -> bytes | None:
        for node in self.world.nodes.values():
            record = epoch_change_proof.find(node.disk.states.values(), epoch) if node.honest else None
            if (
                record is not None
                and canonical.decode(epoch_change_proof.EpochChangeProof, record.value).checkpoint
            ):
                return record.value
        return None

    # --- one certificate ---------------------------------------------------------------------------

    def _export(
        self, copy: Node, record: EntryRecord, chain: Chain, place: Place, operation: m.Operation, code: str
    ) -> None:
        executed, cluster = self._executed(record), self.world.cluster
        leaf, certificate = assembly.unproved(record.entry, executed, place[1], cluster)
        said = leaf.operation.kind, leaf.operation.event, leaf.operation.ticket, leaf.code
        told = operation.kind, operation.event, operation.ticket, code
        if said != told:
            self.fail(f"the certificate of {place} is of {said}, a client was told {told}")
        for proof in self._proofs(copy, chain, record):
            proved = msgspec.structs.replace(certificate, proof=proof)
            self._holds(proved, chain, place, leaf)
            for what, forged in self._forgeries(proved, chain, leaf):
                self._refuses(what, forged, chain, place)

    def _executed(self, record: EntryRecord) -> list[Executed]:
        """Codes and states that the learner's ledger keeps of an entry, besides its body."""
        found: list[Executed] = []
        first, sequence, outcomes = 0, record.entry.sequence, self._history.outcomes
        for frame in canonical.decode(m.Batch, record.body).requests:
            operations = decode_envelope(frame)[1].operations
            places = [(sequence, first + offset) for offset in range(len(operations))]
            if places[0] in outcomes:
                found.append((first, operations, tuple(outcomes[place][1] for place in places)))
            first += len(operations)
        return found

    def _proofs(self, copy: Node, chain: Chain, record: EntryRecord) -> Iterator[Receipts | CheckpointProof]:
        """All proofs that this world can give: the path to the first stable checkpoint above the entry and to
        the newest one, if the copy holds the whole log, and receipts of an epoch that is not over (R26)."""
        sequence, disk = record.entry.sequence, copy.disk
        above = [each for each in disk.checkpoints if each.sequence >= sequence and not _is_offline(each)]
        shown = above[:1] + above[1:][-1:]
        for checkpoint in shown if disk.base is None else ():
            path = inclusion_path(sequence - 1, checkpoint.sequence, self._subtree(copy))
            yield assembly.log_proof(checkpoint, path)
        epoch = record.entry.epoch
        if epoch == self.world.present.epoch:
            receipts = assembly.receipts(epoch, sequence, record.entry_hash, chain, self._offered(record))
            if len(receipts.signatures) == self.quorum_in(epoch):
                yield receipts

    def _subtree(self, copy: Node) -> Callable[[int, int], bytes]:
        def root(level: int, number: int) -> bytes:
            found = self._roots.get((level, number))
            if found is None:
                records = copy.disk.log[number << level : (number + 1) << level]
                hashes = [record.entry_hash for record in records if record is not None]
                found = self._roots[level, number] = canonical.merkle_root(hashes)
            return found

        return root

    def _offered(self, record: EntryRecord) -> Iterator[tuple[int, bytes]]:
        """The receipts that members of the newest epoch give (attest.receipt); a liar gives noise."""
        for place, name in enumerate(self.world.member_names):
            node = self.world.nodes[name]
            if not node.honest:
                yield place, bytes(64)
            elif node.up and node.index == place and _has(node, record):
                own = m.Receipt(record.entry.epoch, place, record.entry.sequence, record.entry_hash)
                yield place, canonical.decode(Envelope, node.core.state.signer.sign(own)).signature

    def _holds(self, certificate: Certificate, chain: Chain, place: Place, leaf: Leaf) -> None:
        try:
            proved = verify(decode_certificate(encode_certificate(certificate)), chain)
        except ProofError as error:
            self.fail(f"the certificate of {place} proves nothing: {error}")
        state = self._history.outcomes[place][1].state
        if ((proved.sequence, proved.index), proved.code, proved.state) != (place, leaf.code, state):
            self.fail(f"the certificate of {place} says {proved.code} at {proved.sequence}.{proved.index}")
        self.verified += 1
        self.of_former_epochs += proved.epoch < self.world.present.epoch

    # --- what must be refused ----------------------------------------------------------------------

    def _forgeries(
        self, certificate: Certificate, chain: Chain, leaf: Leaf
    ) -> Iterator[tuple[str, Certificate]]:
        replace = msgspec.structs.replace
        proof = certificate.proof
        signatures = proof.signatures
        yield "a signature fewer", replace(certificate, proof=replace(proof, signatures=signatures[:-1]))
        if len(signatures) > 1:
            twice = (*signatures[:-1], (signatures[-1][0], signatures[0][1]))
            yield "one member for two", replace(certificate, proof=replace(proof, signatures=twice))
        changed = replace(leaf, code="not_permitted" if leaf.code == "ok" else "ok")
        yield "another code", replace(certificate, leaf=canonical.encode_trimmed(changed))
        changed = replace(leaf, state=b"" if leaf.state else b"\x90")
        yield "another state", replace(certificate, leaf=canonical.encode_trimmed(changed))
        changed = replace(leaf, index=leaf.index + 1)
        yield "another place", replace(certificate, leaf=canonical.encode_trimmed(changed))
        if certificate.epoch:
            yield "keys of former members", self._stolen(certificate, chain, leaf, certificate.epoch - 1)

    def _stolen(self, certificate: Certificate, chain: Chain, leaf: Leaf, epoch: int) -> Certificate:
        """Statements that all members of an ended epoch could sign for an entry above the end of that
        epoch."""
        root = canonical.digest(b"\x00" + certificate.leaf)
        entry = m.Entry(
            epoch=epoch,
            sequence=certificate.sequence,
            batch_digest=certificate.batch,
            results_root=root,
            timestamp=leaf.timestamp,
            previous=certificate.previous,
        )
        hashed, signed = m.entry_hash(entry), []
        members, pair = chain.epochs[epoch].members, self.world.keyring.pair
        secrets = dict(pair(name) for node in self.world.nodes.values() for name in node.keys)
        for sender in range(quorum.quorum(len(members), chain.mode)):
            body = canonical.encode(m.Receipt(epoch, sender, certificate.sequence, hashed))
            data = signed_bytes(chain.cluster, m.KIND_OF[m.Receipt], body)
            signed.append((sender, chain.scheme.sign(secrets[members[sender].public_key], data)))
        return msgspec.structs.replace(
            certificate, epoch=epoch, sides=0, path=b"", proof=Receipts(tuple(signed))
        )

    def _refuses(self, what: str, forged: Certificate, chain: Chain, place: Sequence[int]) -> None:
        try:
            verify(forged, chain)
        except ProofError:
            self.refused += 1
            return
        self.fail(f"a certificate of {place} with {what} is believed")


def _is_offline(checkpoint: CheckpointRecord) -> bool:
    """Whether all members signed it offline (R11): it proves only the end of its epoch."""
    return any(kind_of_frame(frame) is not m.Checkpoint for frame in checkpoint.frames)


def _entry(node: Node, sequence: int) -> EntryRecord | None:
    return node.disk.entry(sequence) if sequence <= len(node.disk.log) else None


def _has(node: Node, record: EntryRecord) -> bool:
    """Whether the node is in the entry's epoch and has the entry in its log."""
    epoch, sequence = record.entry.epoch, record.entry.sequence
    known = _entry(node, sequence)
    return node.core.config.epoch == epoch and known is not None and known.entry_hash == record.entry_hash
