"""What the kinds that change principals share (R15)."""

from __future__ import annotations

import itertools
from typing import Protocol

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import CommandError, is_name
from dtvn.machine.kinds.kind import Result
from dtvn.protocol.genesis import ANY_EVENT, CAPABILITIES, Grant
from dtvn.protocol.signatures import is_public_key
from dtvn.protocol.versions import FIRST, LISTS

_LATER_CAPABILITIES = frozenset(("supervise",))
"""Those that the first version of the cluster does not have."""


class WithGrants(Protocol):
    """A command that gives grants."""

    @property
    def grants(self) -> tuple[Grant, ...]: ...


def check_key(public_key: bytes) -> None:
    """Raises CommandError unless these bytes are a key."""
    if not is_public_key(public_key):
        raise CommandError("public_key: these 32 bytes are not an Ed25519 key")


def needs(command: WithGrants) -> int:
    """The version of the cluster that has all these capabilities (R47)."""
    later = any(grant.capability in _LATER_CAPABILITIES for grant in command.grants)
    return LISTS if later else FIRST


def check_grants(command: WithGrants) -> None:
    """Raises CommandError unless the grants are sorted and each names a capability and an event."""
    grants = command.grants
    for grant in grants:
        if grant.capability not in CAPABILITIES:
            raise CommandError(f"grants: {grant.capability[:32]!r} is not one of {', '.join(CAPABILITIES)}")
        if grant.event != ANY_EVENT and (len(grant.event) > 64 or not is_name(grant.event)):
            raise CommandError(f"grants: {grant.event[:64]!r} is neither an event nor {ANY_EVENT} for all")
    if any(left >= right for left, right in itertools.pairwise((g.event, g.capability) for g in grants)):
        raise CommandError("grants: must ascend by event and capability, each once")


def sorted_grants(command: WithGrants) -> dict[str, object]:
    """The grants in the order that `check_grants` wants."""
    return {"grants": tuple(sorted(command.grants, key=lambda g: (g.event, g.capability)))}


def shown(at: Context, name: str, code: str) -> Result:
    """The result of a change of this principal with this outcome: its state is the principal as it is listed
    afterwards."""
    return code, at.principals.shown(name) if code == reasons.OK else b""
