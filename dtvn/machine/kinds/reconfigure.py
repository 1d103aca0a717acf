"""reconfigure: the members, their keys or the parameters change, and an epoch begins (R35, R36)."""

from __future__ import annotations

import re

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, CommandError
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import is_host
from dtvn.protocol.signatures import is_public_key

_MEMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Reconfigure(Command, frozen=True):
    """Change the membership or the parameters: the last operation of its epoch (R35, R36)."""

    change: Change


def check(command: Reconfigure) -> None:
    """Name, key and address of each newcomer."""
    for newcomer in command.change.joins:
        if _MEMBER.fullmatch(newcomer.id) is None:
            raise CommandError("change: a member's id has 1 to 64 characters of A-Z a-z 0-9 . _ -")
        if not is_public_key(newcomer.public_key):
            raise CommandError("change: the newcomer's key is not an Ed25519 key of 32 bytes")
        if not is_host(newcomer.host) or not 1 <= newcomer.port <= 65_535:
            raise CommandError("change: the newcomer's address cannot be dialled")


def rule(at: Context, operation: Operation, command: Reconfigure, ticket: Ticket | None) -> Result:
    """Begin the next epoch."""
    if not at.alone:
        return reasons.NOT_ALONE, b""
    result = at.memberships.reconfigure(
        command.change, at.principals, sequence=at.sequence, timestamp=at.timestamp
    )
    at.follow_members()
    return result


KIND = Kind(
    name="reconfigure",
    command=Reconfigure,
    rule=rule,
    capability="admin",
    names="nothing",
    subject="membership",
    check=check,
)
