"""What members of an earlier version of the cluster can read of what this program sends (R47).

Until the version is raised, a member may run the release before: what that cannot read would count against
its sender as malformed. Nothing that is left out carries a vote or an entry.
"""

from __future__ import annotations

from msgspec.structs import replace

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.versions import LISTS
from dtvn.protocol.wire.envelope import decode_envelope
from dtvn.protocol.wire.signer import link_frame

_LATER = frozenset(m.KIND_OF[kind] for kind in (m.Head, m.Announce, m.Gossip))
"""Kinds of the second version: followers ask members for entries as before."""
_LONGER: dict[int, dict[str, object]] = {
    m.KIND_OF[m.Busy]: {"timestamp": 0},
    m.KIND_OF[m.Follow]: {"lazy": False},
    m.KIND_OF[m.FetchEntries]: {"alone": False},
}
"""Kinds that got later fields in the second version -> these fields as the first version means them."""
_PONG = m.KIND_OF[m.Pong]


def spoken(frame: bytes, version: int) -> bytes | None:
    """The frame in a form that every member of a cluster of this version reads; None: there is none."""
    if version >= LISTS:
        return frame
    kind = frame[1]  # an envelope is an array of four, and every kind is a byte
    if kind in _LATER:
        return None
    if kind == _PONG:
        # That the sender lost its ledger cannot be said: then it does not answer, and is waited for (R11).
        return frame if decode_envelope(frame)[1].remembers else None
    if kind in _LONGER:
        return link_frame(replace(decode_envelope(frame)[1], **_LONGER[kind]))
    return frame
