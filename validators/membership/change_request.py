"""Changes of the membership: the request, its preview, and having it ordered (R35-R37).

The command, REST and the admin share it: a `ChangeRequest` is the requested change, `preview` is the quorum
calculator for it, `order` has the cluster decide. The additional steps for nodes that this platform runs
itself are in `changes`.
"""

from __future__ import annotations

import base64
import binascii
from itertools import zip_longest
from typing import Literal

import msgspec
from django.db import DatabaseError

from dtvn.api.errors import InvalidRequest, OutcomeUnknown
from dtvn.api.ordering import Request
from dtvn.gateway import GatewayFace
from dtvn.machine import Reconfigure, reasons
from dtvn.node.keys import public_key_of_peer_id
from dtvn.node.layout import is_node_id, why_not_joins_as
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.membership import FIXED, Change, LivenessProof, Membership, outline
from dtvn.protocol.genesis import GenesisError, Member, Parameters, check_terms, why_not_reached
from dtvn.protocol.quorum import Mode
from dtvn.waiting import look_until
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.services.decide import decide_one
from validators.services.network import gateway

Kind = Literal["add", "remove", "replace", "rotate", "parameters"]
"""Changes that REST offers."""
ORDER_WAIT = 9.0
EPOCH_WAIT = 20.0
"""Seconds until this process's gateway has received an epoch that was ordered."""
LIVENESS_PROOF_BYTES_MAX = 1_024
UNKNOWN_KEY = bytes(32)
UNKNOWN_PORT = 1
"""Placeholders for values that this platform chooses when it creates a newcomer: used in previews only."""

NodeId = str

FIXED_PARAMETERS = FIXED


class ChangeRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One requested change. Without `peer_id`, this platform creates the newcomer, or the new key."""

    change: Literal["add", "remove", "replace", "rotate", "move", "parameters"]
    node_id: NodeId = ""
    """The member that joins, leaves, or gets a new key or address."""
    replaces: NodeId = ""
    """The member whose seat the newcomer takes."""
    peer_id: str = ""
    host: str = ""
    port: int = 0
    liveness_proof: str = msgspec.field(default="", name="word")
    """The newcomer's signed liveness proof (alive.bin), base64."""
    parameters: dict[str, int] = {}
    """The parameters that change."""
    allow_small: bool = False
    """Allow a cluster of fewer than four members (R37)."""

    @property
    def own(self) -> bool:
        """Whether this platform creates the newcomer or the key."""
        return self.change in ("add", "replace", "rotate") and not self.peer_id

    @property
    def raises(self) -> bool:
        """Whether the change raises the cluster's version (R47)."""
        return "version" in self.parameters

    @property
    def leaving(self) -> str:
        """The member that the change removes; "" for none."""
        return {"remove": self.node_id, "replace": self.replaces}.get(self.change, "")


class Strength(msgspec.Struct, frozen=True):
    """The liars, and the crashes, that this number of members survives (R37)."""

    members: int
    quorum: int
    liars: int
    crashes: int
    note: str
    sentence: str
    consensus: str
    """How the members agree, a word of Mode; no change changes it (R44)."""


class Seat(msgspec.Struct, frozen=True):
    """One seat before and after; "" for an empty one."""

    index: int
    before: NodeId
    after: NodeId
    what: str
    """stays, joins, leaves, replaced, moved, new_key or new_address."""


class Preview(msgspec.Struct, frozen=True):
    """The quorum calculator's answer. `code`: "", or the foreseeable reason for which the cluster would
    refuse."""

    epoch: int
    """The epoch that the change would end."""
    before: Strength
    after: Strength
    seats: tuple[Seat, ...]
    parameters: dict[str, tuple[int, int]]
    """Name to (before, after), for those that differ."""
    code: str = ""
    sentence: str = ""


class Began(msgspec.Struct, frozen=True):
    """The epoch that a change began."""

    epoch: int
    sequence: int
    known: bool
    """Whether this process's gateway already uses it."""


def newest_epoch(network: GatewayFace) -> Membership:
    """The newest epoch that the gateway or the learner knows of."""
    try:
        followed = read.memberships(LEARNER_ALIAS)[-1:]
    except DatabaseError:
        followed = []
    return max([network.present, *followed], key=lambda membership: membership.epoch)


def strength(members: int, mode: Mode) -> Strength:
    """Faults that a cluster of this many members survives; one without members survives none."""
    if not members:
        return Strength(0, 0, 0, 0, "no members", "no members", mode.value)
    return Strength(
        members=members,
        quorum=quorum.quorum(members, mode),
        liars=quorum.faults(members, mode),
        crashes=quorum.crashes_tolerated(members, mode),
        note=quorum.fault_tolerance_note(members, mode),
        sentence=quorum.fault_tolerance_sentence(members, mode),
        consensus=mode.value,
    )


def preview(now: Membership, asked: ChangeRequest, key: bytes = UNKNOWN_KEY) -> Preview:
    """Preview of a change; `key`: that of a newcomer created here. Raises InvalidRequest."""
    check_request(asked)
    change = change_of(now, asked, key=key)
    for parameters in change.parameters:
        try:
            check_terms("any", parameters, len(now.members))
        except GenesisError as error:
            raise InvalidRequest(str(error)) from error
    found = outline(now, change)
    before = strength(len(now.members), now.mode)
    if isinstance(found, str):
        count = len(now.members) + (asked.change == "add") - (asked.change == "remove")
        after = strength(count, now.mode) if 0 <= count <= quorum.MEMBERS_MAX else before
        sentence = reasons.REASONS[found].sentence
        if found == reasons.MALFORMED and asked.raises:
            sentence = f"The version is raised by one and alone: from {now.version} to {now.version + 1}."
        elif found == reasons.MALFORMED:
            sentence = "The change has no effect, is not possible, or makes messages too large for the wire."
        elif found == reasons.FULL:
            sentence = "One more member would make the messages or the cluster too large."
        return Preview(now.epoch, before, after, _seats(now.members, now.members), {}, found, sentence)
    members, wanted = found
    changed = {
        name: (getattr(now.parameters, name), getattr(wanted, name))
        for name in Parameters.__struct_fields__
        if getattr(now.parameters, name) != getattr(wanted, name)
    }
    return Preview(now.epoch, before, strength(len(members), now.mode), _seats(now.members, members), changed)


def change_of(
    now: Membership,
    asked: ChangeRequest,
    *,
    key: bytes = UNKNOWN_KEY,
    place: tuple[str, int] = ("127.0.0.1", UNKNOWN_PORT),
    proofs: tuple[LivenessProof, ...] = (),
) -> Change:
    """The change for a checked request, in this epoch. `key`, `place` (host, port): those of a newcomer
    created here."""
    if asked.peer_id:
        key, place = public_key_of_peer_id(asked.peer_id), (asked.host, asked.port)
    leaves = asked.replaces if asked.change == "replace" else asked.node_id
    if asked.change in ("add", "parameters"):
        leaves = ""
    joins: tuple[Member, ...] = ()
    parameters: tuple[Parameters, ...] = ()
    if asked.change in ("add", "replace"):
        joins = (Member(asked.node_id, key, *place),)
    elif asked.change == "rotate" and (index := now.find(asked.node_id)) is not None:
        joins = (msgspec.structs.replace(now.members[index], public_key=key),)
    elif asked.change == "move" and (index := now.find(asked.node_id)) is not None:
        joins = (msgspec.structs.replace(now.members[index], host=asked.host, port=asked.port),)
    elif asked.change == "parameters":
        parameters = (msgspec.structs.replace(now.parameters, **asked.parameters),)
    return Change(
        epoch=now.epoch,
        leaves=leaves,
        joins=joins,
        parameters=parameters,
        allow_small=asked.allow_small,
        alive=proofs,
    )


def incoming_keys(asked: ChangeRequest, key: bytes = UNKNOWN_KEY) -> dict[str, bytes]:
    """Keys that members have only after a change, by id: their liveness proofs are signed with them."""
    if asked.change != "rotate":
        return {}
    return {asked.node_id: public_key_of_peer_id(asked.peer_id) if asked.peer_id else key}


def check_request(asked: ChangeRequest) -> None:
    """Raise InvalidRequest naming the field that is wrong; does no lookups."""
    if asked.change == "parameters":
        _check_parameters(asked.parameters)
        return
    if asked.change in ("add", "replace"):
        check_new_name(asked.node_id, made_here=not asked.peer_id)
    if not is_node_id(asked.node_id):
        raise InvalidRequest("node_id must be 1 to 64 of A-Z a-z 0-9 . _ -, with a letter or digit first")
    if asked.change == "replace" and not is_node_id(asked.replaces):
        raise InvalidRequest("replaces must name a member")
    if asked.change == "replace" and asked.replaces == asked.node_id:
        raise InvalidRequest("replaces: a member cannot replace itself; rotate its key instead")
    if asked.change == "remove":
        return
    if asked.peer_id:
        try:
            public_key_of_peer_id(asked.peer_id)
        except ValueError as error:
            raise InvalidRequest(f"peer_id: {error}") from error
    if asked.change in ("add", "replace"):
        _check_newcomer(asked)
    elif asked.change == "move":
        _check_address(asked)


def check_new_name(node_id: NodeId, *, made_here: bool = True) -> None:
    """Raise InvalidRequest if no new node can have this name."""
    if why := why_not_joins_as(node_id, made_here=made_here):
        raise InvalidRequest(f"node_id {why}")


def _check_newcomer(asked: ChangeRequest) -> None:
    if not asked.peer_id:
        if asked.host or asked.port or asked.liveness_proof:
            raise InvalidRequest("peer_id is required for a node that runs elsewhere (host, port, word)")
        return
    _check_address(asked)
    if asked.liveness_proof:
        read_proof(asked.liveness_proof)


def _check_address(asked: ChangeRequest) -> None:
    if why := why_not_reached(asked.host):
        raise InvalidRequest(f"host {why}")
    if not 1 <= asked.port <= 65_535:
        raise InvalidRequest("port must be between 1 and 65535")


def _check_parameters(parameters: dict[str, int]) -> None:
    if not parameters:
        raise InvalidRequest("parameters: name at least one that changes")
    for name, value in parameters.items():
        if name not in Parameters.__struct_fields__:
            known = ", ".join(Parameters.__struct_fields__)
            raise InvalidRequest(f"parameters: {name[:64]!r} is not one of {known}")
        if name in FIXED_PARAMETERS:
            raise InvalidRequest(f"parameters.{name} is fixed when a cluster is founded")
        if type(value) is not int:
            raise InvalidRequest(f"parameters.{name} must be a number")


def read_proof(text: str) -> LivenessProof:
    """A newcomer's liveness proof from base64; raise InvalidRequest."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
        if len(data) <= LIVENESS_PROOF_BYTES_MAX:
            return canonical.decode(LivenessProof, data)
    except (binascii.Error, ValueError):
        pass
    raise InvalidRequest("word must be the base64 of the newcomer's identity/alive.bin")


def order(change: Change, *, actor: str, nonce: bytes = b"") -> Began:
    """Have a change ordered, and wait until its epoch has begun.

    Raises TicketError: Refused with the outcome's code, Unavailable when nothing was sent, OutcomeUnknown
    when the caller should order the same change again with the same nonce to learn its outcome (R14).
    """
    network = gateway()
    decision = decide_one(Request(Reconfigure(change), nonce=nonce), actor=actor, wait=ORDER_WAIT)
    begun = look_until(lambda: network.present.epoch > change.epoch, EPOCH_WAIT, pause=0.05)
    if not decision.result.sequence:
        raise OutcomeUnknown
    return Began(change.epoch + 1, decision.result.sequence, begun)


Members = tuple[Member, ...]


def _seats(before: Members, after: Members) -> tuple[Seat, ...]:
    """The seats one by one. A member that leaves leaves no gap: the members behind it move up."""
    return tuple(
        Seat(
            index,
            "" if old is None else old.id,
            "" if new is None else new.id,
            _what(old, new, before, after),
        )
        for index, (old, new) in enumerate(zip_longest(before, after))
    )


def _what(old: Member | None, new: Member | None, before: Members, after: Members) -> str:
    """The change of one seat."""
    if old == new:
        return "stays"
    if old is None:
        return "joins"
    if new is not None and old.id == new.id:
        return "new_key" if old.public_key != new.public_key else "new_address"
    if not any(member.id == old.id for member in after):
        joined = new is not None and not any(member.id == new.id for member in before)
        return "replaced" if joined else "leaves"
    return "moved"
