"""reconfigure: the members, their keys or the parameters change, and an epoch begins (R35, R36)."""

from __future__ import annotations

import re
from typing import ClassVar

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, CommandError
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import is_host
from dtvn.protocol.signatures import is_public_key
from dtvn.protocol.versions import FIRST, LISTS

_MEMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Reconfigure(Command, frozen=True):
    """Change the membership or the parameters: the last operation of its epoch (R35, R36)."""

    change: Change

    first_form: ClassVar[int] = 1
    nested: ClassVar[tuple[int, ...]] = (0,)


def check(command: Reconfigure) -> None:
    """Name, key and address of each newcomer."""
    for newcomer in command.change.joins:
        if _MEMBER.fullmatch(newcomer.id) is None:
            raise CommandError("change: a member's id has 1 to 64 characters of A-Z a-z 0-9 . _ -")
        if not is_public_key(newcomer.public_key):
            raise CommandError("change: the newcomer's key is not an Ed25519 key of 32 bytes")
        if not is_host(newcomer.host) or not 1 <= newcomer.port <= 65_535:
            raise CommandError("change: the newcomer's address cannot be dialled")


def needs(command: Reconfigure) -> int:
    """The version of the cluster that can read the change: one that raises the version has later fields."""
    change = command.change
    later = any(wanted.version > FIRST for wanted in change.parameters) or any(p.newest for p in change.alive)
    return LISTS if later else FIRST


def raises(command: Reconfigure) -> bool:
    """Whether the change raises the version (R47)."""
    return any(wanted.version > FIRST for wanted in command.change.parameters)


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
    needs=needs,
    raises=raises,
    capability="admin",
    names="nothing",
    subject="membership",
    check=check,
)
