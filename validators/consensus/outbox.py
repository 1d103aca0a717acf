"""Collects what one step asks of its host, in order (effects.Effects)."""

from __future__ import annotations

from typing import Any

from validators.consensus.effects import (
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
from validators.consensus.verified import Verified

__all__ = ["Outbox"]


class Outbox:
    """Filled by the phases during a step, emptied by `take` at its end."""

    __slots__ = ("_alone", "_effects")

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._effects = Effects()

    def persist(self, record: Record) -> None:
        """Durable before anything of this step is said."""
        self._effects.persist.append(record)

    def send(self, to: int, frame: bytes) -> None:
        """To one member."""
        self._effects.send.append(Send(to, frame))

    def broadcast(self, frame: bytes) -> None:
        """To every other member."""
        if not self._alone:
            self._effects.send.append(Send(ALL, frame))

    def install(self, install: Install) -> None:
        """A snapshot is complete: nothing of this core counts any more."""
        self._effects.install = install

    def succeed(self, successor: Successor) -> None:
        """The epoch is over, and this core with it."""
        self._effects.successor = successor

    def halt(self, reason: str) -> None:
        """This node goes no further."""
        self._effects.halted = reason

    def reply(self, principal: str, client: bytes, frame: bytes) -> None:
        """To a client process."""
        self._effects.reply.append(ReplyTo(principal, client, frame))

    def note(self, kind: str, **fields: Any) -> None:
        """For logs, metrics and the live feed."""
        self._effects.notes.append(Note(kind, fields))

    def executed(self, note: Executed) -> None:
        """A batch was executed."""
        self._effects.notes.append(note)

    def refused(self, reason: Reason, verified: Verified[Any]) -> None:
        """A verified message was not taken."""
        fields = {
            "peer": verified.peer.name,
            "reason": reason.value,
            "text": type(verified.message).__name__,
        }
        self._effects.notes.append(Note("refused", fields))

    def take(self) -> Effects:
        """All effects since the last call."""
        effects = self._effects
        self._effects = Effects()
        return effects
