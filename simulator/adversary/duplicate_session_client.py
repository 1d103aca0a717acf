"""A censor with an accomplice: for each request of its victim it makes another one that names the same
session and number, signed by a client of its own and worthless (R30; P9, P14)."""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus.verified import Inbound
from dtvn.protocol.wire import FrameSigner
from simulator.adversary.censor import Censor
from simulator.cluster import Cluster
from simulator.dice import Dice
from simulator.node import Node

ACCOMPLICE = "rogue"


class DuplicateSessionClient(Censor):
    """As primary it fills the victim's places in the log; the backups receive both requests."""

    def __init__(self, cluster: Cluster, node: Node, dice: Dice) -> None:
        super().__init__(cluster, node, dice)
        keyring = self.world.keyring
        secret = keyring.pair(ACCOMPLICE)[1]
        self._accomplice = FrameSigner(self.world.cluster, secret, cluster.keys, scheme=keyring.scheme)

    def receive_filter(self, inbound: Inbound) -> bool:
        """See Censor; the request that replaces the victim's is sent to all members."""
        bundle = self.victims(inbound.frame)
        if bundle is None:
            return True
        if bundle.session != (0, 0):
            named = msgspec.structs.replace(bundle, principal=ACCOMPLICE, client=b"rogue-00")
            frame = self._accomplice.sign(named)
            for name in (*self.others(), self.node.name):
                self.world.transmit(self.node.name, name, frame, self.world.time)
        return False
