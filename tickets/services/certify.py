"""Certificates for whoever asks: out of the learner's copy, with receipts of the members where no stable
checkpoint covers the outcome yet (R26, R27).

Nothing is handed out that does not verify; the learner's copy and the members' answers are only material.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

import msgspec

from dtvn_project.routers import LEARNER_ALIAS
from tickets.machine import reasons
from tickets.proof import (
    Certificate,
    Chain,
    CheckpointProof,
    Leaf,
    ProofError,
    Receipts,
    certificate_json,
    encode_certificate,
    results_path,
    verify,
)
from tickets.proof.certificate import CLUSTER_TAG_SIZE, VERSION
from tickets.services.epochs import known_chain
from tickets.services.errors import InvalidRequest, Refused, TicketError
from tickets.services.network import gateway
from validators import canonical, genesis, quorum
from validators.consensus.messages import KIND_OF, Receipt
from validators.gateway.face import GatewayFace
from validators.ledger import read
from validators.ledger.proofs import (
    EntryProof,
    LogPaths,
    ProvenCheckpoint,
    lowest_checkpoint,
    read_entry_proof,
)
from validators.wire import Envelope
from validators.wire.envelope import signed_bytes

__all__ = ["CERTIFICATE_FILE_MAX", "certificate_of", "read_position"]

CERTIFICATE_FILE_MAX = 2_048
"""Bytes of an admission's certificate file (R27); where the log's path would make it longer, receipts do."""
RECEIPT_WAIT = 2.0
"""Seconds for the members' receipts."""

RECEIPT_KIND = KIND_OF[Receipt]

_paths = LogPaths(LEARNER_ALIAS)


class NotProvable(TicketError):
    """No certificate of this can be given: not yet (503), never (409), or there is no such outcome (404)."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self._status = status

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._status


NOT_YET = (
    503,
    "not_provable_yet",
    "No checkpoint covers the outcome yet and too few members gave a receipt; ask again.",
)
NO_OUTCOME = (404, "outcome_not_found", "No outcome of this ticket stands there.")
INCOMPLETE = (409, "not_provable", "The platform's copy does not hold the whole entry of this outcome.")
SEEDED = (409, "nothing_to_prove", "The ticket comes from a seed, whose outcome names no single ticket.")


def certificate_of(event: str, ticket: str, at: tuple[int, int] | None = None) -> bytes:
    """The certificate's file: of the ticket's last change, or of what stands `at` (sequence, index).

    Raises Refused (no such ticket), NotProvable, Unavailable.
    """
    row = read.read_ticket(LEARNER_ALIAS, event, ticket)
    if row is None:
        raise Refused(reasons.TICKET_NOT_FOUND)
    sequence, index = at or (row.sequence, row.index)
    found = read_entry_proof(LEARNER_ALIAS, sequence)
    if found is None:
        raise NotProvable(*(NO_OUTCOME if sequence > read.applied_sequence(LEARNER_ALIAS) else INCOMPLETE))
    try:
        leaf, sides, path = results_path(found.bundles, index, found.entry.timestamp)
    except KeyError as error:
        raise NotProvable(*NO_OUTCOME) from error
    if at is None and leaf.operation.kind == "seed":
        raise NotProvable(*SEEDED)
    if (leaf.operation.event, leaf.operation.ticket) != (event, ticket):
        raise NotProvable(*NO_OUTCOME)
    network = gateway()
    cluster = genesis.cluster_id(network.genesis)
    certificate = _unsigned(found, leaf, sides, path, cluster)
    return certificate_json(encode_certificate(_proved(certificate, found, network)))


def _unsigned(found: EntryProof, leaf: Leaf, sides: int, path: bytes, cluster: bytes) -> Certificate:
    return Certificate(
        version=VERSION,
        cluster=cluster[:CLUSTER_TAG_SIZE],
        leaf=canonical.encode(leaf),
        sides=sides,
        path=path,
        epoch=found.entry.epoch,
        sequence=found.entry.sequence,
        batch=found.entry.batch_digest,
        previous=found.entry.previous,
        proof=Receipts(()),
    )


def read_position(text: str) -> tuple[int, int]:
    """`SEQUENCE` or `SEQUENCE.INDEX`, as lists and pages show it; raise InvalidRequest."""
    sequence, point, index = text.partition(".")
    numbers = [sequence, index] if point else [sequence, "0"]
    if not all(number.isascii() and number.isdigit() and len(number) <= 18 for number in numbers):
        raise InvalidRequest("at must be SEQUENCE or SEQUENCE.INDEX")
    return int(numbers[0]), int(numbers[1])


def _proved(certificate: Certificate, found: EntryProof, network: GatewayFace) -> Certificate:
    """With the shortest proof there is: the log's path if the file stays small, else receipts."""
    chain = known_chain()
    by_path: Certificate | None = None
    checkpoint = lowest_checkpoint(LEARNER_ALIAS, found.entry.sequence)
    if checkpoint is not None and (proof := _path_proof(found, checkpoint)) is not None:
        by_path = msgspec.structs.replace(certificate, proof=proof)
        if len(certificate_json(encode_certificate(by_path))) <= CERTIFICATE_FILE_MAX:
            verify(by_path, chain)
            return by_path
    by_receipts = msgspec.structs.replace(certificate, proof=Receipts(_receipts(found, network, chain)))
    for candidate in (by_receipts, by_path):
        if candidate is None:
            continue
        try:
            verify(candidate, chain)
        except ProofError:
            continue
        return candidate
    raise NotProvable(*NOT_YET)


def _path_proof(found: EntryProof, checkpoint: ProvenCheckpoint) -> CheckpointProof | None:
    """None where the copy does not hold the whole log: it began with a snapshot."""
    try:
        path = _paths.path(found.entry.sequence, checkpoint.sequence)
    except LookupError:
        return None
    signatures = []
    for frame in checkpoint.frames:
        envelope = canonical.decode(Envelope, frame)
        sender = msgspec.msgpack.decode(envelope.body)[1]
        signatures.append((sender, envelope.signature))
    return CheckpointProof(
        epoch=checkpoint.epoch,
        sequence=checkpoint.sequence,
        state_root=checkpoint.state_root,
        timestamp=checkpoint.timestamp,
        path=b"".join(path),
        signatures=tuple(sorted(signatures)),
    )


def _receipts(found: EntryProof, network: GatewayFace, chain: Chain) -> tuple[tuple[int, bytes], ...]:
    """Receipts of q members for the entry, ascending; fewer where fewer answer as they should. None of an
    epoch that is over: the checkpoint that ended it covers the entry, and its keys may be gone."""
    epoch = found.entry.epoch
    if epoch != network.present.epoch or epoch >= len(chain.epochs):
        return ()
    members = chain.epochs[epoch].members
    count = len(members)
    arguments = (str(found.entry.sequence),)
    asked = [network.query(member, "receipt", arguments, wait=RECEIPT_WAIT) for member in range(count)]
    until = time.monotonic() + RECEIPT_WAIT + 1
    good: list[tuple[int, bytes]] = []
    for member, future in enumerate(asked):
        try:
            answered = future.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            continue
        signature = b"" if answered.code else _signature(answered.text)
        body = canonical.encode(Receipt(epoch, member, found.entry.sequence, found.entry_hash))
        data = signed_bytes(chain.cluster, RECEIPT_KIND, body)
        if chain.scheme.verify(members[member].public_key, data, signature):
            good.append((member, signature))
        if len(good) == quorum.quorum(count):
            break
    return tuple(good)


def _signature(text: str) -> bytes:
    """The signature in a member's answer; b"" when it gives none."""
    try:
        told = msgspec.json.decode(text, type=dict[str, Any])
        return base64.b64decode(told["signature"], validate=True)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return b""
