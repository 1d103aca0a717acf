"""The client of the epoch tests: sends everything to every member, accepts f + 1 equal replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from dtvn.machine import Command, OpenSession
from dtvn.protocol import quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import FrameSigner, decode_envelope
from simulator.clock import MILLISECOND
from simulator.cluster import ClusterKeys
from simulator.scheme import Keyring

CLIENT = "client00"


class ClientWorld(Protocol):
    """What the client needs of its world."""

    cluster: bytes
    keyring: Keyring
    keys: ClusterKeys
    acknowledged: dict[bytes, int]

    @property
    def now(self) -> Membership: ...

    def at(self, delay: int, action: Callable[..., None], *arguments: Any) -> None: ...

    def say_as_client(self, frame: bytes) -> None: ...

    def operation(self, command: Command, ticket: str = "", *, nonce: bytes = b"") -> m.Operation: ...


class Client:
    """A gateway process in few lines."""

    name = CLIENT
    principal = "gateway"

    def __init__(self, world: ClientWorld) -> None:
        self.world = world
        secret = world.keyring.pair(self.principal)[1]
        self.signer = FrameSigner(world.cluster, secret, world.keys, scheme=world.keyring.scheme)
        self.session: tuple[int, int] | None = None
        self.number = 0
        self.waiting: dict[bytes, tuple[bytes, dict[str, Any]]] = {}
        self.done: dict[bytes, tuple[int, tuple[m.Outcome, ...] | tuple[str, ...]]] = {}

    def ask(self, command: Command, ticket: str = "", *, nonce: bytes = b"") -> bytes:
        """Sign one operation and send it until it is answered; returns its digest."""
        operation = self.world.operation(command, ticket, nonce=nonce)
        return self.send([operation], opening=isinstance(command, OpenSession))

    def send(self, operations: Sequence[m.Operation], *, opening: bool = False) -> bytes:
        """One bundle of operations."""
        session = (0, 0) if opening or self.session is None else self.session
        number = 0 if opening else self.number
        if not opening:
            self.number += 1
        bundle = m.Bundle(0, self.principal, self.name.encode(), session, number, 0, tuple(operations))
        frame = self.signer.sign(bundle)
        digest = m.bundle_digest(decode_envelope(frame)[0].body)
        self.waiting[digest] = (frame, {})
        self._say(digest)
        return digest

    def _say(self, digest: bytes) -> None:
        if digest in self.waiting:
            self.world.say_as_client(self.waiting[digest][0])
            self.world.at(300 * MILLISECOND, self._say, digest)

    def links(self, up: frozenset[str]) -> None:
        """See Endpoint."""

    def deliver(self, sender: str, frame: bytes) -> None:
        """See Endpoint."""
        self.hear(sender, frame)

    def hear(self, sender: str, frame: bytes) -> None:
        """A reply; equal ones of f + 1 members of the newest epoch that a node entered end the wait."""
        message = decode_envelope(frame)[1]
        if isinstance(message, m.Reply):
            place = (message.entry.sequence, message.first_index)
            claim = (place, message.outcomes)
        elif isinstance(message, m.Repeat):
            claim = ((message.sequence, message.first_index), message.codes)
        else:
            return
        waiting = self.waiting.get(message.request)
        if waiting is None or self.world.now.find(sender) is None:
            return
        waiting[1][sender] = claim
        places = [said[0] for said in waiting[1].values()]
        if places.count(claim[0]) >= quorum.weak_quorum(len(self.world.now.members), Mode.PBFT):
            del self.waiting[message.request]
            self.done[message.request] = (claim[0][0], claim[1])
            self.world.acknowledged[message.request] = claim[0][0]

    def code(self, digest: bytes) -> str:
        """Outcome code of an answered operation, "" while it waits."""
        if digest not in self.done:
            return ""
        first = self.done[digest][1][0]
        return first if isinstance(first, str) else first.code
