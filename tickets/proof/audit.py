"""The auditor: signed statements of several ledgers in, proved culprits out (PITFALLS row 22).

After a fork at least f + 1 members must have lied, and their own signatures say so: either they committed
(or checkpointed) twice at one place, or they committed in one view and hid it when they left for a later
one. Nobody is named whose signatures do not convict him, so an honest member never is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tickets.proof.errors import ProofError
from tickets.proof.evidence import DOUBLES, Conviction, convict, encode_evidence, hides
from tickets.proof.statements import open_signed
from tickets.proof.verify import Chain, Epoch
from validators import canonical, quorum
from validators.consensus import messages as m
from validators.wire import decode_envelope
from validators.wire.envelope import encode_envelope

__all__ = ["Audit", "Fork", "find_forks"]

CODE_OF = {kind: code for code, (kind, _equal) in DOUBLES.items()}
PER_MEMBER_MAX = 64
"""Pieces of evidence against one member; more prove nothing more."""


class Fork(msgspec.Struct, frozen=True):
    """The first sequence at which two ledgers hold different entries."""

    sequence: int
    one: str
    other: str


class Audit:
    """Takes frames in any order; `culprits` tells who is convicted by them and how."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._slots: dict[tuple[Any, ...], bytes] = {}
        self._commits: dict[tuple[int, int], dict[tuple[int, int], tuple[bytes, m.Commit]]] = {}
        """(epoch, member) -> (view, sequence) -> COMMIT."""
        self._changes: dict[tuple[int, int], dict[bytes, bytes]] = {}
        """(epoch, member) -> VIEW-CHANGEs by digest of their body."""
        self._new_views: dict[bytes, tuple[bytes, m.NewView]] = {}
        self._found: dict[tuple[int, str], list[tuple[Conviction, bytes]]] = {}
        self._seen: set[bytes] = set()
        self.statements = 0
        """Different statements looked at."""

    def add(self, frames: Iterable[bytes]) -> None:
        """Statements out of a ledger or from a wire; what is none, or carries others, is taken apart."""
        waiting = list(frames)
        while waiting:
            frame = waiting.pop()
            known = canonical.digest(frame)
            if known in self._seen:
                continue
            self._seen.add(known)
            try:
                # Whoever gives us a ledger may have put forgeries in it, in the place of what convicts him.
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
        """Name -> convictions, each with its file of evidence; names in order of epoch and index."""
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
        """What only shows when all is there: hidden certificates, proofs that are none, forged views."""
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
        """f + 1 of the epoch that the fork is in: at least so many of its members lied; of several forks the
        most, without one that of the newest epoch."""
        epochs = [self._epoch_of(fork.sequence) for fork in forks] or [self._chain.epochs[-1]]
        return max(quorum.weak_quorum(len(epoch.members)) for epoch in epochs)

    def _epoch_of(self, sequence: int) -> Epoch:
        return next(epoch for epoch in reversed(self._chain.epochs) if epoch.after < sequence)


def find_forks(logs: Mapping[str, Mapping[int, bytes]]) -> list[Fork]:
    """Where each pair of ledgers parts: `logs` is ledger -> sequence -> entry hash."""
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
    """One that carries what nobody can read hides nothing; it is convicted as a bad VIEW-CHANGE."""
    try:
        return hides(commit, change)
    except ProofError:
        return False


def _inside(message: Any) -> list[bytes]:
    """Statements that a statement carries."""
    if isinstance(message, m.ViewChange):
        votes = [frame for proof in message.prepared for frame in (proof.pre_prepare, *proof.prepares)]
        return [*message.checkpoint, *votes]
    return list(message.proposals) if isinstance(message, m.NewView) else []
