"""Checks a certificate against a chain of epochs, and describes in words what it proves (R27, R37)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.machine import (
    ANSWERED_HEADS,
    LISTED_HEAD,
    AnsweredState,
    ListedState,
    TicketState,
    read_state,
)
from dtvn.proof.certificate import (
    CLUSTER_TAG_SIZE,
    Certificate,
    CheckpointProof,
    ContinuationProof,
    EpochStart,
    Leaf,
    Signatures,
    split_hashes,
    version_of,
)
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus.messages import KIND_OF, Checkpoint, Continuation, Entry, Receipt, entry_hash
from dtvn.protocol.genesis import Continued, Member
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import no_form, opened, shown
from dtvn.protocol.quorum import Mode
from dtvn.protocol.scheme import ED25519, Scheme
from dtvn.protocol.wire import signed_bytes

CAVEAT = "It is an outcome at one point of the log and says nothing about what came later."
TICKET_HEAD = b"\x9f"
"""First byte of a canonical TicketState: an array of fifteen fields; no other state has as many."""
LIFE_FIELDS = len(TicketState.__struct_fields__)
"""Number of first fields of a ticket's state that no operation changes once they are final; those behind them
in an AnsweredState are its terms."""
COUNT_MAX = 2**62
"""Bound of messages.Count."""
DAY = 86_400_000_000
YEAR_10000 = 253_402_300_800_000_000


class Epoch(msgspec.Struct, frozen=True):
    """The members of one epoch, which begins after sequence `after`."""

    members: tuple[Member, ...]
    after: int
    link: bytes
    """The hash that a verifier pins: the cluster id for epoch 0, else the entry hash of the epoch change
    proof."""


class Chain(msgspec.Struct, frozen=True):
    """Verified epochs of one cluster, from genesis on."""

    cluster: bytes
    name: str
    epochs: tuple[Epoch, ...]
    mode: Mode
    """How its members agree (R44)."""
    scheme: Scheme = ED25519
    continued: Continued | None = None
    """The old cluster that this one continues, according to its genesis."""

    def epoch(self, number: int) -> Epoch:
        """The epoch with this number; raises ProofError if the chain lacks it."""
        if number >= len(self.epochs):
            said = f"epoch {number} is not in this chain, which ends with {len(self.epochs) - 1}"
            raise ProofError(Code.UNKNOWN_EPOCH, f"epoch {number}", said)
        return self.epochs[number]

    def members(self, epoch: int, sequence: int) -> tuple[Member, ...]:
        """Members of `epoch`; raises ProofError unless it is in the chain and contains `sequence`."""
        found = self.epoch(epoch)
        last = self.epochs[epoch + 1].after if epoch + 1 < len(self.epochs) else None
        if sequence <= found.after or (last is not None and sequence > last):
            said = f"sequence {sequence} is not in epoch {epoch}"
            raise ProofError(Code.OUTSIDE_EPOCH, f"sequence {sequence}", said)
        return found.members

    def pinned(self, pins: Sequence[bytes]) -> tuple[bytes, ...]:
        """The pins of a verifier that has seen this chain too. Raises ProofError if the chain contradicts the
        earlier pins: then members with replaced keys have signed another history (R35). A chain that ends
        sooner is refused too: it hides where its last epoch ended, so stolen keys of former members could
        still be used to sign.
        """
        links = tuple(epoch.link for epoch in self.epochs)
        for number, (pin, link) in enumerate(zip(pins, links, strict=False)):
            if pin != link:
                what = f"epoch {number}" if number else "the cluster"
                said = f"this chain contradicts {what} that was pinned"
                raise ProofError(Code.PIN_CONTRADICTED, f"epoch {number}", said)
        if len(links) < len(pins):
            raise ProofError(
                Code.PIN_AHEAD,
                f"epoch {len(pins) - 1}",
                f"this chain ends with epoch {len(links) - 1}, and epoch {len(pins) - 1} was seen before: "
                "take the newer chain",
            )
        return links


class Proved(msgspec.Struct, frozen=True):
    """The facts that a certificate proves."""

    leaf: bytes
    event: str
    ticket: str
    kind: str
    code: str
    epoch: int
    sequence: int
    index: int
    timestamp: int
    state: bytes
    first: tuple[int, ...] | None
    """Leaf.first."""
    entry_hash: bytes
    checkpoint: tuple[int, int] | None
    """(epoch, sequence) of the checkpoint that proves it; None if receipts do, or all members' signatures."""
    members: int
    """n of the epoch that signed."""
    mode: Mode
    """Chain.mode of the chain it was verified against."""
    signers: tuple[tuple[bytes, str], ...]
    """(public key, name) of each signer."""
    continued: Continued | None = None
    """Chain.continued of the chain it was verified against."""
    ended_offline: bool = False
    """True if all members signed it offline, as the end of their epoch (R11)."""

    def sentences(self) -> list[str]:
        """Texts for the user; the same words in every verifier."""
        where = f"sequence {self.sequence}, index {self.index}, epoch {self.epoch}"
        lines = [
            f"ticket {shown(self.ticket)} of event {shown(self.event)}: {shown(self.kind)} -> "
            f"{shown(self.code)} at {where}, log time {time_text(self.timestamp)}",
            f"signed by {', '.join(shown(name) for _key, name in self.signers)}: "
            f"{len(self.signers)} of {self.members} members, {quorum.liars_words(self.members, self.mode)}",
        ]
        if self.first:
            lines.insert(1, f"a repeat of {_place(self.first)}: no admission")
        if self.ended_offline:
            lines.append("proved by all members, who ended their epoch with it offline")
        elif self.checkpoint is None:
            lines.append("proved by their receipts for this sequence")
        else:
            epoch, sequence = self.checkpoint
            lines.append(f"proved by the log under their checkpoint at sequence {sequence}, epoch {epoch}")
        if (state := self.ticket_state()) is not None:
            place = "".join(
                f", {word} {shown(text)}"
                for word, text in (("gate", state.gate), ("device", state.device))
                if text
            )
            lines.append(f"right after it the ticket was {state.state.name}{place}{_terms(state)}")
        if self.continued is not None:
            lines.append(continued_sentence(self.continued))
        if self.first is None and not self.ended_offline:
            lines.append("this form cannot tell a repeat from the first")
        return [*lines, CAVEAT]

    def ticket_state(self) -> TicketState | None:
        """State of the ticket right after the operation; None if the outcome has no ticket state."""
        try:
            found = read_state(self.state)
        except canonical.CanonicalError:
            return None
        return found if found and (found.event, found.ticket) == (self.event, self.ticket) else None

    def life(self) -> tuple[object, ...]:
        """The fields of the ticket's state that stay once it is final; () without a ticket state."""
        state = self.ticket_state()
        return () if state is None else msgspec.structs.astuple(state)[:LIFE_FIELDS]


def verify(certificate: Certificate, chain: Chain) -> Proved:
    """Verifies `certificate` against the trusted `chain`; raises ProofError with what is wrong.

    Every hash is recomputed and every signature is checked.
    """
    if certificate.cluster != chain.cluster[:CLUSTER_TAG_SIZE]:
        said = "the certificate is of another cluster than this chain"
        raise ProofError(Code.OTHER_CLUSTER, "certificate", said)
    leaf = opened(Leaf, certificate.leaf, "the leaf")
    _check_state(leaf.state)
    if leaf.first is not None and len(leaf.first) == 1:
        raise no_form("the leaf")
    if certificate.version != version_of(leaf) and not isinstance(certificate.proof, ContinuationProof):
        raise no_form("the certificate")
    entry = Entry(
        epoch=certificate.epoch,
        sequence=certificate.sequence,
        batch_digest=certificate.batch,
        results_root=_results_root(certificate),
        timestamp=leaf.timestamp,
        previous=certificate.previous,
    )
    hashed = entry_hash(entry)
    members = chain.members(entry.epoch, entry.sequence)
    proof = certificate.proof
    checkpoint: tuple[int, int] | None = None
    if isinstance(proof, CheckpointProof):
        members, root = _log_root(certificate, proof, hashed, chain)
        checkpoint = (proof.epoch, proof.sequence)
        body = Checkpoint(proof.epoch, 0, proof.sequence, proof.state_root, root, proof.timestamp)
        signers = _signers(proof.signatures, body, members, chain)
    elif isinstance(proof, ContinuationProof):
        end = _continuation(leaf, entry, proof, hashed)
        signers = _signers(proof.signatures, end, members, chain, needed=len(members))
    else:
        signers = _signers(proof.signatures, Receipt(entry.epoch, 0, entry.sequence, hashed), members, chain)
    return Proved(
        leaf=certificate.leaf,
        event=leaf.operation.event,
        ticket=_ticket_of(leaf),
        kind=leaf.operation.kind,
        code=leaf.code,
        epoch=entry.epoch,
        sequence=entry.sequence,
        index=leaf.index,
        timestamp=leaf.timestamp,
        state=leaf.state,
        first=leaf.first,
        entry_hash=hashed,
        checkpoint=checkpoint,
        members=len(members),
        mode=chain.mode,
        signers=signers,
        continued=chain.continued,
        ended_offline=isinstance(proof, ContinuationProof),
    )


def continued_sentence(continued: Continued) -> str:
    """The additional sentence for a certificate of a cluster that continues another one (R11)."""
    names = ", ".join(shown(signer.id) for signer in continued.signers)
    return (
        f"continued, not proved by all: its cluster begins with what {names} signed of cluster "
        f"{continued.cluster.hex()} at sequence {continued.sequence}, epoch {continued.epoch}; "
        "what that one acknowledged later may be lost"
    )


def _place(first: tuple[int, ...]) -> str:
    """The place of the operation of which this one is a repeat (R48)."""
    sequence, index = first
    return f"sequence {sequence}, index {index}" if sequence else "an earlier one, whose place is not known"


def _check_state(state: bytes) -> None:
    """Raises ProofError if a state begins like a TicketState but is not a valid one, so that all verifiers
    agree on it."""
    answered = state.startswith(ANSWERED_HEADS)
    if not answered and not state.startswith(TICKET_HEAD):
        return
    found = opened(_form_of(state), state, "the state")
    numbers: tuple[int, ...] = (found.timestamp, found.sequence, found.index, *found.clock)
    moments: tuple[int, ...] = ()
    if isinstance(found, AnsweredState):
        moments = found.not_before, found.not_after, found.entered_at
    if isinstance(found, ListedState):
        numbers += found.visit.used, found.visit.allowed, found.visit.inside
        moments += (found.visit.at,)
    if not all(0 <= each <= COUNT_MAX for each in numbers) or not all(0 <= each < 2**63 for each in moments):
        raise no_form("the state")


def _ticket_of(leaf: Leaf) -> str:
    """The ticket of an outcome: an AnsweredState names it, which an admission by code does not."""
    if leaf.state.startswith(ANSWERED_HEADS):
        return opened(_form_of(leaf.state), leaf.state, "the state").ticket
    return leaf.operation.ticket


def _form_of(state: bytes) -> type[TicketState]:
    if state.startswith(LISTED_HEAD):
        return ListedState
    return AnsweredState if state.startswith(ANSWERED_HEADS) else TicketState


def _terms(state: TicketState) -> str:
    """The words for the terms in an answered state."""
    if not isinstance(state, AnsweredState):
        return ""
    named = (("product", state.product), ("seat", state.seat))
    words = "".join(f", {word} {shown(text)}" for word, text in named if text)
    reason = f": {shown(state.block_reason)}" if state.block_reason else ""
    return f"{words}, blocked{reason}" if state.blocked else words


def _results_root(certificate: Certificate) -> bytes:
    path = split_hashes(certificate.path)
    if certificate.sides >> len(path):
        raise ProofError(Code.BAD_PATH, "leaf", "its path names more sides than it has hashes")
    node = canonical.digest(b"\x00" + certificate.leaf)
    for bit, sibling in enumerate(path):
        left = certificate.sides >> bit & 1
        node = canonical.node_hash(sibling, node) if left else canonical.node_hash(node, sibling)
    return node


def _log_root(
    certificate: Certificate, proof: CheckpointProof, hashed: bytes, chain: Chain
) -> tuple[tuple[Member, ...], bytes]:
    if proof.epoch < certificate.epoch:
        said = "its checkpoint is of an earlier epoch than its entry"
        raise ProofError(Code.EARLY_CHECKPOINT, f"epoch {proof.epoch}", said)
    members = chain.members(proof.epoch, proof.sequence)
    path = split_hashes(proof.path)
    root = log_tree.climb(certificate.sequence - 1, proof.sequence, hashed, path)
    if root is None:
        raise ProofError(Code.BAD_PATH, "entry", "its path does not lead to its checkpoint")
    return members, root


def _continuation(leaf: Leaf, entry: Entry, proof: ContinuationProof, hashed: bytes) -> Continuation:
    """The CONTINUATION that all members must have signed for the entry to end their epoch; `sender` is still
    0."""
    root = log_tree.climb(entry.sequence - 1, entry.sequence, hashed, split_hashes(proof.path))
    if root is None:
        raise ProofError(Code.BAD_PATH, "entry", "its path does not lead to its checkpoint")
    start = opened(EpochStart, leaf.state, "the epoch change proof")
    keys = tuple(member.public_key for member in start.members)
    return Continuation(entry.epoch, 0, entry.sequence, proof.state_root, root, entry.timestamp, keys)


def _signers(
    signatures: Signatures,
    body: Receipt | Checkpoint | Continuation,
    members: tuple[Member, ...],
    chain: Chain,
    *,
    needed: int = 0,
) -> tuple[tuple[bytes, str], ...]:
    """(public key, name) of the distinct members that signed `body`, each with its own index as sender. There
    must be exactly `needed` of them, or q if that is 0."""
    needed = needed or quorum.quorum(len(members), chain.mode)
    if len(signatures) != needed:
        said = f"it has {len(signatures)} signatures; exactly {needed} of {len(members)} are needed"
        raise ProofError(Code.SIGNATURE_COUNT, "signatures", said)
    indexes = [index for index, _signature in signatures]
    if indexes != sorted(set(indexes)) or indexes[-1] >= len(members):
        said = "its signers are not distinct members in ascending order"
        raise ProofError(Code.BAD_SIGNERS, "signatures", said)
    signers: list[tuple[bytes, str]] = []
    for index, signature in signatures:
        member = members[index]
        statement = canonical.encode(msgspec.structs.replace(body, sender=index))
        data = signed_bytes(chain.cluster, KIND_OF[type(body)], statement)
        if not chain.scheme.verify(member.public_key, data, signature):
            name = shown(member.id)
            said = f"the signature of {name} does not fit what it should say"
            raise ProofError(Code.BAD_SIGNATURE, name, said)
        signers.append((member.public_key, member.id))
    return tuple(signers)


def time_text(microseconds: int) -> str:
    """Unix microseconds as `2026-11-20 10:00:00.000000 UTC`."""
    if microseconds >= YEAR_10000:
        return f"{microseconds} microseconds after 1970"
    days, rest = divmod(microseconds, DAY)
    # Convert days to a date of the Gregorian calendar, with years that begin in March.
    days += 719_468
    era, day_of_era = divmod(days, 146_097)
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    month += 3 if month < 10 else -9
    year += 400 * era + (month <= 2)
    seconds, fraction = divmod(rest, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"
    return f"{year:04}-{month:02}-{day:02} {clock} UTC"
