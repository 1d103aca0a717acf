"""For each kind of message: the subprotocol that handles it, and the cheap refusal before that (R5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import (
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
    Snapshot,
    Status,
    SupplyBatch,
    SupplyFrames,
    Suspect,
    ViewChange,
)
from dtvn.protocol.consensus.retransmission import SUPPLIED_MAX
from dtvn.protocol.consensus.subprotocols import Subprotocols
from dtvn.protocol.consensus.verified import Verified

Handler = Callable[[Verified[Any]], None]
Refusal = Callable[[Any, int | None], Reason | None]


def tables(core: Subprotocols) -> tuple[dict[type[Any], Handler], dict[type[Any], Refusal]]:
    """Two tables: kind of message -> its handler, and kind of message -> its cheap refusal."""
    ordering, views = core.ordering, core.view_change
    rows: list[tuple[type[Any], Any, Refusal]] = [
        (Bundle, core.policy.on_bundle, core.policy.refuse_bundle),
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
        (FetchBatch, core.supplying.on_fetch_batch, _never),
        (
            SupplyBatch,
            core.supplying.on_supply_batch,
            lambda _m, _p: None if len(core.state.batch_fetches) else Reason.NOT_ASKED,
        ),
        (FetchViewChange, views.on_fetch, _never),
        (
            SupplyFrames,
            core.supplying.on_supply_frames,
            lambda m, _p: Reason.TOO_LARGE if len(m.frames) > SUPPLIED_MAX else None,
        ),
        (Ping, core.pinging.on_ping, _never),
        (Pong, core.pinging.on_pong, core.pinging.refuse_pong),
        (Entries, core.catch_up.on_entries, lambda m, p: core.catch_up.refuse_entries(p, len(m.entries))),
        (FetchSnapshot, core.serving.on_fetch_snapshot, _never),
        (Snapshot, core.transfer.on_snapshot, lambda _m, p: core.transfer.refuse_snapshot(p)),
        (FetchGroups, core.serving.on_fetch_groups, _never),
        (Groups, core.transfer.on_groups, core.transfer.refuse_groups),
    ]
    handlers = {kind: handler for kind, handler, _refuse in rows}
    return handlers, {kind: refuse for kind, _handler, refuse in rows}


def _never(_message: Any, _member: int | None) -> Reason | None:
    return None
