"""Changes the membership while faults happen: members join, leave, are replaced and get new keys.

One change after the other is requested via an operator's gateway, each with the signatures that it needs
(R36), or too few of them. No requested change leaves more liars and lost disks in an epoch than it tolerates;
anything else may happen.
"""

from __future__ import annotations

import msgspec

from dtvn.machine import Reconfigure, build
from dtvn.protocol import quorum
from dtvn.protocol.consensus import membership
from dtvn.protocol.consensus.membership import Change, LivenessProof, liveness_bytes
from dtvn.protocol.genesis import Member, Parameters
from dtvn.protocol.versions import FIRST, NEWEST
from simulator.clock import MICROSECOND, SECOND
from simulator.dice import Dice
from simulator.gateway import Gateway, Request
from simulator.node import Node
from simulator.recoverable import disks_tolerated
from simulator.recurring import Recurring
from simulator.world import World

VALID_FOR = 60 * SECOND
LEAST = 4
"""Members: a change from this many or more to fewer takes an explicit flag (R37)."""


class MembershipChanges(msgspec.Struct, frozen=True):
    """Weights of the kinds of changes (0: never), and how often a change is requested."""

    pause_max: int = 2 * SECOND
    joins: int = 3
    leaves: int = 2
    replaces: int = 2
    rotates: int = 2
    parameters: int = 1
    raises: int = 0
    """Raises of the cluster's version, which begins below the newest (R47)."""
    unready: float = 0.2
    """Share of changes that lack the liveness proofs (R36) of some members."""
    least: int = LEAST
    """Fewest members that a requested change leaves."""
    small: float = 0.0
    """Share of the changes to fewer than four members that set the flag for it (R37)."""
    undated: bool = False
    """Whether the gateway dates the changes (R14), or the operator does."""


class MembershipChanger(Recurring):
    """Requests changes until it is stopped."""

    def __init__(self, world: World, gateway: Gateway, dice: Dice, changes: MembershipChanges) -> None:
        super().__init__(world, dice, changes.pause_max)
        self.gateway = gateway
        self.asked = 0
        """Number of changes requested so far."""
        self._dice = dice
        self._changes = changes
        self._bag = [
            name
            for name in ("joins", "leaves", "replaces", "rotates", "parameters", "raises")
            for _ in range(getattr(changes, name))
        ]

    def happen(self) -> None:
        """Request a change, unless one is open or none is possible."""
        change = self._draw(self._dice.pick(self._bag)) if self._bag else None
        if change is not None and not self.gateway.open:
            self._ask(change)

    def _ask(self, change: Change) -> Request | None:
        self.asked += 1
        operation = build(
            Reconfigure(change),
            actor="operator",
            entry=self.world.member_names[0],
            valid_until=(
                0 if self._changes.undated else (self.gateway.clock.now().wall + VALID_FOR) // MICROSECOND
            ),
        )
        return self.gateway.ask([operation], wait=4 * SECOND)

    # --- what changes ------------------------------------------------------------------------------

    def _draw(self, kind: str) -> Change | None:
        """A change of this kind; None if none is possible now."""
        world, dice = self.world, self._dice
        present = world.present
        leaves = ""
        joins: tuple[Member, ...] = ()
        parameters: tuple[Parameters, ...] = ()
        if kind == "parameters":
            interval = dice.pick((3, 5, 10))
            wanted = msgspec.structs.replace(present.parameters, checkpoint_interval=interval)
            if wanted == present.parameters:
                return None
            parameters = (wanted,)
        elif kind == "raises":
            if present.version >= NEWEST:
                return None
            parameters = (msgspec.structs.replace(present.parameters, version=present.version + 1),)
        elif kind == "rotates":
            node = world.nodes[dice.pick(world.member_names)]
            if not node.honest or len(node.keys) > 3:
                return None
            node.keys.append(f"{node.member_id} {len(node.keys)}")
            leaves, joins = node.member_id, (self._member(node),)
        else:
            if kind != "joins":
                leaves = dice.pick(world.member_names)
            if kind != "leaves":
                spare = self._spare()
                if spare is None:
                    return None
                joins = (self._member(spare),)
        names = [name for name in world.member_names if name != leaves] + [member.id for member in joins]
        if len(names) < self._changes.least or len(names) > quorum.MEMBERS_MAX or not self._bearable(names):
            return None
        return Change(
            epoch=present.epoch,
            leaves=leaves,
            joins=joins,
            parameters=parameters,
            allow_small=len(names) < LEAST and dice.hit(self._changes.small),
            alive=self._words(names, raised=kind == "raises"),
        )

    def _member(self, node: Node) -> Member:
        return Member(node.member_id, self.world.keyring.pair(node.keys[-1])[0], "world", 1)

    def _spare(self) -> Node | None:
        """A machine that is no member, and whose key never was a member's."""
        world = self.world
        spares = [
            node
            for node in world.nodes.values()
            if node.index is None
            and node.name[0] in "nr"
            and node.honest
            and node.member_id not in world.member_names
        ]
        if not spares:
            return None
        node = self._dice.pick(spares)
        known = {member.public_key for epoch in world.epochs.values() for member in epoch.members}
        if world.keyring.pair(node.keys[-1])[0] in known:
            node.keys.append(f"{node.member_id} {len(node.keys)}")
        return node

    def _bearable(self, names: list[str]) -> bool:
        """Whether these members tolerate the liars and the members without a vote among them."""
        nodes = [self.world.nodes[name] for name in names]
        faulty = sum(not node.honest or not node.disk.voting for node in nodes)
        return faulty <= disks_tolerated(len(names), self.world.mode)

    def _words(self, names: list[str], *, raised: bool) -> tuple[LivenessProof, ...]:
        """Liveness proofs of the members that are up; sometimes of too few. `raised`: for a raise of the
        version."""
        up = [node for name in names if (node := self.world.nodes[name]).up and not node.paused]
        if self._dice.hit(self._changes.unready):
            up = self._dice.sample(up, self._dice.below(max(1, len(up))))
        return tuple(liveness_proof(self.world, node, raised=raised) for node in up)


def liveness_proof(world: World, node: Node, *, raised: bool = False) -> LivenessProof:
    """The node's liveness proof, signed with the key that it will have in the next epoch (R36). It names a
    version where the cluster has a later one than the first, and where it is `raised` (R47)."""
    executed = len(node.disk.log)
    log_time = 0 if node.look is None else node.look().timestamp
    timestamp = membership.alive_at(node.clock.now().wall // MICROSECOND, log_time)
    newest = NEWEST if raised or world.present.version > FIRST else 0
    data = liveness_bytes(world.cluster, world.present.epoch, node.member_id, executed, timestamp, newest)
    signature = world.keyring.scheme.sign(world.keyring.pair(node.keys[-1])[1], data)
    return LivenessProof(node.member_id, executed, timestamp, signature, newest)
