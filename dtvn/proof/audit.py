"""The auditor: finds provably faulty members from the signed statements of several ledgers (P22).

After a fork at least f + 1 members must have lied, and their own signatures prove it: either they signed two
COMMITs (or CHECKPOINTs) for one sequence, or they committed in one view and hid it in the VIEW-CHANGE for a
later one. A member is named only if its own signatures convict it, so an honest member never is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from dtvn.proof.evidence import DOUBLES, Conviction, convict, encode_evidence, hides
from dtvn.proof.statements import open_signed
from dtvn.proof.verify import Chain, Epoch
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.proof_errors import ProofError
from dtvn.protocol.wire import decode_envelope, encode_envelope

CODE_OF = {kind: code for code, (kind, _equal) in DOUBLES.items()}
PER_MEMBER_MAX = 64
"""Most pieces of evidence kept against one member; more would prove nothing more."""


class Fork(msgspec.Struct, frozen=True):
    """The first sequence at which two ledgers hold different entries."""

    sequence: int
    one: str
    other: str


class Audit:
    """Takes frames in any order; `culprits` returns the members that they convict, with the evidence."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._slots: dict[tuple[Any, ...], bytes] = {}
        self._commits: dict[tuple[int, int], dict[tuple[int, int], tuple[bytes, m.Commit]]] = {}
        """(epoch, member) -> (view, sequence) -> COMMIT."""
        self._changes: dict[tuple[int, int], dict[bytes, bytes]] = {}
        """(epoch, member) -> digest of the body -> VIEW-CHANGE."""
        self._new_views: dict[bytes, tuple[bytes, m.NewView]] = {}
        self._found: dict[tuple[int, str], list[tuple[Conviction, bytes]]] = {}
        self._seen: set[bytes] = set()
        self.statements = 0
        """Number of different valid statements seen."""

    def add(self, frames: Iterable[bytes]) -> None:
        """Add frames from a ledger or a connection. Invalid ones are skipped; statements nested in a valid
        one are added too."""
        waiting = list(frames)
        while waiting:
            frame = waiting.pop()
            known = canonical.digest(frame)
            if known in self._seen:
                continue
            self._seen.add(known)
            try:
                # A faulty member's ledger may hold forgeries in place of the frames that convict it.
                message = open_signed(frame, self._chain)
            except ProofError:
                continue
            self.statements += 1
            waiting += _inside(message)
            envelope = decode_envelope(frame)[0]
            bare = encode_envelope(envelope.kind, envelope.body, envelope.signature)
            identity = canonical.digest(envelope.kind.to_bytes(1, "big") + envelope.body)
            self._compare(bare, message, identity)

    def culprits(self) -> dict[str, list[tuple[Conviction, bytes]]]:
        """Member name -> convictions, each with its evidence file; names in order of epoch and index."""
        self._judge_views()
        found: dict[str, list[tuple[Conviction, bytes]]] = {}
        for (_epoch, name), pieces in sorted(self._found.items()):
            found.setdefault(name, []).extend(pieces)
        return found

    # --- one step each ---------------------------------------------------------------------------

    def _compare(self, frame: bytes, message: Any, identity: bytes) -> None:
        code = CODE_OF.get(type(message))
        if code is None:
            return
        equal = DOUBLES[code][1]
        slot = (code, message.epoch, message.sender, *(getattr(message, field) for field in equal))
        first = self._slots.setdefault(slot, frame)
        if first is not frame:
            self._try(code, (first, frame))
        key = (message.epoch, message.sender)
        if isinstance(message, m.Commit):
            self._commits.setdefault(key, {})[message.view, message.sequence] = (frame, message)
        elif isinstance(message, m.ViewChange):
            self._changes.setdefault(key, {})[identity] = frame
        elif isinstance(message, m.NewView):
            self._new_views[identity] = (frame, message)

    def _judge_views(self) -> None:
        """Find the faults that need all statements: hidden certificates, invalid proofs, forged views."""
        for key, changes in self._changes.items():
            for frame in changes.values():
                change = decode_envelope(frame)[1]
                self._try("bad_view_change", (frame,))
                for vote, commit in self._commits.get(key, {}).values():
                    if _hides(commit, change):
                        self._try("hidden_commit", (vote, frame))
        everything = {
            digest: frame for changes in self._changes.values() for digest, frame in changes.items()
        }
        for frame, message in self._new_views.values():
            named = [everything[digest] for _sender, digest in message.view_changes if digest in everything]
            self._try("bad_new_view", (frame, *named))
        self._changes.clear()
        self._new_views.clear()

    def _try(self, code: str, frames: tuple[bytes, ...]) -> None:
        data = encode_evidence(self._chain.cluster, code, frames)
        try:
            found = convict(data, self._chain)
        except ProofError:
            return
        pieces = self._found.setdefault((found.epoch, found.name), [])
        if len(pieces) < PER_MEMBER_MAX:
            pieces.append((found, data))

    def needed(self, forks: Iterable[Fork] = ()) -> int:
        """f + 1 of the epoch of the fork: at least this number of its members lied. The maximum for several
        forks; f + 1 of the newest epoch without a fork."""
        epochs = [self._epoch_of(fork.sequence) for fork in forks] or [self._chain.epochs[-1]]
        return max(quorum.weak_quorum(len(epoch.members), self._chain.mode) for epoch in epochs)

    def _epoch_of(self, sequence: int) -> Epoch:
        return next(epoch for epoch in reversed(self._chain.epochs) if epoch.after < sequence)


def find_forks(logs: Mapping[str, Mapping[int, bytes]]) -> list[Fork]:
    """The first fork between each pair of ledgers. `logs`: ledger -> sequence -> entry hash."""
    names = sorted(logs)
    forks = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            shared = sorted(logs[one].keys() & logs[other].keys())
            parted = next((s for s in shared if logs[one][s] != logs[other][s]), None)
            if parted is not None:
                forks.append(Fork(parted, one, other))
    return forks


def _hides(commit: m.Commit, change: m.ViewChange) -> bool:
    """Whether a VIEW-CHANGE hides a commit; False if its content does not decode, since that is convicted as
    a bad VIEW-CHANGE."""
    try:
        return hides(commit, change)
    except ProofError:
        return False


def _inside(message: Any) -> list[bytes]:
    """The frames nested in a statement."""
    if isinstance(message, m.ViewChange):
        votes = [frame for proof in message.prepared for frame in (proof.pre_prepare, *proof.prepares)]
        return [*message.checkpoint, *votes]
    return list(message.proposals) if isinstance(message, m.NewView) else []
