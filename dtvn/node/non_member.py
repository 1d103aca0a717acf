"""A node that is not a member (yet, or any more) follows the log as a learner, under its own key (R36).

When an epoch lists it as a member, the process builds a voting node over the same ledger.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from nacl import bindings

from dtvn.files.whole import write_private
from dtvn.ledger import NodeLedger
from dtvn.net import public_key_of, read_seed
from dtvn.node.api_helper import ApiHelper
from dtvn.node.carried import Carried
from dtvn.node.journal import NodeJournal
from dtvn.node.keys import peer_id
from dtvn.node.layout import NodeFolder
from dtvn.node.learning import LearningProcess
from dtvn.node.newcomer_proofs import ANNOUNCE, arguments_of
from dtvn.node.watcher import line
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.effects import ALL, Executed, Note, Send
from dtvn.protocol.consensus.membership import LivenessProof, Membership, alive_at, liveness_bytes, window
from dtvn.protocol.consensus.messages import Query
from dtvn.protocol.versions import FIRST, NEWEST
from dtvn.protocol.wire import ED25519, link_frame

PROOF_EVERY_NS = 2_000_000_000
"""Time between two liveness proofs in the node's folder, for the operator who adds it as a member."""
PROOF_SOONER_NS = 100_000_000
"""The same while the cluster is busy: a proof that is more than a window old is invalid (R36)."""
PROOFS_PER_WINDOW = 4


def liveness_proof(
    cluster: bytes,
    epoch: int,
    member: str,
    executed: int,
    seed: bytes,
    *,
    log_time: int = 0,
    wall: int | None = None,
    newest: int = 0,
) -> LivenessProof:
    """A node's signed statement that it is alive now, and how far it has executed (R36). `log_time`: its last
    effective time, in microseconds: it dates the proof while it is ahead of the clock, for it is judged by
    log time. `wall`: the time that it goes by, in microseconds; None: its machine's clock. `newest`: the
    newest version that it runs, 0: it does not say (R47)."""
    timestamp = alive_at(time.time_ns() // 1_000 if wall is None else wall, log_time)
    secret = bindings.crypto_sign_seed_keypair(seed)[1]
    signature = ED25519.sign(secret, liveness_bytes(cluster, epoch, member, executed, timestamp, newest))
    return LivenessProof(member, executed, timestamp, signature, newest)


class NonMember(LearningProcess):
    """All objects of the process of a node that does not vote because it is not a member. If it has a next
    key, a later epoch may name that already, and its members then accept no other (R35)."""

    def __init__(
        self,
        folder: NodeFolder,
        genesis: g.Genesis,
        membership: Membership,
        *,
        seed: bytes,
        ledger: NodeLedger,
        api: ApiHelper | None,
        logger: logging.Logger,
        carried: Carried | None = None,
    ) -> None:
        self._next_seed = read_seed(folder.next_key) if folder.next_key.exists() else None
        self.folder = folder
        self._api = api
        self._seed = seed
        self._proof_at = 0
        self._proof_executed = 0
        super().__init__(
            genesis,
            membership,
            seed=seed,
            spare=self._next_seed,
            sources=folder.sources,
            ledger=ledger,
            journal=NodeJournal(ledger, None),
            notice=self._notice,
            logger=logger,
            carried=carried,
        )
        if carried is not None and carried.exporter is not None:
            carried.exporter.close()  # it was a member

    def introduce(self) -> None:
        """Log the node's identity and state once it runs."""
        fields = {
            "node_id": self.folder.id,
            "epoch": self.membership.epoch,
            "sequence": self.executed,
            "reason": "no member of this epoch under its key",
        }
        self.logger.warning("%s", line("following", fields))

    def brief(self) -> dict[str, Any]:
        """The heartbeat's status."""
        return {**self._brief(self.folder.id, "learning"), "epoch": self.membership.epoch}

    def publish(self) -> None:
        """Publish the node's status to the API; write a liveness proof to its folder every PROOF_EVERY_NS."""
        if self._api is not None:
            self._api.publish(self._shown())
        if not self.disk_full and time.monotonic_ns() - self._proof_at >= PROOF_EVERY_NS:
            self._announce_proof()

    def _announce_proof(self) -> None:
        self._proof_at = time.monotonic_ns()
        self._proof_executed = self.executed
        proof = liveness_proof(
            self.cluster,
            self.membership.epoch,
            self.folder.id,
            self.executed,
            self._seed,
            log_time=self.core.executor.timestamp,
            newest=NEWEST if self.membership.version > FIRST else 0,
        )
        try:
            write_private(self.folder.liveness_proof, canonical.encode_trimmed(proof), replace=True)
        except OSError as error:  # a full disk, for example: the ledger decides whether that is fatal (R8)
            self.logger.warning("%s", line("liveness_proof_not_written", {"reason": str(error)}))
        announcement = Query(0, ANNOUNCE, arguments_of(proof))
        self.links.send(Send(ALL, link_frame(announcement)))

    def _shown(self) -> dict[str, Any]:
        """The fields of inspect.shown for a node that never is primary and does not listen."""
        public_key = public_key_of(self._seed)
        return {
            **self.brief(),
            "version": self.membership.version,
            "is_primary": False,
            "members": len(self.membership.members),
            "cache_size": 0,
            "states": {},
            "write_time": self.journal.meter.turn_time,
            "peer_id": peer_id(public_key),
            "public_key": public_key.hex(),
            "listen": [],
            "peers": [],
            "addresses": {member.id: (member.host, member.port) for member in self.membership.members},
        }

    def _notice(self, note: Executed | Note) -> None:
        self.ledger.notice(note)
        moved = self.executed - self._proof_executed
        if moved * PROOFS_PER_WINDOW >= window(self.membership.parameters) and (
            time.monotonic_ns() - self._proof_at >= PROOF_SOONER_NS
        ):
            self._announce_proof()
