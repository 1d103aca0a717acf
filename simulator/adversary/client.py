"""A client that lies: one number for several bodies, jumps, replays, statements of others (P9, P14).

It has a principal and a key of its own and all rights of a gateway, so its well-signed requests are executed;
it must not be able to harm others.
"""

from __future__ import annotations

from dtvn.machine import OpenSession
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope, Keys
from simulator.adversary.lying_client import LyingClient
from simulator.clock import MILLISECOND
from simulator.cluster import Cluster
from simulator.network import kind_of_frame
from simulator.world import World

PAUSE_MAX = 100 * MILLISECOND
REMEMBERED = 200
SECONDS_VALID = 30


def add_rogue(cluster: Cluster) -> RogueClient:
    """Add a lying client process. Nothing observes its calls, so no history of a ticket is judged."""
    rogue = RogueClient(cluster.world, cluster.keys)
    cluster.world.dial(rogue)
    cluster.linearizable.blind = True
    return rogue


class RogueClient(LyingClient):
    """An Endpoint that sends at random moments until it is stopped."""

    name = "rogue-00"

    def __init__(self, world: World, keys: Keys) -> None:
        super().__init__(world, keys, stream="rogue", pause_max=PAUSE_MAX)
        self._sessions: list[tuple[int, int]] = [(1, 0)]
        self._openings: set[bytes] = set()

    def start(self) -> None:
        """Send at once, then at random moments."""
        self._running = True
        self._occur()

    def deliver(self, sender: str, frame: bytes) -> None:
        """See Endpoint: learns the sessions that were opened."""
        if kind_of_frame(frame) is m.Reply:
            try:
                reply = canonical.decode(m.Reply, canonical.decode(Envelope, frame).body)
            except canonical.CanonicalError:
                return  # sent by a byte corrupter
            place = (reply.entry.sequence, reply.first_index)
            if reply.request in self._openings and place not in self._sessions:
                self._sessions.append(place)
                del self._sessions[:-4]

    def happen(self) -> None:
        """Send one kind of lie."""
        dice = self._dice
        receivers = dice.sample(self.world.member_names, 1 + dice.below(self.world.members))
        match dice.below(6):
            case 0:
                self._say(receivers, self._opening())
            case 1 if self._sent:
                for receiver in receivers:
                    self._say([receiver], dice.pick(self._sent))
            case 2:
                session, number = dice.pick(self._sessions), dice.below(8)
                for receiver in receivers:
                    self._say([receiver], self._bundle(session, number))
            case 3:
                far = dice.pick((1_023, 1_024, 2**31, 2**63 - 1, 2**63, 2**64 - 1))
                self._say(receivers, self._bundle(dice.pick(self._sessions), far))
            case _:
                self._say(receivers, self._bundle(dice.pick(self._sessions), dice.below(40)))

    def _say(self, receivers: list[str], frame: bytes) -> None:
        self._sent.append(frame)
        del self._sent[:-REMEMBERED]
        for receiver in receivers:
            self.world.transmit(self.name, receiver, frame, self.world.time)

    def _operation(self) -> m.Operation:
        dice = self._dice
        wall = 1_700_000_000_000_000 + self.world.time // 1_000
        valid = wall + SECONDS_VALID * 1_000_000
        if dice.hit(0.4):
            valid = dice.pick((wall, 0, 2**63 - 1, 2**64 - 1, -1))
        return m.Operation(
            kind=dice.pick(("admit", "consume", "validate", "issue", "nonsense", "open_session")),
            event="default",
            ticket=f"T-{dice.below(30)}",
            actor=f"gate-{dice.below(4)}",
            entry=dice.pick((*self.world.member_names, "nobody")),
            valid_until=valid,
            nonce=dice.pick((b"", bytes([dice.below(4)]), dice.bytes(64))),
        )

    def _bundle(self, session: tuple[int, int], number: int) -> bytes:
        operations = tuple(self._operation() for _ in range(self._dice.below(4)))
        done_below = self._dice.pick((0, 0, number, 2**64 - 1))
        return self._sign(session, number, done_below, operations)

    def _opening(self) -> bytes:
        wall = 1_700_000_000_000_000 + self.world.time // 1_000
        operation = m.Operation(
            kind="open_session",
            event="",
            ticket="",
            actor=self.principal,
            entry="",
            valid_until=wall + SECONDS_VALID * 1_000_000,
            nonce=self._dice.bytes(8),
            payload=b"" if self._dice.hit(0.8) else canonical.encode(OpenSession()),
        )
        frame = self._sign((0, 0), 0, 0, (operation,))
        self._openings.add(m.bundle_digest(canonical.decode(Envelope, frame).body))
        return frame

    def _sign(
        self, session: tuple[int, int], number: int, done_below: int, operations: tuple[m.Operation, ...]
    ) -> bytes:
        return self._signer.sign(
            m.Bundle(
                epoch=0,
                principal=self.principal,
                client=self.name.encode(),
                session=session,
                number=number,
                done_below=done_below,
                operations=operations,
            )
        )
