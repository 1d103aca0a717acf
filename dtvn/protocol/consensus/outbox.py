"""Collects the effects that one step asks its host to carry out, in order (effects.Effects)."""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus.effects import (
    ALL,
    Effects,
    Executed,
    Install,
    Note,
    Reason,
    Record,
    ReplyTo,
    Send,
    Successor,
)
from dtvn.protocol.consensus.verified import Peer, Verified


class Outbox:
    """The effects of the current step: subprotocols add to it during it, `take` empties it at its end."""

    __slots__ = ("_alone", "_effects")

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._effects = Effects()

    def persist(self, record: Record) -> None:
        """Stores a record, which is durable before any frame of this step is sent."""
        self._effects.persist.append(record)

    def send(self, to: int, frame: bytes) -> None:
        """Sends a frame to one member."""
        self._effects.send.append(Send(to, frame))

    def answer(self, peer: Peer, frame: bytes) -> None:
        """Sends a frame to the connection of a follower that asked for it."""
        self._effects.answers.append((peer, frame))

    def broadcast(self, frame: bytes) -> None:
        """Sends a frame to every other member."""
        if not self._alone:
            self._effects.send.append(Send(ALL, frame))

    def install(self, install: Install) -> None:
        """Asks the host to install a complete snapshot, which replaces this core's whole state."""
        self._effects.install = install

    @property
    def installs(self) -> Install | None:
        """The snapshot that this step asked the host to install."""
        return self._effects.install

    def succeed(self, successor: Successor) -> None:
        """Ends this core with its epoch and names the successor epoch."""
        self._effects.successor = successor

    def halt(self, reason: str) -> None:
        """Stops this node permanently, for the given reason."""
        self._effects.halted = reason

    def reply(self, principal: str, client: bytes, frame: bytes) -> None:
        """Sends a reply to a client process."""
        self._effects.reply.append(ReplyTo(principal, client, frame))

    def note(self, kind: str, **fields: Any) -> None:
        """Adds a note for logs, metrics and the live feed."""
        self._effects.notes.append(Note(kind, fields))

    def executed(self, note: Executed) -> None:
        """Adds the note that a batch was executed."""
        self._effects.notes.append(note)

    def refused(self, reason: Reason, verified: Verified[Any]) -> None:
        """Adds the note that a verified message was refused."""
        fields = {
            "peer": verified.peer.name,
            "reason": reason.value,
            "text": type(verified.message).__name__,
        }
        self._effects.notes.append(Note("refused", fields))

    def take(self) -> Effects:
        """Returns all effects since the last call and clears them."""
        effects = self._effects
        self._effects = Effects()
        return effects
