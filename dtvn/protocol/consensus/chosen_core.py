"""The core of a member, by the mode of its cluster (R44).

This is the only place where it is chosen. Learners and executors are the same in every mode: they read what q
members signed, and `Config.q` follows the mode.
"""

from __future__ import annotations

from dtvn.protocol.consensus.application import Application
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.raft import RaftReplica
from dtvn.protocol.consensus.replica import Replica
from dtvn.protocol.consensus.signer import Signer
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.quorum import Mode

VotingCore = Replica | RaftReplica
"""The core of a member."""


def core(
    config: Config,
    signer: Signer,
    application: Application,
    voting: bool,
    inherited: tuple[VerifiedBundle, ...] = (),
) -> VotingCore:
    """The core that votes for a member of this configuration; see Replica for the arguments."""
    kind = RaftReplica if config.mode is Mode.RAFT else Replica
    return kind(config, signer, application, voting, inherited)
