"""Principals, which may sign requests: listed, added, rekeyed, limited and revoked by ordered operations
(R15)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from django.db import DatabaseError

from dtvn.api.errors import InvalidRequest, OutcomeUnknown, Refused, Unavailable
from dtvn.api.ordering import Request
from dtvn.files.whole import write_private
from dtvn.gateway import Identity, next_path, read_identity
from dtvn.machine import AddPrincipal, LimitPrincipal, RevokePrincipal, RotatePrincipal, shown_principal
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.reasons import KEY_IN_USE
from dtvn.net import encode_seed, public_key_of, read_seed
from dtvn.node.keys import peer_id, public_key_of_peer_id
from dtvn.protocol.genesis import GenesisError, Grant, Principal, grant_of
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger.signers import read_principals
from validators.services.decide import decide_one
from validators.services.errors import ServiceError
from validators.services.network import gateway, key_file

Administration = AddPrincipal | RotatePrincipal | LimitPrincipal | RevokePrincipal

COPY_WAIT = 2.0
"""Seconds to wait until the platform's copy shows the decision."""
OWN_OVERLAP = 30.0
"""Seconds for which this platform's old key stays valid; each of its processes checks the key file twice a
second."""


class OwnPrincipal(ServiceError):
    """A platform cannot revoke its own key."""

    code = "own_principal"


class ShownPrincipal(msgspec.Struct, frozen=True):
    """A principal in the learner's copy."""

    name: str
    wire: str
    """The name with which it signs now: a rotated key has its own name; "" once revoked."""
    public_key: bytes
    grants: tuple[Grant, ...]

    @property
    def peer_id(self) -> str:
        """The peer id of its key; "" if the key is no longer known."""
        return peer_id(self.public_key) if self.public_key else ""


class Changed(msgspec.Struct, frozen=True):
    """The result of an ordered operation on a principal, and its sequence in the log."""

    principal: ShownPrincipal
    sequence: int


def list_principals() -> list[ShownPrincipal]:
    """All listed principals, by name; raise Unavailable while there is no cluster or no copy of its log."""
    founded = gateway().genesis.principals
    try:
        listed = read_principals(LEARNER_ALIAS, founded)
    except DatabaseError as error:
        raise Unavailable("The platform's copy of the log cannot be read at the moment.") from error
    found = [listed.get(name) for name in listed.names()]
    return [_shown(listed.wire(each.name), each) for each in found if each is not None]


def find_principal(name: str) -> ShownPrincipal | None:
    """The principal with this name, or None if the ledger lists none."""
    return next((each for each in list_principals() if each.name == name), None)


def is_own(name: str) -> bool:
    """Whether this platform signs as this principal."""
    return gateway().principal.partition("#")[0] == name


def unlisted() -> str:
    """What to do if no member admits this platform, whose principal was not founded with the cluster; "" if
    it was. Whether it was added since, only members could tell."""
    network = gateway()
    name = network.principal.partition("#")[0]
    if any(each.name == name for each in network.genesis.principals):
        return ""
    return (
        " Unless the cluster has added this platform's principal, no member admits it: have an administrator "
        f"run manage.py principals add {name} {peer_id(public_key_of(read_seed(key_file())))}."
    )


def read_key(text: str) -> bytes:
    """The public key of a peer id; raise InvalidRequest."""
    if not text:
        raise InvalidRequest("peer_id is required: the new public key, as printed on its holder's host")
    try:
        return public_key_of_peer_id(text)
    except ValueError as error:
        raise InvalidRequest(f"peer_id: {error}") from error


def read_grants(texts: Iterable[str]) -> list[Grant]:
    """The grants that a person wrote, see grant_of; raise InvalidRequest."""
    try:
        return [grant_of(text) for text in texts]
    except GenesisError as error:
        raise InvalidRequest(str(error)) from error


def add_principal(
    name: str, public_key: bytes, grants: Iterable[Grant], *, actor: str, nonce: bytes = b""
) -> Changed:
    """Add a principal; without grants it may only follow the log, as a newcomer or a learner does."""
    return _order(AddPrincipal(name, public_key, _ascending(grants)), actor, nonce)


def rotate_principal(
    name: str, public_key: bytes, *, overlap: float = 0.0, actor: str, nonce: bytes = b""
) -> Changed:
    """Give it another key. The old one stays valid for `overlap` more seconds, so that requests in flight are
    not lost; 0 if it may be stolen."""
    return _order(RotatePrincipal(name, public_key, int(overlap * MICROSECONDS)), actor, nonce)


def limit_principal(name: str, grants: Iterable[Grant], *, actor: str, nonce: bytes = b"") -> Changed:
    """Replace its grants; its key stays."""
    return _order(LimitPrincipal(name, _ascending(grants)), actor, nonce)


def revoke_principal(name: str, *, actor: str, nonce: bytes = b"") -> Changed:
    """Revoke it. Raises OwnPrincipal for the one that this platform signs as."""
    if is_own(name):
        raise OwnPrincipal(f"this platform signs as {name}: only another administrator can revoke it")
    return _order(RevokePrincipal(name), actor, nonce)


def _ascending(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    return tuple(sorted(set(grants), key=lambda grant: (grant.event, grant.capability)))


def _order(command: Administration, actor: str, nonce: bytes) -> Changed:
    """Have the command decided; raise TicketError unless it was executed."""
    result = decide_one(Request(command, nonce=nonce), actor=actor).result
    if result.state:
        shown = shown_principal(result.state)
        return Changed(_shown(shown.wire, shown.principal), result.sequence)
    # The answer to a repeated nonce holds code and position, but not the resulting principal: that is in the
    # copy.
    feed.wait_for(result.sequence, COPY_WAIT)
    known = find_principal(command.name)
    return Changed(known or ShownPrincipal(command.name, "", b"", ()), result.sequence)


def _shown(wire: str, principal: Principal) -> ShownPrincipal:
    return ShownPrincipal(principal.name, wire, principal.public_key, principal.grants)


def rotate_own(*, overlap: float = OWN_OVERLAP, actor: str) -> Changed:
    """Give this platform's own principal another key, and install it: the gateways switch on their own.

    The next key is written to disk before anything is ordered, and stays there until it is installed or
    replaced: a call whose outcome is unknown (R14) may have been ordered, so a repeated call requests the
    same key, and gateways whose old key is no longer accepted try it (gateway.identity).
    """
    path = key_file()
    name, _, generation = gateway().principal.partition("#")
    upcoming = _upcoming(next_path(path), f"{name}#{int(generation or 0) + 1}")
    try:
        changed = rotate_principal(name, upcoming.public_key, overlap=overlap, actor=actor)
    except Refused as refused:
        if refused.code != KEY_IN_USE:
            raise
        # Ordered before, by a call that could not report it; or it is a former key of somebody.
        applied = feed.wait_for(refused.sequence, COPY_WAIT)
        known = find_principal(name)
        if known is None or applied < refused.sequence:
            raise OutcomeUnknown from refused  # the copy lags behind
        if known.public_key != upcoming.public_key:
            _drop(next_path(path), upcoming)
            raise
        changed = Changed(known, refused.sequence)
    if changed.principal.public_key != upcoming.public_key:
        raise OutcomeUnknown  # the copy lags behind
    _install(path, upcoming, changed.principal.wire)
    return changed


def _install(path: Path, upcoming: Identity, wire: str) -> None:
    """The next key becomes the platform's; raise ServiceError if it cannot be stored, and stays the next."""
    try:
        write_private(path, encode_seed(upcoming.seed, wire), replace=True)
        next_path(path).unlink(missing_ok=True)
    except OSError as error:
        said = f"The new key counts, but cannot be saved as the platform's own: {error.strerror}."
        raise ServiceError(f"{said} Gateways sign with it all the same; rotate again to save it.") from error


def _drop(path: Path, upcoming: Identity) -> None:
    """Delete the next key, unless a later call has made another one."""
    with suppress(FileNotFoundError):
        if read_identity(path).public_key == upcoming.public_key:
            path.unlink()


def _upcoming(path: Path, wire: str) -> Identity:
    """The next key, created if it does not exist; raise ServiceError if it cannot be stored (a full disk)."""
    try:
        if not path.exists():
            with suppress(FileExistsError):
                write_private(path, encode_seed(os.urandom(32), wire))
        return read_identity(path)
    except OSError as error:
        raise ServiceError(f"The next key cannot be saved in the data folder: {error.strerror}.") from error
