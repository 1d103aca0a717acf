"""Nodes that this platform creates for the cluster: key, folder, ports, and desired state (R36)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max

from dtvn.api.errors import InvalidRequest, TicketError, Unavailable
from dtvn.api.ordering import Decision
from dtvn.gateway import GatewayFace, gather_liveness_proofs, newcomer_proof
from dtvn.machine import AddPrincipal, Command, RevokePrincipal, reasons
from dtvn.net import KeyFileError, ensure_seed, public_key_of, read_seed
from dtvn.node.keys import public_key_of_peer_id
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.options import load_genesis_file
from dtvn.node.provision import api_principal, make_newcomer
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.membership import LivenessProof, Membership, is_fresh, liveness_bytes, window
from dtvn.protocol.genesis import ANY_EVENT, CAPABILITIES, Grant, cluster_id
from dtvn.protocol.wire import ED25519
from validators.data_folder import tcp_ports
from validators.data_folder.folder import DataFolder
from validators.membership.change_request import ChangeRequest, newest_epoch
from validators.models import DesiredState, ManagedNode, NodePart, NodeRole, NodeStatus
from validators.services.announcing import desired_state_changed
from validators.services.principals import find_principal

Asker = Callable[[Command, str], Decision]
"""Has a command decided; the text identifies the step of a change, so that none is executed twice."""

FRESH = 10_000_000
"""Age in microseconds up to which a newcomer's liveness proof is worth sending; the cluster accepts 30 s."""
PROOFS_WAIT = 5.0
"""Seconds for members to say that they live."""
EVERYTHING = tuple(Grant(ANY_EVENT, capability) for capability in sorted(CAPABILITIES))


def folder_of(node_id: str) -> NodeFolder:
    """A node's folder in this platform's data."""
    return ClusterFolder(settings.DATA).node(node_id)


def check(asked: ChangeRequest, now: Membership) -> None:
    """Raise InvalidRequest if this platform cannot do its part of the change."""
    rotated = asked.change == "rotate" and asked.own and now.find(asked.node_id) is not None
    if rotated and not _ours(asked.node_id):
        raise InvalidRequest(f"peer_id is required: {asked.node_id} makes its next key on its own host")


def make(node_id: str, newest: Membership, ask: Asker) -> tuple[str, int]:
    """Make a newcomer ready to follow the log: create keys and folder, enlist it in the cluster, set it to
    run.

    `newest`: the members that it may ask for the log. Returns the address at which it will listen as a
    member. Idempotent.
    """
    folder, places = folder_of(node_id), ClusterFolder(settings.DATA)
    founded, genesis = load_genesis_file(places.genesis)
    key = make_newcomer(folder, genesis, newest)
    host, port = tcp_ports.keep_newcomer_ports(DataFolder(settings.DATA), founded, folder)
    _enlist(node_id, key, (), ask)
    # Grants of a node's own API: everything in a demonstration, like the founders' APIs, else nothing (R15).
    grants = EVERYTHING if founded.demo else ()
    _enlist(api_principal(node_id), public_key_of(ensure_seed(folder.api_key)), grants, ask)
    with transaction.atomic():
        validators = ManagedNode.objects.filter(role=NodeRole.VALIDATOR)
        last = validators.aggregate(last=Max("position"))["last"]
        row, fresh = ManagedNode.objects.get_or_create(
            node_id=node_id,
            defaults={
                "part": NodePart.JOINING,
                "position": 0 if last is None else last + 1,
                "status": NodeStatus.STARTING,  # the status that was announced
            },
        )
        if not fresh and row.part == NodePart.LEFT:
            _want(
                node_id,
                part=NodePart.JOINING,
                desired=DesiredState.RUNNING,
                status=NodeStatus.STARTING,
            )
    return host, port


def retire(node_id: str, ask: Asker) -> None:
    """Revokes the keys of a former member and of its API: they can no longer sign requests or follow the
    log."""
    for name in (api_principal(node_id), node_id):
        decision = ask(RevokePrincipal(name), f"retire {name}")
        if decision.code not in (reasons.PRINCIPAL_NOT_FOUND, reasons.LAST_ADMIN):
            decision.check()


def next_key(node_id: str, network: GatewayFace) -> None:
    """Make the key of a member of ours for the next epoch; its liveness proofs are signed with it.

    Raises TicketError if the present epoch already names the key that was made before, because the member was
    away then; Unavailable if such a key exists and too few members answer which epoch is the present one.
    """
    folder = folder_of(node_id)
    read_seed(folder.key)
    if folder.next_key.exists() and _is_named(folder.next_key, now := _present(network)):
        sentence = f"{node_id} does not use its key of epoch {now.epoch} yet: start it, then try again."
        raise TicketError(reasons.NOT_READY, sentence)
    folder.next_key.unlink(missing_ok=True)
    ensure_seed(folder.next_key)


def allow_to_follow(asked: ChangeRequest, ask: Asker) -> None:
    """List a newcomer of another party, so that its node may fetch the log."""
    _enlist(asked.node_id, public_key_of_peer_id(asked.peer_id), (), ask)


def follows_first(asked: ChangeRequest) -> bool:
    """Whether the change waits until its newcomer has fetched the log."""
    return asked.change in ("add", "replace") and not asked.liveness_proof


def proof_of(asked: ChangeRequest, network: GatewayFace) -> LivenessProof | None:
    """The newest liveness proof of a newcomer: from its folder if it is ours, else from the members, to which
    it announces it; None if there is none."""
    if asked.peer_id:
        return newcomer_proof(network, asked.node_id, public_key_of_peer_id(asked.peer_id))
    try:
        return canonical.decode(LivenessProof, folder_of(asked.node_id).liveness_proof.read_bytes())
    except (OSError, canonical.CanonicalError):
        return None


def caught_up(asked: ChangeRequest, proof: LivenessProof, network: GatewayFace) -> bool:
    """Whether a liveness proof is fresh, of this epoch, and at most half a window behind what an honest
    member has executed."""
    now = network.present
    told = [member for member in network.members() if member.connected]
    front = _reached((member.sequence for member in told), now)
    log_time = _reached((member.log_time for member in told), now)
    cluster = cluster_id(network.genesis)
    said = liveness_bytes(cluster, now.epoch, proof.member, proof.executed, proof.timestamp, proof.newest)
    own = folder_of(asked.node_id)
    key = public_key_of_peer_id(asked.peer_id) if asked.peer_id else public_key_of(read_seed(own.key))
    clock = max(time.time_ns() // 1_000, log_time)
    fresh = clock - proof.timestamp < FRESH and is_fresh(proof.timestamp, clock, now.parameters)
    return (
        fresh
        and ED25519.verify(key, said, proof.signature)
        and proof.executed >= front - window(now.parameters) // 2
    )


def _reached(told: Iterable[object], now: Membership) -> int:
    """The highest of the numbers told by single members that an honest one has reached; 0: unknown."""
    numbers = sorted((number for number in told if type(number) is int), reverse=True)
    needed = quorum.weak_quorum(len(now.members), now.mode)
    return numbers[min(needed, len(numbers)) - 1] if numbers else 0


def settle(*, joined: str, left: str) -> None:
    """A change took effect: marks the newcomer of ours as a member, and stops the member that left."""
    if joined:
        ManagedNode.objects.filter(node_id=joined).update(part=NodePart.MEMBER)
    if left and ManagedNode.objects.filter(node_id=left).exclude(part=NodePart.LEFT).exists():
        _want(left, part=NodePart.LEFT, desired=DesiredState.STOPPED)


def give_up(asked: ChangeRequest, network: GatewayFace) -> None:
    """A change was refused: stops a newcomer of ours, or deletes a key that no member will have. Neither is
    done if an epoch names it: then another attempt, or an earlier change, took effect."""
    if asked.change == "rotate":
        path = folder_of(asked.node_id).next_key
        with suppress(KeyFileError, Unavailable):  # it may be the key of the present epoch: it is kept
            if path.exists() and not _is_named(path, _present(network)):
                path.unlink()
    elif newest_epoch(network).find(asked.node_id) is None:
        joining = ManagedNode.objects.filter(node_id=asked.node_id, part=NodePart.JOINING)
        if joining.exists():
            _want(asked.node_id, part=NodePart.LEFT, desired=DesiredState.STOPPED)


def suspects() -> list[ManagedNode]:
    """Members of ours that report that they follow without a vote: an epoch may have removed them."""
    rows = ManagedNode.objects.filter(
        role=NodeRole.VALIDATOR, part=NodePart.MEMBER, status=NodeStatus.RUNNING
    )
    return [row for row in rows if row.report.get("state") == "learning"]


def note_leavers(now: Membership) -> list[str]:
    """Stop our nodes that are no longer members in `now`, whichever platform ordered that; returns their
    names. Each reports the epoch that it follows."""
    gone = [
        row.node_id
        for row in suspects()
        if row.report.get("epoch") == now.epoch and now.find(row.node_id) is None
    ]
    for node_id in gone:
        settle(joined="", left=node_id)
    return gone


def _is_named(path: Path, now: Membership) -> bool:
    """Whether a member of the epoch has the key in this file: without it, it could never come back."""
    key = public_key_of(read_seed(path))
    return any(member.public_key == key for member in now.members)


def _present(network: GatewayFace) -> Membership:
    """The epoch for which a quorum of its members signed liveness proofs just now, so that no later one has
    begun; what a gateway knows may be old. Raises Unavailable when fewer answer."""
    proofs = gather_liveness_proofs(network, wait=PROOFS_WAIT)
    now = network.present
    if len(proofs) < quorum.quorum(len(now.members), now.mode):
        raise Unavailable("Too few members report their epoch; try again.")
    return now


def _ours(node_id: str) -> bool:
    """Whether this platform runs this member."""
    return ManagedNode.objects.filter(node_id=node_id, part=NodePart.MEMBER).exists()


def _enlist(name: str, key: bytes, grants: tuple[Grant, ...], ask: Asker) -> None:
    """Enlist a key, so that the members accept its connections."""
    decision = ask(AddPrincipal(name, key, grants), f"enlist {name}")
    if decision.code == reasons.PRINCIPAL_EXISTS:
        known = find_principal(name)
        if known is not None and known.public_key == key:
            return
        raise TicketError(reasons.KEY_IN_USE, f"{name} already exists with another key: choose another name.")
    decision.check()


def _want(node_id: str, **changes: str) -> None:
    ManagedNode.objects.filter(node_id=node_id).update(generation=F("generation") + 1, **changes)
    desired_state_changed()
