"""Who may sign requests: listed, added, given another key, limited and revoked by ordered operation (R15)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from django.db import DatabaseError

from dtvn_project.routers import LEARNER_ALIAS
from tickets.machine import AddPrincipal, LimitPrincipal, RevokePrincipal, RotatePrincipal
from tickets.machine.administration import shown_principal
from tickets.machine.reasons import KEY_IN_USE
from tickets.services.decide import Request, decide_one
from tickets.services.errors import InvalidRequest, OutcomeUnknown, Refused, Unavailable
from tickets.services.network import gateway, key_file
from validators import feed
from validators.gateway.identity import Identity, next_path, read_identity
from validators.genesis import Grant, Principal
from validators.ledger.signers import read_principals
from validators.link import named_seed, write_private
from validators.node.keys import peer_id, public_key_of_peer_id
from validators.services.errors import ServiceError

__all__ = [
    "COPY_WAIT",
    "Changed",
    "OwnPrincipal",
    "ShownPrincipal",
    "add_principal",
    "find_principal",
    "is_own",
    "limit_principal",
    "list_principals",
    "read_key",
    "revoke_principal",
    "rotate_own",
    "rotate_principal",
]

Administration = AddPrincipal | RotatePrincipal | LimitPrincipal | RevokePrincipal

MICROSECONDS = 1_000_000
COPY_WAIT = 2.0
"""Seconds for the platform's copy to show what was decided."""
OWN_OVERLAP = 30.0
"""Seconds for which this platform's old key counts on; each of its processes looks at the file twice a
second."""


class OwnPrincipal(ServiceError):
    """A platform does not take its own key away."""

    code = "own_principal"


class ShownPrincipal(msgspec.Struct, frozen=True):
    """A principal as the learner's copy has it."""

    name: str
    wire: str
    """The name with which it signs now: a rotated key has a name of its own; "" once revoked."""
    public_key: bytes
    grants: tuple[Grant, ...]

    @property
    def peer_id(self) -> str:
        """Its key as people compare it; "" where it is not known any more."""
        return peer_id(self.public_key) if self.public_key else ""


class Changed(msgspec.Struct, frozen=True):
    """What an ordered operation made of a principal, and where the log says so."""

    principal: ShownPrincipal
    sequence: int


def list_principals() -> list[ShownPrincipal]:
    """All that are listed now, by name; raise Unavailable while there is no cluster or no copy of its log."""
    founded = gateway().genesis.principals
    try:
        listed = read_principals(LEARNER_ALIAS, founded)
    except DatabaseError as error:
        raise Unavailable("The platform's copy of the log cannot be read now.") from error
    found = [listed.get(name) for name in listed.names()]
    return [_shown(listed.wire(each.name), each) for each in found if each is not None]


def find_principal(name: str) -> ShownPrincipal | None:
    """One that is listed now, or None."""
    return next((each for each in list_principals() if each.name == name), None)


def is_own(name: str) -> bool:
    """Whether this platform signs as this principal."""
    return gateway().principal.partition("#")[0] == name


def read_key(text: str) -> bytes:
    """A public key out of a peer id; raise InvalidRequest."""
    if not text:
        raise InvalidRequest("peer_id is required: the new key, as its holder's host printed it")
    try:
        return public_key_of_peer_id(text)
    except ValueError as error:
        raise InvalidRequest(f"peer_id: {error}") from error


def add_principal(
    name: str, public_key: bytes, grants: Iterable[Grant], *, actor: str, nonce: bytes = b""
) -> Changed:
    """List a new one; without grants it may follow the log, as a newcomer or a learner does."""
    return _order(AddPrincipal(name, public_key, _ascending(grants)), actor, nonce)


def rotate_principal(
    name: str, public_key: bytes, *, overlap: float = 0.0, actor: str, nonce: bytes = b""
) -> Changed:
    """Give it another key; the old one counts for `overlap` more seconds, so that nothing in flight is lost,
    and for none when it may be stolen."""
    return _order(RotatePrincipal(name, public_key, int(overlap * MICROSECONDS)), actor, nonce)


def limit_principal(name: str, grants: Iterable[Grant], *, actor: str, nonce: bytes = b"") -> Changed:
    """Say anew what it may do; its key stays."""
    return _order(LimitPrincipal(name, _ascending(grants)), actor, nonce)


def revoke_principal(name: str, *, actor: str, nonce: bytes = b"") -> Changed:
    """Take it off the list. Raise OwnPrincipal for the one that this platform signs as."""
    if is_own(name):
        raise OwnPrincipal(f"this platform signs as {name}: another administrator may revoke it")
    return _order(RevokePrincipal(name), actor, nonce)


def _ascending(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    return tuple(sorted(set(grants), key=lambda grant: (grant.event, grant.capability)))


def _order(command: Administration, actor: str, nonce: bytes) -> Changed:
    """Have it decided; raise TicketError unless it was done."""
    result = decide_one(Request(command, nonce=nonce), actor=actor).result
    if result.state:
        shown = shown_principal(result.state)
        return Changed(_shown(shown.wire, shown.principal), result.sequence)
    # A repeated nonce tells code and place, not what came of it: that stands in the copy.
    feed.wait_for(result.sequence, COPY_WAIT)
    known = find_principal(command.name)
    return Changed(known or ShownPrincipal(command.name, "", b"", ()), result.sequence)


def _shown(wire: str, principal: Principal) -> ShownPrincipal:
    return ShownPrincipal(principal.name, wire, principal.public_key, principal.grants)


def rotate_own(*, overlap: float = OWN_OVERLAP, actor: str) -> Changed:
    """Give this platform's own principal another key, and put it in place: its gateways go over by
    themselves.

    The next key lies on disk before anything is ordered. Where the outcome stays unknown (R14) it stays
    there: asking again asks for the same key, and gateways that the old one lets in no more try it
    (gateway.identity).
    """
    path = key_file()
    name, _, generation = gateway().principal.partition("#")
    upcoming = _upcoming(next_path(path), f"{name}#{int(generation or 0) + 1}")
    nonce = b"own-" + upcoming.public_key
    try:
        changed = rotate_principal(name, upcoming.public_key, overlap=overlap, actor=actor, nonce=nonce)
    except Refused as refused:
        known = find_principal(name)
        if refused.code != KEY_IN_USE or known is None or known.public_key != upcoming.public_key:
            next_path(path).unlink(missing_ok=True)
            raise
        changed = Changed(known, refused.sequence)  # ordered before, by somebody who could not tell us
    if changed.principal.public_key != upcoming.public_key:
        raise OutcomeUnknown  # the copy lags
    write_private(path, named_seed(upcoming.seed, changed.principal.wire), replace=True)
    next_path(path).unlink(missing_ok=True)
    return changed


def _upcoming(path: Path, wire: str) -> Identity:
    """The next key, made unless it is there; raise ServiceError where it cannot be kept (a full disk)."""
    try:
        if not path.exists():
            with suppress(FileExistsError):
                write_private(path, named_seed(os.urandom(32), wire))
        return read_identity(path)
    except OSError as error:
        raise ServiceError(f"The next key cannot be kept in the data folder: {error.strerror}.") from error
