"""What the probes say of how a cluster agrees."""

from __future__ import annotations

from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode


def label(mode: Mode | None) -> dict[str, str]:
    """`consensus` and `note`: how the members agree, and what they do not tolerate (R44). Neither for PBFT or
    without a cluster: monitors compare the answer of /health, and nothing has changed for them."""
    return {"consensus": mode.value, "note": quorum.RAFT_LABEL} if mode is Mode.RAFT else {}
