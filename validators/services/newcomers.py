"""Nodes that this platform makes for the cluster: key, folder, ports, and the wish that they run (R36)."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max

from tickets.machine import AddPrincipal, Command, RevokePrincipal, reasons
from tickets.services.decide import Decision
from tickets.services.errors import InvalidRequest, TicketError
from validators import canonical
from validators.ceremony import open_genesis
from validators.consensus.membership import Alive, Membership
from validators.genesis import ANY_EVENT, CAPABILITIES, Grant
from validators.link import ensure_seed, public_key_of, read_seed
from validators.models import DesiredState, ManagedNode, NodePart, NodeRole, NodeStatus
from validators.node.layout import ClusterFolder, NodeFolder
from validators.node.provision import api_principal, make_newcomer
from validators.processes import preparation
from validators.processes.folder import DataFolder
from validators.services.membership import Wish
from validators.services.principals import find_principal

__all__ = [
    "Asker",
    "check",
    "folder_of",
    "give_up",
    "make",
    "next_key",
    "note_leavers",
    "retire",
    "settle",
    "suspects",
    "word_of",
]


Asker = Callable[[Command, str], Decision]
"""Has a command decided; the text tells the steps of one change apart, so that none is done twice."""

EVERYTHING = tuple(Grant(ANY_EVENT, capability) for capability in sorted(CAPABILITIES))


def folder_of(node_id: str) -> NodeFolder:
    """A node's folder in this platform's data."""
    return ClusterFolder(settings.DATA).node(node_id)


def check(wish: Wish, now: Membership) -> None:
    """Raise InvalidRequest when this platform cannot do its part of a wish."""
    if wish.change in ("add", "replace") and wish.peer_id and not wish.word:
        raise InvalidRequest("word is required: the base64 of identity/alive.bin of a newcomer that follows")
    rotated = wish.change == "rotate" and wish.own and now.find(wish.node_id) is not None
    if rotated and not _ours(wish.node_id):
        raise InvalidRequest(f"peer_id is required: {wish.node_id} makes its next key where it runs")


def make(node_id: str, newest: Membership, ask: Asker) -> tuple[str, int]:
    """Make a newcomer ready to follow: keys and folder, listed by the cluster, and wanted running.

    `newest`: whom it may ask for the log. Return the address at which it will listen as a member. Doing it
    twice is doing it once.
    """
    folder, places = folder_of(node_id), ClusterFolder(settings.DATA)
    genesis = places.genesis.read_bytes()
    founded = open_genesis(genesis)
    key = make_newcomer(folder, genesis, newest)
    host, port = preparation.keep_newcomer_ports(DataFolder(settings.DATA), founded, folder)
    _enlist(node_id, key, (), ask)
    # What a node's own API may ask for: everything in a demonstration, as its founders', else nothing (R15).
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
                "status": NodeStatus.STARTING,  # as it was announced
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
    """Who is no member any more, and its API, sign nothing any more and follow no log."""
    for name in (api_principal(node_id), node_id):
        decision = ask(RevokePrincipal(name), f"retire {name}")
        if decision.code not in (reasons.PRINCIPAL_NOT_FOUND, reasons.LAST_ADMIN):
            decision.check()


def next_key(node_id: str) -> None:
    """Make the key that a member of ours will have in the next epoch; its words are signed with it."""
    folder = folder_of(node_id)
    read_seed(folder.key)
    ensure_seed(folder.next_key)


def word_of(node_id: str) -> Alive | None:
    """The newest word of life of a newcomer of ours, if it wrote one."""
    try:
        return canonical.decode(Alive, folder_of(node_id).word.read_bytes())
    except (OSError, canonical.CanonicalError):
        return None


def settle(*, joined: str, left: str) -> None:
    """A change took effect: the newcomer of ours is a member; who left is to stop."""
    if joined:
        ManagedNode.objects.filter(node_id=joined).update(part=NodePart.MEMBER)
    if left and ManagedNode.objects.filter(node_id=left).exclude(part=NodePart.LEFT).exists():
        _want(left, part=NodePart.LEFT, desired=DesiredState.STOPPED)


def give_up(wish: Wish) -> None:
    """A change was refused: a newcomer of ours stops, and a key that nobody will have is thrown away."""
    if wish.change == "rotate":
        folder_of(wish.node_id).next_key.unlink(missing_ok=True)
    elif ManagedNode.objects.filter(node_id=wish.node_id, part=NodePart.JOINING).exists():
        _want(wish.node_id, part=NodePart.LEFT, desired=DesiredState.STOPPED)


def suspects() -> list[ManagedNode]:
    """Members of ours that say that they follow without a vote: an epoch may have left them out."""
    rows = ManagedNode.objects.filter(
        role=NodeRole.VALIDATOR, part=NodePart.MEMBER, status=NodeStatus.RUNNING
    )
    return [row for row in rows if row.report.get("state") == "learning"]


def note_leavers(now: Membership) -> list[str]:
    """Members of ours that are none in `now`, whoever ordered that, are to stop; their names. Each says
    itself in which epoch it follows."""
    gone = [
        row.node_id
        for row in suspects()
        if row.report.get("epoch") == now.epoch and now.find(row.node_id) is None
    ]
    for node_id in gone:
        settle(joined="", left=node_id)
    return gone


def _ours(node_id: str) -> bool:
    """Whether this platform runs this member."""
    return ManagedNode.objects.filter(node_id=node_id, part=NodePart.MEMBER).exists()


def _enlist(name: str, key: bytes, grants: tuple[Grant, ...], ask: Asker) -> None:
    """List a key, so that the members let it in."""
    decision = ask(AddPrincipal(name, key, grants), f"enlist {name}")
    if decision.code == reasons.PRINCIPAL_EXISTS:
        known = find_principal(name)
        if known is not None and known.public_key == key:
            return
        raise TicketError(reasons.KEY_IN_USE, f"{name} is listed with another key: take another name.")
    decision.check()


def _want(node_id: str, **changes: str) -> None:
    ManagedNode.objects.filter(node_id=node_id).update(generation=F("generation") + 1, **changes)
