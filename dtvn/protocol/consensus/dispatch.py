"""Table of message kinds: the subprotocol that handles each, and the cheap refusal before that (R5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dtvn.protocol.consensus.effects import Effects, Reason
from dtvn.protocol.consensus.messages import (
    STATEMENTS,
    Bundle,
    Checkpoint,
    Commit,
    Entries,
    FetchBatch,
    FetchGroups,
    FetchSnapshot,
    FetchViewChange,
    Groups,
    NewView,
    Ping,
    Pong,
    Prepare,
    PrePrepare,
    Query,
    Snapshot,
    Status,
    SupplyBatch,
    SupplyFrames,
    Suspect,
    ViewChange,
    bundle_digest,
)
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.retransmission import SUPPLIED_MAX
from dtvn.protocol.consensus.self_messages import SelfMessageGuard
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.subprotocols import Subprotocols
from dtvn.protocol.consensus.verified import Header, Verified

OF_PRINCIPALS = frozenset({Bundle, FetchSnapshot, FetchGroups, Query})
"""Kinds that a voting core takes from peers that are no members: requests, a follower's questions for the
state (R45), and a reader's for the index that it must have applied (R18)."""

Handler = Callable[[Verified[Any]], None]
Refusal = Callable[[Any, int | None], Reason | None]
Row = tuple[type[Any], Any, Refusal]


def table(core: Subprotocols) -> list[Row]:
    """The messages of PBFT."""
    ordering, views = core.ordering, core.view_change
    return [
        (Bundle, core.policy.on_bundle, lambda m, _p: core.policy.refuse_bundle(m)),
        (PrePrepare, ordering.on_pre_prepare, ordering.refuse_pre_prepare),
        (Prepare, ordering.on_prepare, ordering.refuse_prepare),
        (Commit, ordering.on_commit, ordering.refuse_commit),
        (
            Checkpoint,
            core.checkpoints.on_checkpoint,
            lambda m, _p: core.checkpoints.refuse(m),
        ),
        (Suspect, core.suspicion.on_suspect, core.suspicion.refuse_suspect),
        (ViewChange, views.on_view_change, lambda m, _p: views.refuse_view_change(m, None)),
        (NewView, views.on_new_view, lambda m, _p: views.refuse_new_view(m)),
        (Status, core.retransmission.on_status, core.retransmission.refuse_status),
        (FetchBatch, core.supplying.on_fetch_batch, never),
        (
            SupplyBatch,
            core.supplying.on_supply_batch,
            lambda _m, _p: None if len(core.state.batch_fetches) else Reason.NOT_ASKED,
        ),
        (FetchViewChange, views.on_fetch, never),
        (
            SupplyFrames,
            core.supplying.on_supply_frames,
            lambda m, _p: Reason.TOO_LARGE if len(m.frames) > SUPPLIED_MAX else None,
        ),
        (Ping, core.pinging.on_ping, never),
        (Pong, core.pinging.on_pong, core.pinging.refuse_pong),
        (Entries, core.catch_up.on_entries, lambda m, p: core.catch_up.refuse_entries(p, len(m.entries))),
        (FetchSnapshot, core.serving.on_fetch_snapshot, never),
        (Snapshot, core.transfer.on_snapshot, lambda _m, p: core.transfer.refuse_snapshot(p)),
        (FetchGroups, core.serving.on_fetch_groups, never),
        (Groups, core.transfer.on_groups, core.transfer.refuse_groups),
    ]


def never(_message: Any, _member: int | None) -> Reason | None:
    """Refuses no message of a kind."""
    return None


class Dispatcher:
    """Hands each message to its subprotocol, or says why it is refused: the door of every voting core."""

    state: State
    policy: Policy
    self_messages: SelfMessageGuard

    def take(self, rows: Iterable[Row]) -> None:
        """Takes the table of kinds of messages: kind, its handler, and its cheap refusal."""
        self._handlers: dict[type[Any], Handler] = {}
        self._refusals: dict[type[Any], Refusal] = {}
        for kind, handler, refuse in rows:
            self._handlers[kind], self._refusals[kind] = handler, refuse

    def wants(self, header: Header) -> Reason | None:
        """Returns why to refuse a message before any signature is checked, or None (R5). Changes no state."""
        message = header.message
        kind = type(message)
        refuse = self._refusals.get(kind)
        if refuse is None:
            return Reason.WRONG_KIND
        if header.peer.member is None and kind not in OF_PRINCIPALS:
            return Reason.NOT_MEMBER
        body = message.body if kind is SupplyBatch else header.attachment
        if len(body) > self.state.config.batch_bytes_max:
            return Reason.TOO_LARGE  # no honest replica votes for it, so no member needs it
        if kind in STATEMENTS:
            reason = self._refuse_sender(message)
            if reason is not None:
                return reason
            if message.sender == self.state.index and not self._may_have_said(kind):
                return self.self_messages.refuse(message)
        return refuse(message, header.peer.member)

    def on_refused(self, header: Header, reason: Reason) -> Effects:
        """Uses a request that `wants` refused. It needs no check of a signature: the link proves who asks for
        an answer, or who waits too."""
        if type(header.message) is Bundle:
            self.policy.on_refused(header.message, bundle_digest(header.body), header.peer, reason)
        return self.state.outbox.take()

    def wants_within(self, header: Header, kind: type[Any]) -> Reason | None:
        """As `wants`, for a statement inside a message of `kind`. A Pong shows this replica's own statements:
        a voting replica wants only those that its ledger lacks, a follower wants all of them (R11)."""
        if kind is not Pong:
            return self.wants(header)
        message = header.message
        if message.sender != self.state.index:
            return Reason.NOT_ASKED
        return self.self_messages.refuse(message) if self.state.voting else None

    def awaits(self, digest: bytes) -> bool:
        """Whether this replica asked for a batch; if not, its requests are not checked (P15)."""
        return digest in self.state.batch_fetches

    def dispatch(self, verified: Verified[Any]) -> None:
        """Hands a verified message to its subprotocol."""
        if self.state.views.ended:
            return
        message = verified.message
        kind = type(message)
        handler = self._handlers.get(kind)
        reason: Reason | None = None
        if handler is None:
            reason = Reason.WRONG_KIND
        elif kind in STATEMENTS:
            reason = self._refuse_sender(message)
            if reason is None and message.sender == self.state.index and not self._may_have_said(kind):
                self.self_messages.on_own(verified)
                return
        if handler is None or reason is not None:
            self.state.outbox.refused(reason or Reason.WRONG_KIND, verified)
            return
        handler(verified)

    def _may_have_said(self, kind: type[Any]) -> bool:
        """Whether a received statement under the own key is handled as any member's. A follower handles its
        own VIEW-CHANGEs so, or it could never enter a view whose NEW-VIEW names one that it forgot (R11)."""
        return not self.state.voting and kind is ViewChange

    def _refuse_sender(self, message: Any) -> Reason | None:
        if message.epoch != self.state.config.epoch:
            return Reason.WRONG_EPOCH
        return None if 0 <= message.sender < self.state.n else Reason.UNKNOWN_SENDER
