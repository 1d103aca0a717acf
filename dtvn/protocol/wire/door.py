"""The door: turns bytes from a peer into a `Header`, and after checking all signatures into a `Verified`.

Cheap checks come first (size and kind before anything is decoded, then shape, known sender). The host calls
`core.wants(header)` between `peek` and `verify`, so that an unwanted message costs no signature check
(R5, P15). Nested statements and the requests of a batch are verified here too; the core never sees an
unchecked one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Header, Inbound, Peer, Verified, VerifiedBatch, VerifiedBundle
from dtvn.protocol.scheme import ED25519, SIGNATURE_SIZE, Scheme
from dtvn.protocol.wire import limits
from dtvn.protocol.wire.envelope import Envelope, decode_envelope, encode_envelope, signed_bytes

CHECK = 8
"""Cost of checking a signature, relative to recognising a known one with its statement (measured: 11)."""

_SMALL = frozenset(
    {
        m.Prepare,
        m.Commit,
        m.Checkpoint,
        m.Suspect,
        m.Status,
        m.Receipt,
        m.FetchBatch,
        m.FetchEntries,
        m.FetchViewChange,
        m.FetchSnapshot,
        m.FetchGroups,
        m.Busy,
        m.Ping,
        m.Announce,
        m.Follow,
        m.Gossip,
        m.Head,
        m.Hello,
        m.Query,
        m.RequestVote,
        m.RequestVoteResult,
        m.AppendEntriesResult,
    }
)

_OF_MEMBERS = {number: limits.FRAME_BYTES_MAX for number, kind in m.KINDS.items() if kind not in _SMALL}
_OF_MEMBERS[m.KIND_OF[m.Bundle]] = limits.BUNDLE_FRAME_BYTES_MAX
"""Most bytes of a member's frame by its kind; of all others SMALL_FRAME_BYTES_MAX."""

_OF_PRINCIPALS = dict.fromkeys(
    (
        m.KIND_OF[kind]
        for kind in (
            *(m.FetchEntries, m.FetchGroups, m.FetchSnapshot, m.Follow),
            *(m.Gossip, m.Hello, m.Query, m.Status),
        )
    ),
    limits.SMALL_FRAME_BYTES_MAX,
)
_OF_PRINCIPALS[m.KIND_OF[m.Bundle]] = limits.BUNDLE_FRAME_BYTES_MAX
_OF_PRINCIPALS[m.KIND_OF[m.Judge]] = limits.JUDGE_FRAME_BYTES_MAX
"""Most bytes of a principal's frame by its kind; all others are not decoded."""

_NESTING = frozenset({m.Announce, m.ViewChange, m.NewView, m.Entries, m.SupplyFrames, m.Pong, m.Snapshot})
"""Messages that hold statements (`_nested_frames`)."""

_ENVELOPE_OF_FOUR = b"\x94"

_SIFTED: dict[type[Any], str] = {m.SupplyFrames: "frames", m.Pong: "frames", m.Announce: "heads"}
"""Messages whose statements are wanted or refused one by one, and the field that holds them; the refused ones
are left out."""

_ENDS = (m.Checkpoint, m.Continuation)
"""Statements that may cover a range of the log."""

ALIKE_MAX = 2
"""Most statements of one sender about one slot in such a message: a vote, and one that contradicts it."""


Sampled = Callable[[bytes], bool]
"""Whether the request with this digest is checked."""


def one_in_64(secret: int) -> Sampled:
    """Samples one request in 64, always the same ones; only who knows `secret` (0 to 63) knows which."""
    return lambda digest: (digest[0] ^ secret) & 63 == 0


class PeerError(Exception):
    """An invalid frame, which its sender should not have sent; `reason` is counted per peer."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Keys(Protocol):
    """The public keys of the known signers."""

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """Public key of a member in an epoch, or None."""

    def principal_key(self, name: str) -> bytes | None:
        """Public key of a principal, or None."""


class Door:
    """Decodes and verifies frames for one cluster.

    `trusted`: signatures are not checked again (records of this node's ledger, guarded by its hash chain).
    `statements_max`: most statements that one message may carry, at any depth. `remembered_max`: most valid
    signatures remembered; the oldest are forgotten first. `sampled`: selects by its digest each
    request under COMMITs that is checked; without it all are, as a process that may vote needs.
    """

    def __init__(
        self,
        cluster: bytes,
        keys: Keys,
        *,
        scheme: Scheme = ED25519,
        trusted: bool = False,
        statements_max: int = limits.STATEMENTS_MAX,
        remembered_max: int = limits.VERIFIED_CACHE_MAX,
        sampled: Sampled | None = None,
    ) -> None:
        self.cluster = cluster
        self.keys = keys
        self.scheme = scheme
        self.trusted = trusted
        self.statements_max = statements_max
        self.remembered_max = remembered_max
        self.sampled = sampled
        self.verifications = 0
        """Number of signatures checked, without cache hits (a metric)."""
        self.recognitions = 0
        """Number of signatures not checked again because they are known to be valid (a metric)."""
        self.units_read = 0
        """Sum of the frames' whole `UNIT_BYTES`, refused ones included."""
        self._valid: dict[bytes, None] = {}

    @property
    def work(self) -> int:
        """Total cost of frames so far: `CHECK` for each signature checked, 1 for each one recognised and for
        each `UNIT_BYTES` of a frame."""
        return self.verifications * CHECK + self.recognitions + self.units_read

    @property
    def remembered(self) -> int:
        """Number of signatures known to be valid."""
        return len(self._valid)

    def peek(self, inbound: Inbound) -> Header:
        """Decode a frame without verifying it; raise PeerError on bad size, bad shape or unknown kind. It is
        not decoded if it is too long for its kind, or of a kind that its sender may not send."""
        frame = inbound.frame
        self.units_read += len(frame) // limits.UNIT_BYTES
        _check_head(frame, member=inbound.peer.member is not None)
        envelope, message = self._decode(frame)
        signed = len(frame) - len(envelope.attachment)
        if type(message) is m.PrePrepare and signed > limits.SMALL_FRAME_BYTES_MAX:
            raise PeerError(Reason.TOO_LARGE, f"a PrePrepare of {signed} bytes")
        return Header(
            peer=inbound.peer,
            message=message,
            frame=frame,
            body=envelope.body,
            signature=envelope.signature,
            attachment=envelope.attachment,
        )

    def sift(
        self, header: Header, wants: Callable[[Header, type[Any]], Reason | None]
    ) -> tuple[Header, list[Reason]]:
        """Leave out the loose statements that `wants` refuses, before any signature is checked. Returns the
        rest of the message, and the reason for each statement left out."""
        message = header.message
        kind = type(message)
        field = _SIFTED.get(kind, "")
        if not field or not getattr(message, field):
            return header, []
        kept: dict[bytes, None] = {}
        alike: dict[tuple[Any, ...], int] = {}
        reasons: list[Reason] = []
        for frame in getattr(message, field):
            if frame in kept:
                continue
            envelope, inner = self._decode(frame)
            _check_loose(envelope, inner)
            place = (type(inner), inner.sender, getattr(inner, "view", 0), getattr(inner, "sequence", 0))
            alike[place] = alike.get(place, 0) + 1
            nested = Header(
                peer=header.peer,
                message=inner,
                frame=frame,
                body=envelope.body,
                signature=envelope.signature,
                attachment=b"",
            )
            reason = Reason.SECOND_MESSAGE if alike[place] > ALIKE_MAX else wants(nested, kind)
            if reason is None:
                kept[frame] = None
            else:
                reasons.append(reason)
        if not reasons:
            return header, reasons
        less = msgspec.structs.replace(message, **{field: tuple(kept)})
        body = canonical.encode_trimmed(less)
        frame = encode_envelope(m.KIND_OF[kind], body, header.signature, header.attachment)
        return msgspec.structs.replace(header, message=less, frame=frame, body=body), reasons

    def verify(self, header: Header) -> Verified[Any]:
        """Check all signatures of a message; raise PeerError, with nothing changed, if one fails."""
        envelope = Envelope(m.KIND_OF[type(header.message)], header.body, header.signature, header.attachment)
        return self._verified(header.peer, header.message, envelope, header.frame)

    def statement(self, peer: Peer, frame: bytes) -> Verified[Any]:
        """Decode and verify one signed frame (a receipt, a nested vote); raise PeerError."""
        envelope, message = self._decode(frame)
        if type(message) not in m.STATEMENTS:
            raise PeerError(Reason.WRONG_KIND, f"{type(message).__name__} is no statement")
        return self._verified(peer, message, envelope, frame)

    def batch(self, body: bytes, *, trusted: bool = False) -> VerifiedBatch:
        """Decode a batch body, check each request's signature (`trusted`: none), and recompute the digest."""
        batch = _read_batch(body)
        bundles = tuple(self._request(frame, trusted) for frame in batch.requests)
        digest = m.batch_digest(batch.origin_view, batch.proposed, tuple(b.digest for b in bundles))
        return VerifiedBatch(batch=batch, digest=digest, body=body, bundles=bundles)

    def digest_of(self, body: bytes) -> bytes:
        """The digest of a batch body, of which only the form is checked, so that an unwanted body costs no
        signature check; raise PeerError if it is malformed. The form is checked because a request's digest
        covers neither its signature nor its attachment: a malformed request can have the right digest."""
        return self.batch(body, trusted=True).digest

    # --- one step each ---------------------------------------------------------------------------

    def _decode(self, frame: bytes) -> tuple[Envelope, Any]:
        try:
            return decode_envelope(frame)
        except canonical.CanonicalError as error:
            raise PeerError(Reason.MALFORMED, str(error)) from error

    def _verified(self, peer: Peer, message: Any, envelope: Envelope, frame: bytes) -> Verified[Any]:
        kind = type(message)
        bundle: VerifiedBundle | None = None
        batch: VerifiedBatch | None = None
        nested: dict[bytes, Verified[Any]] = {}
        batches: tuple[VerifiedBatch | None, ...] = ()
        signed = frame
        if kind is m.Bundle:
            self._check_bundle(message, envelope)
            bundle = VerifiedBundle(message, m.bundle_digest(envelope.body), frame)
        elif kind in m.STATEMENTS:
            self._check_statement(message, envelope)
            nested = self._nested(peer, message)
            if envelope.attachment:
                if kind is not m.PrePrepare:
                    raise PeerError(Reason.MALFORMED, f"{kind.__name__} has no attachment")
                batch = self.batch(envelope.attachment, trusted=self.trusted)
                if batch.digest != message.digest:
                    raise PeerError(Reason.BAD_BATCH, "the batch is not the one that was signed")
                signed = encode_envelope(envelope.kind, envelope.body, envelope.signature)
        else:
            if envelope.signature or envelope.attachment:
                raise PeerError(Reason.MALFORMED, "a link message carries no signature")
            nested = self._nested(peer, message)
            if kind is m.SupplyBatch:
                batch = self.batch(message.body, trusted=self.trusted)
            elif kind is m.Entries:
                batches = self._range(message)
            elif kind is m.AppendEntries:
                batches = tuple(self.batch(body, trusted=self.trusted) for body in message.bodies)
        return Verified(
            peer=peer,
            message=message,
            frame=signed,
            body_digest=canonical.digest(envelope.kind.to_bytes(1, "big") + envelope.body),
            batch=batch,
            bundle=bundle,
            nested=nested,
            batches=batches,
        )

    def _range(self, message: m.Entries) -> tuple[VerifiedBatch | None, ...]:
        """The bodies of a range of the log, up to the first request whose signer has no key here yet: an
        earlier entry may add that principal, and the rest is requested again.

        The members that signed a certificate verified the entries it covers, whose signers' keys may have
        changed since, so these are not checked. The entries above it may still be carried into a view, so
        they are checked, unless this process carries nothing: among q members that committed a batch f + 1
        honest ones checked it, so a learner checks a sample. A wrong signature in it is left to the learner,
        which knows what the COMMITs prove.
        """
        batches: list[VerifiedBatch | None] = []
        for _entry, body, commits in message.entries:
            trusted = self.trusted or not commits or bool(message.checkpoint)
            try:
                if not body:
                    batches.append(None)
                elif trusted or self.sampled is None:
                    batches.append(self.batch(body, trusted=trusted))
                else:
                    batches.append(self._sampled_batch(body, self.sampled))
            except PeerError as error:
                if error.reason is not Reason.UNKNOWN_SENDER or not batches:
                    raise
                break
        return tuple(batches)

    def _sampled_batch(self, body: bytes, sampled: Sampled) -> VerifiedBatch:
        batch = self.batch(body, trusted=True)
        for bundle in batch.bundles:
            if sampled(bundle.digest):
                try:
                    self._check_bundle(bundle.bundle, self._decode(bundle.frame)[0])
                except PeerError as error:
                    if error.reason is not Reason.BAD_SIGNATURE:
                        raise
                    return msgspec.structs.replace(batch, forged=bundle)
        return batch

    def _nested(self, peer: Peer, message: Any) -> dict[bytes, Verified[Any]]:
        """Verify every statement inside a message; an absent statement stays absent and is never assumed.

        The statements are counted before any signature is checked, and those over the limit are not decoded.
        """
        verified: dict[bytes, Verified[Any]] = {}
        if type(message) not in _NESTING:
            return verified
        frames = list(_nested_frames(message))
        if not frames:
            return verified
        room = self.statements_max - len(frames)
        found = []
        for frame, expected in frames if room >= 0 else ():
            envelope, inner = self._decode(frame)
            found.append((frame, expected, (envelope, inner)))
            if (room := room - _statements(inner)) < 0:
                break
        if room < 0:
            raise PeerError(Reason.TOO_LARGE, "too many statements in one message")
        for frame, expected, (envelope, inner) in found:
            if frame in verified:
                continue
            if expected is not None and type(inner) not in expected:
                raise PeerError(Reason.BAD_PROOF, f"{type(inner).__name__} where it cannot be")
            if expected is None:
                _check_loose(envelope, inner)
            elif envelope.attachment:
                raise PeerError(Reason.BAD_PROOF, "a certificate carries no batch")
            verified[frame] = self._verified(peer, inner, envelope, frame)
        return verified

    def _request(self, frame: bytes, trusted: bool) -> VerifiedBundle:
        if len(frame) > limits.BUNDLE_FRAME_BYTES_MAX:
            raise PeerError(Reason.TOO_LARGE, f"a request of {len(frame)} bytes")
        envelope, message = self._decode(frame)
        if type(message) is not m.Bundle:
            raise PeerError(Reason.BAD_BATCH, f"{type(message).__name__} is no request")
        if trusted:
            _check_request_form(envelope)
        else:
            self._check_bundle(message, envelope)
        return VerifiedBundle(message, m.bundle_digest(envelope.body), frame)

    def _check_bundle(self, bundle: m.Bundle, envelope: Envelope) -> None:
        _check_request_form(envelope)
        self._check(self.keys.principal_key(bundle.principal), envelope, bundle.principal)

    def _check_statement(self, message: Any, envelope: Envelope) -> None:
        key = self.keys.member_key(message.epoch, message.sender)
        self._check(key, envelope, str(message.sender))

    def _check(self, key: bytes | None, envelope: Envelope, signer: str) -> None:
        if self.trusted:
            return
        if key is None:
            raise PeerError(Reason.UNKNOWN_SENDER, f"no key for {signer!r}")
        if len(envelope.signature) != SIGNATURE_SIZE:
            # This also keeps the identity below unambiguous: all its parts but the last have fixed length.
            raise PeerError(Reason.BAD_SIGNATURE, f"a signature of {len(envelope.signature)} bytes")
        data = signed_bytes(self.cluster, envelope.kind, envelope.body)
        identity = canonical.digest(key + envelope.signature + data)
        if identity in self._valid:
            self.recognitions += 1
            return
        self.verifications += 1
        if not self.scheme.verify(key, data, envelope.signature):
            raise PeerError(Reason.BAD_SIGNATURE, f"bad signature of {signer!r}")
        if len(self._valid) >= self.remembered_max:
            del self._valid[next(iter(self._valid))]
        self._valid[identity] = None


def _check_head(frame: bytes, *, member: bool) -> None:
    """Raise PeerError unless a frame's length and kind are ones that its sender may send. Kinds below 128 are
    the second byte of an envelope; whatever else is there is left to the decoder."""
    number = frame[1] if frame[:1] == _ENVELOPE_OF_FOUR and len(frame) > 1 else 0
    known = _OF_MEMBERS if member else _OF_PRINCIPALS
    if not member and number in m.KINDS and number not in known:
        # Not grave: around a change of epochs a member of the other epoch sends its kinds as a principal.
        raise PeerError(Reason.NOT_MEMBER, m.KINDS[number].__name__)
    if len(frame) > known.get(number, limits.SMALL_FRAME_BYTES_MAX):
        raise PeerError(Reason.TOO_LARGE, f"a frame of {len(frame)} bytes and kind {number}")


def _read_batch(body: bytes) -> m.Batch:
    try:
        batch = canonical.decode(m.Batch, body)
    except canonical.CanonicalError as error:
        raise PeerError(Reason.BAD_BATCH, str(error)) from error
    if not 0 <= batch.origin_view < 1 << 63 or not 0 <= batch.proposed < 1 << 63:
        raise PeerError(Reason.BAD_BATCH, "view or timestamp out of range")
    return batch


def _check_loose(envelope: Envelope, message: Any) -> None:
    """Raise PeerError unless a nested frame of any kind is a statement without a batch. A batch is attached
    only to the proposal itself: inside another message its requests would be checked before the core could
    refuse it."""
    if type(message) not in m.STATEMENTS:
        raise PeerError(Reason.WRONG_KIND, f"{type(message).__name__} is no statement")
    if envelope.attachment:
        raise PeerError(Reason.MALFORMED, "a statement inside a message carries no batch")


def _check_request_form(envelope: Envelope) -> None:
    """Raise PeerError unless a request is well-formed, even one from a certified log: this node's ledger
    applies the same rule when it opens the request."""
    if envelope.attachment:
        raise PeerError(Reason.MALFORMED, "a request has no attachment")
    if len(envelope.signature) != SIGNATURE_SIZE:
        raise PeerError(Reason.BAD_SIGNATURE, f"a signature of {len(envelope.signature)} bytes")


def _statements(message: Any) -> int:
    """Number of statements that a message carries directly."""
    return sum(1 for _ in _nested_frames(message)) if type(message) in _NESTING else 0


def _nested_frames(message: Any) -> Iterable[tuple[bytes, tuple[type[Any], ...] | None]]:
    """Every statement frame inside a message, with the types allowed for it (None: any)."""
    kind = type(message)
    if kind is m.ViewChange:
        for frame in message.checkpoint:
            yield frame, (m.Checkpoint,)
        for proof in message.prepared:
            yield proof.pre_prepare, (m.PrePrepare,)
            for frame in proof.prepares:
                yield frame, (m.Prepare,)
    elif kind is m.NewView:
        for frame in message.proposals:
            yield frame, (m.PrePrepare,)
    elif kind is m.Entries:
        for _entry, _body, commits in message.entries:
            for frame in commits:
                yield frame, (m.Commit,)
        for frame in message.checkpoint:
            yield frame, _ENDS
    elif kind is m.SupplyFrames or kind is m.Pong:
        for frame in message.frames:
            yield frame, None
        if kind is m.Pong:
            for frame in message.checkpoint:
                yield frame, (m.Checkpoint,)
    elif kind is m.Snapshot:
        for frame in message.checkpoint:
            yield frame, (m.Checkpoint,)
    elif kind is m.Announce:
        for frame in message.heads:
            yield frame, (m.Head,)
