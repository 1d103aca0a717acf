"""Sends every statement in other bytes than before: the content never changes, only the form of its signature
(P12; R4).

In a world whose signatures are malleable all of these forms are valid, and no node may count two forms of one
statement as two statements. In other worlds the door must refuse the altered statements of others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope, link_frame
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.node import Node
from simulator.scheme import LOOSE

TWICE = 0.3
"""Share of its messages that are sent in two forms at once."""


class MalleableSigner(Liar):
    """Signs its own statements anew each time; the signatures of others, however deeply nested, get other
    last bytes. Where a statement of its own contains statements of others, it signs that statement with the
    altered ones, always with the same choice, so that it never contradicts itself."""

    def begin(self) -> None:
        """See Liar."""
        self._said: dict[bytes, Any] = {}
        """Body of an own VIEW-CHANGE or NEW-VIEW -> the statement sent in its place, which is itself never
        changed."""
        self._digests: dict[bytes, bytes] = {}
        """Digest of an own VIEW-CHANGE -> digest of the one sent in its place, as a NEW-VIEW names it."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See node.SendHook."""
        yield receiver, self.form(frame)
        if self.dice.hit(TWICE):
            yield receiver, self.form(frame)

    def form(self, frame: bytes) -> bytes:
        """The same statement with another form of its signature, if it has one."""
        envelope, message = self.world.frame_cache.read(frame)
        change = CHANGES.get(type(message))
        if type(message) in m.LINK:
            return frame if change is None else link_frame(change(self, message))
        body = envelope.attachment and self.batch(envelope.attachment)
        if self.mine(frame) is None:
            end = envelope.signature[:-LOOSE] + self.dice.bytes(LOOSE)
            return canonical.encode(Envelope(envelope.kind, envelope.body, end, body))
        if change is not None:
            if envelope.body not in self._said:
                said = self._said[envelope.body] = change(self, message)
                self._said[canonical.encode(said)] = said
            self._remember(message, self._said[envelope.body])
            message = self._said[envelope.body]
        return self.signer.sign(message, body)

    def _remember(self, true: Any, said: Any) -> None:
        """The honest node inside must know its VIEW-CHANGE in the form that others received, or it could
        enter no view that rests on it."""
        if not isinstance(true, m.ViewChange):
            return
        before, after = digest_of(true), digest_of(said)
        self._digests[before] = after
        changes = self.node.core.state.views.view_changes
        own = changes.get(self.index)
        if own is not None and own.digest == before:
            changes[self.index] = msgspec.structs.replace(own, digest=after, frame=self.signer.sign(said))

    # --- what holds signatures of others -----------------------------------------------------------

    def forms(self, frames: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Each of these frames in another form."""
        return tuple(self.form(frame) for frame in frames)

    def batch(self, body: bytes) -> bytes:
        """The batch with other forms of its requests' signatures, which its digest does not cover."""
        batch = canonical.decode(m.Batch, body)
        return canonical.encode(msgspec.structs.replace(batch, requests=self.forms(batch.requests)))

    def entries(self, message: m.Entries) -> m.Entries:
        """The pages with other forms of the signatures in them."""
        pages = []
        for entry, body, commits in message.entries:
            pages.append((entry, body and self.batch(body), self.forms(commits)))
        return m.Entries(entries=tuple(pages), checkpoint=self.forms(message.checkpoint))

    def view_change(self, message: m.ViewChange) -> m.ViewChange:
        """Its own VIEW-CHANGE, with other forms of the statements in it."""
        prepared = tuple(
            m.PreparedProof(self.form(proof.pre_prepare), self.forms(proof.prepares))
            for proof in message.prepared
        )
        checkpoint = self.forms(message.checkpoint)
        return msgspec.structs.replace(message, checkpoint=checkpoint, prepared=prepared)

    def new_view(self, message: m.NewView) -> m.NewView:
        """Its own NEW-VIEW, with other forms of the PRE-PREPAREs in it."""
        named = tuple((sender, self._digests.get(digest, digest)) for sender, digest in message.view_changes)
        return msgspec.structs.replace(message, view_changes=named, proposals=self.forms(message.proposals))


def digest_of(message: Any) -> bytes:
    """The digest by which others name this statement."""
    return canonical.digest(m.KIND_OF[type(message)].to_bytes(1, "big") + canonical.encode(message))


def fields(*names: str) -> Callable[[MalleableSigner, Any], Any]:
    """Returns a change that gives another form to the frames in these fields."""

    def change(liar: MalleableSigner, message: Any) -> Any:
        changed = {name: liar.forms(getattr(message, name)) for name in names}
        return msgspec.structs.replace(message, **changed)

    return change


CHANGES: dict[type[Any], Callable[[MalleableSigner, Any], Any]] = {
    m.ViewChange: MalleableSigner.view_change,
    m.NewView: MalleableSigner.new_view,
    m.Entries: MalleableSigner.entries,
    m.SupplyBatch: lambda liar, message: m.SupplyBatch(liar.batch(message.body)),
    m.SupplyFrames: fields("frames"),
    m.Pong: fields("frames", "checkpoint"),
    m.Snapshot: fields("checkpoint"),
    m.Reply: lambda liar, message: msgspec.structs.replace(message, receipt=liar.form(message.receipt)),
}
