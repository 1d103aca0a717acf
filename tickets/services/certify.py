"""Issues certificates from the learner's copy, with receipts of the members if no stable checkpoint covers
the outcome yet (R26, R27).

Every certificate is verified before it is returned; the learner's copy and the members' answers are not
trusted.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from dtvn.api.errors import ApiError, InvalidRequest, Refused
from dtvn.gateway import GatewayFace
from dtvn.machine import reasons, ticket_of
from dtvn.proof import (
    Certificate,
    Chain,
    CheckpointProof,
    ProofError,
    Receipts,
    assembly,
    certificate_json,
    encode_certificate,
    verify,
)
from dtvn.protocol import genesis
from dtvn.protocol.consensus.effects import CheckpointRecord
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.proofs import EntryProof, LogPaths, lowest_checkpoint, read_entry_proof
from validators.services.epochs import known_chain
from validators.services.network import gateway

CERTIFICATE_FILE_MAX = 2_048
"""Largest certificate file of an admission, in bytes (R27); if the log's path would exceed it, receipts are
used."""
RECEIPT_WAIT = 2.0
"""Seconds for the members' receipts."""

_paths = LogPaths(LEARNER_ALIAS)


NOT_YET = (
    503,
    "not_provable_yet",
    "No checkpoint covers the outcome yet and too few members gave a receipt; try again.",
)
NO_OUTCOME = (404, "outcome_not_found", "This ticket has no outcome at that position.")
INCOMPLETE = (409, "not_provable", "The platform's copy of the log lacks the complete entry of this outcome.")
EARLIER = (
    409,
    "not_provable",
    "It was decided in the cluster that this one continues: a certificate of that cluster proves it.",
)
FIRST_GONE = (410, "first_place_gone")
SEEDED = (
    409,
    "nothing_to_prove",
    "The ticket was issued by a seed operation, whose outcome names no single ticket.",
)


def certificate_of(event: str, ticket: str, at: tuple[int, int] | None = None) -> bytes:
    """The certificate file of the ticket's last change, or of the outcome `at` (sequence, index); of a repeat
    that of the first place, for the repeat itself proves nothing (R48).

    Raises Refused (no such ticket), ApiError (not provable), Unavailable.
    """
    row = read.read_ticket(LEARNER_ALIAS, event, ticket)
    if row is None:
        raise Refused(reasons.TICKET_NOT_FOUND)
    sequence, index = at or (row.sequence, row.index)
    found = read_entry_proof(LEARNER_ALIAS, sequence)
    if found is None:
        continued = genesis.continued(gateway().genesis)
        if continued is not None and sequence <= continued.sequence:
            raise ApiError(*EARLIER)
        raise ApiError(*(NO_OUTCOME if sequence > read.applied_sequence(LEARNER_ALIAS) else INCOMPLETE))
    network = gateway()
    cluster = genesis.cluster_id(network.genesis)
    try:
        leaf, certificate = assembly.unproved(found.entry, found.bundles, index, cluster)
    except KeyError as error:
        raise ApiError(*NO_OUTCOME) from error
    if at is None and leaf.operation.kind == "seed":
        raise ApiError(*SEEDED)
    if (leaf.operation.event, ticket_of(leaf.operation, leaf.state)) != (event, ticket):
        raise ApiError(*NO_OUTCOME)
    if leaf.first:
        return _first(event, ticket, leaf.first)
    return certificate_json(encode_certificate(_proved(certificate, found, network)))


def _first(event: str, ticket: str, place: tuple[int, ...]) -> bytes:
    sequence, index = place
    if sequence and read_entry_proof(LEARNER_ALIAS, sequence) is not None:
        return certificate_of(event, ticket, (sequence, index))
    if not sequence:
        raise ApiError(*FIRST_GONE, "It repeats an earlier outcome, whose place is not known any more.")
    holders = [each.id for each in gateway().members() if 0 <= each.complete_from <= sequence]
    whose = f"the log of {', '.join(holders)} may hold it" if holders else "archives of the log may hold it"
    raise ApiError(
        *FIRST_GONE,
        f"It repeats the outcome at {sequence}.{index}, which the platform's copy does not hold: {whose}.",
    )


def read_position(text: str) -> tuple[int, int]:
    """Parse `SEQUENCE` or `SEQUENCE.INDEX`, as lists and pages show it; raise InvalidRequest."""
    sequence, point, index = text.partition(".")
    numbers = [sequence, index] if point else [sequence, "0"]
    if not all(number.isascii() and number.isdigit() and len(number) <= 18 for number in numbers):
        raise InvalidRequest("at must be SEQUENCE or SEQUENCE.INDEX")
    return int(numbers[0]), int(numbers[1])


def _proved(certificate: Certificate, found: EntryProof, network: GatewayFace) -> Certificate:
    """Adds the shortest proof available: the log's path if the file stays small, else receipts."""
    chain = known_chain()
    by_path: Certificate | None = None
    checkpoint = lowest_checkpoint(LEARNER_ALIAS, found.entry.sequence)
    if checkpoint is not None and (proof := _path_proof(found, checkpoint)) is not None:
        by_path = msgspec.structs.replace(certificate, proof=proof)
        is_small = len(certificate_json(encode_certificate(by_path))) <= CERTIFICATE_FILE_MAX
        if is_small and _holds(by_path, chain):
            return by_path
    by_receipts = msgspec.structs.replace(certificate, proof=_receipts(found, network, chain))
    for candidate in (by_receipts, by_path):
        if candidate is not None and _holds(candidate, chain):
            return candidate
    raise ApiError(*NOT_YET)


def _holds(certificate: Certificate, chain: Chain) -> bool:
    try:
        verify(certificate, chain)
    except ProofError:
        return False
    return True


def _path_proof(found: EntryProof, checkpoint: CheckpointRecord) -> CheckpointProof | None:
    """The proof by the log's path to this checkpoint; None if the copy lacks a part of the log, as after a
    snapshot."""
    try:
        path = _paths.path(found.entry.sequence, checkpoint.sequence)
    except LookupError:
        return None
    return assembly.log_proof(checkpoint, path)


def _receipts(found: EntryProof, network: GatewayFace, chain: Chain) -> Receipts:
    """Receipts of q members for the entry; fewer if fewer members answer correctly. There are none from an
    ended epoch: the checkpoint that ended it covers the entry, and its keys may be gone."""
    epoch, sequence = found.entry.epoch, found.entry.sequence
    if epoch != network.present.epoch or epoch >= len(chain.epochs):
        return Receipts(())
    offered = _offered(network, len(chain.epochs[epoch].members), sequence)
    return assembly.receipts(epoch, sequence, found.entry_hash, chain, offered)


def _offered(network: GatewayFace, count: int, sequence: int) -> Iterator[tuple[int, bytes]]:
    """Yields (member, signature, b"" for none) as each member answers: asked in parallel, awaited one after
    the other."""
    asked = [network.query(member, "receipt", (str(sequence),), wait=RECEIPT_WAIT) for member in range(count)]
    until = time.monotonic() + RECEIPT_WAIT + 1
    for member, future in enumerate(asked):
        try:
            answered = future.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            continue
        yield member, b"" if answered.code else _signature(answered.text)


def _signature(text: str) -> bytes:
    """The signature in a member's answer; b"" if it holds none."""
    try:
        told = msgspec.json.decode(text, type=dict[str, Any])
        return base64.b64decode(told["signature"], validate=True)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return b""
