"""Liars (Byzantine members) with real keys, one per file; `corrupt` turns an honest member into one."""

from __future__ import annotations

from simulator.adversary.amnesiac import Amnesiac
from simulator.adversary.bad_archive_server import BadArchiveServer
from simulator.adversary.bad_log_server import BadLogServer
from simulator.adversary.bad_state_server import BadStateServer
from simulator.adversary.base import Liar
from simulator.adversary.byte_corrupter import ByteCorrupter
from simulator.adversary.byzzfuzz import ByzzFuzz
from simulator.adversary.censor import Censor
from simulator.adversary.cross_cluster_replayer import CrossClusterReplayer
from simulator.adversary.duplicate_session_client import DuplicateSessionClient
from simulator.adversary.early_equivocator import EarlyEquivocator
from simulator.adversary.empty_batcher import EmptyBatcher
from simulator.adversary.equivocating_voter import EquivocatingVoter
from simulator.adversary.equivocator import Equivocator
from simulator.adversary.false_refuser import FalseRefuser
from simulator.adversary.false_suspector import FalseSuspector
from simulator.adversary.false_timestamper import FalseTimestamper
from simulator.adversary.false_voter import FalseVoter
from simulator.adversary.flooder import Flooder
from simulator.adversary.forger import Forger
from simulator.adversary.future_epoch_voter import FutureEpochVoter
from simulator.adversary.idle_primary import IdlePrimary
from simulator.adversary.impostor import Impostor
from simulator.adversary.invalid_batcher import InvalidBatcher
from simulator.adversary.late_committer import LateCommitter
from simulator.adversary.late_voter import LateVoter
from simulator.adversary.malleable_signer import MalleableSigner
from simulator.adversary.minimal_quorum_sender import MinimalQuorumSender
from simulator.adversary.mutator import Mutator
from simulator.adversary.mute import Mute
from simulator.adversary.old_head_signer import OldHeadSigner
from simulator.adversary.progress_inflator import ProgressInflator
from simulator.adversary.removed_member import RemovedMember
from simulator.adversary.replayer import Replayer
from simulator.adversary.slow_primary import SlowPrimary
from simulator.adversary.tickless_primary import TicklessPrimary
from simulator.adversary.time_holder import TimeHolder
from simulator.adversary.twin import Split, Twin
from simulator.adversary.view_change_forger import ViewChangeForger
from simulator.adversary.vote_repeater import VoteRepeater
from simulator.cluster import Cluster

__all__ = ["ADVERSARIES", "APART", "LATER", "SIMPLE", "Liar", "corrupt"]

SIMPLE: dict[str, type[Liar]] = {
    "amnesiac": Amnesiac,
    "progress-inflator": ProgressInflator,
    "byzzfuzz": ByzzFuzz,
    "censor": Censor,
    "invalid-batcher": InvalidBatcher,
    "equivocator": Equivocator,
    "flooder": Flooder,
    "cross-cluster-replayer": CrossClusterReplayer,
    "forger": Forger,
    "idle-primary": IdlePrimary,
    "impostor": Impostor,
    "bad-log-server": BadLogServer,
    "minimal-quorum-sender": MinimalQuorumSender,
    "mutator": Mutator,
    "mute": Mute,
    "replayer": Replayer,
    "slow-primary": SlowPrimary,
    "false-timestamper": FalseTimestamper,
    "time-holder": TimeHolder,
    "view-change-forger": ViewChangeForger,
    "byte-corrupter": ByteCorrupter,
}
LATER: dict[str, type[Liar]] = {
    "false-suspector": FalseSuspector,
    "future-epoch-voter": FutureEpochVoter,
    "duplicate-session-client": DuplicateSessionClient,
    "bad-state-server": BadStateServer,
    "removed-member": RemovedMember,
    "vote-repeater": VoteRepeater,
    "early-equivocator": EarlyEquivocator,
}
"""Liars added later. They are drawn from a random stream of their own, so that kept seeds give the same
worlds."""
APART: dict[str, type[Liar]] = {"malleable-signer": MalleableSigner}
"""Never drawn at random: their worlds use another signature scheme."""
DIRECTED: dict[str, type[Liar]] = {
    "late-committer": LateCommitter,
    "tickless-primary": TicklessPrimary,
    "empty-batcher": EmptyBatcher,
    "false-voter": FalseVoter,
    "equivocating-voter": EquivocatingVoter,
    "late-voter": LateVoter,
    "false-refuser": FalseRefuser,
    "old-head-signer": OldHeadSigner,
    "bad-archive-server": BadArchiveServer,
}
"""Never drawn at random: these liars are harmless outside of their own worlds."""
ADVERSARIES = (*SIMPLE, "twin", *LATER, *APART, *DIRECTED)


def corrupt(cluster: Cluster, name: str, kind: str) -> None:
    """Make member `name` a liar of this kind, before the world begins. A suffix after a slash selects one
    forgery: `view-change-forger/omit`, `bad-log-server/results`, `bad-state-server/another log`; with
    `twin/parted` the network decides which member hears which twin."""
    world = cluster.world
    node = world.nodes[name]
    node.honest = False
    dice = world.dice.fork(f"liar {name}")
    kind, _, forgery = kind.partition("/")
    if forgery and kind == "view-change-forger":
        node.send_hook = ViewChangeForger(cluster, node, dice, forgery=forgery)
        return
    if kind != "twin":
        liar = node.send_hook = (SIMPLE | LATER | APART | DIRECTED)[kind](cluster, node, dice)
        if isinstance(liar, BadLogServer):
            liar.forger = bool(forgery)
        elif isinstance(liar, BadStateServer | BadArchiveServer):
            liar.lie = forgery or liar.lie
        return
    twin = cluster.add_twin(name)
    twin.honest = False
    if forgery:
        return
    split = Split(dice, [other for other in world.member_names if other != name])
    node.send_hook = Twin(cluster, node, dice, split=split)
    twin.send_hook = Twin(cluster, twin, dice, split=split)
