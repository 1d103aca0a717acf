"""Collecting what the nodes have seen: evidence, checked before it is believed, and suspicions, counted."""

from __future__ import annotations

import base64
import binascii
from concurrent.futures import Future
from typing import Any

import msgspec

from tickets.proof import Chain, ProofError
from tickets.proof.evidence import Conviction, Evidence, convict, encode_evidence
from tickets.services.epochs import known_chain
from tickets.services.network import gateway
from validators import canonical
from validators.canonical import HASH_SIZE
from validators.consensus.offences import Offence, offence_of
from validators.gateway.collector import Answered
from validators.models import MemberEvidence
from validators.waiting import look_until
from validators.wire import decode_envelope

__all__ = ["Suspicion", "collect_evidence", "collect_now_and_then", "statements", "suspicions"]

LINKS_WAIT = 3.0
"""Seconds for links to all members; who is down then tells next time."""
ASK_WAIT = 2.0
"""Seconds for the nodes' answers."""
PAGES_MAX = 8
"""Pages asked of one node in one go; a page is at most a megabyte of frames."""
PER_MEMBER_MAX = 256
PIECES_MAX = 4_096
AT_LEAST = 4
CONTENT_BYTES_MAX = 1024 * 1024
"""Pieces kept against one member of one epoch, in all, and then still against each; bytes of each: a member
may lie in every slot, and tell of it."""


class Told(msgspec.Struct):
    """One piece in a node's answer."""

    id: int
    code: str
    frames: list[str]


class Page(msgspec.Struct):
    """A node's answer."""

    evidence: list[Told]


class Suspicion(msgspec.Struct, frozen=True):
    """How often one node had reason to refuse what another sent."""

    node: str
    peer: str
    offence: Offence
    count: int


def collect_evidence() -> int:
    """Ask every connected member, keep what convicts somebody; return how many pieces are new."""
    network = gateway()
    chain = known_chain()
    return sum(
        _collect_from(member.index, member.id, chain) for member in network.members() if member.connected
    )


def collect_now_and_then() -> int:
    """The same for a process whose gateway was opened just now: links take a moment."""
    look_until(lambda: all(member.connected for member in gateway().members()), LINKS_WAIT, pause=0.1)
    return collect_evidence()


def suspicions() -> list[Suspicion]:
    """What the members' newest status answers count, grave ones first: each is one node's word."""
    found = []
    for member in gateway().members():
        refused = member.status.get("refused")
        for peer, counts in refused.items() if isinstance(refused, dict) else ():
            for code, count in counts.items() if isinstance(counts, dict) else ():
                if type(count) is int:
                    found.append(Suspicion(member.id, str(peer)[:64], offence_of(str(code)[:64]), count))
    return sorted(found, key=lambda each: (not each.offence.grave, -each.count, each.node, each.peer))


def statements(content: bytes) -> list[tuple[str, list[tuple[str, str]]]]:
    """The statements of a piece of evidence: kind, and each field with its value, for people."""
    evidence = canonical.decode(Evidence, content)
    found = []
    for frame in evidence.frames:
        envelope, message = decode_envelope(frame)
        fields = [(name, _shown(getattr(message, name))) for name in message.__struct_fields__]
        found.append((type(message).__name__, [*fields, ("signature", envelope.signature.hex())]))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex() if len(value) <= HASH_SIZE else f"{len(value)} bytes"
    if isinstance(value, tuple):
        return f"{len(value)} of them" if value else "none"
    return str(value)


def _collect_from(member: int, name: str, chain: Chain) -> int:
    fresh = seen = 0
    for _ in range(PAGES_MAX):
        page = _page(gateway().query(member, "evidence", (str(seen),), wait=ASK_WAIT))
        if page is None or not page.evidence:
            break
        for told in page.evidence:
            seen = max(seen, told.id)
            fresh += _keep(told, name, chain)
    return fresh


def _page(future: Future[Answered]) -> Page | None:
    """A node may answer anything: what is no page is none."""
    try:
        answered = future.result(ASK_WAIT + 1)
        return None if answered.code else msgspec.json.decode(answered.text, type=Page)
    except (TimeoutError, msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _keep(told: Told, reporter: str, chain: Chain) -> bool:
    """Store a piece that convicts; the word of the node that told it does not count."""
    try:
        frames = [base64.b64decode(frame, validate=True) for frame in told.frames]
        content = encode_evidence(chain.cluster, told.code, frames)
        if len(content) > CONTENT_BYTES_MAX:
            return False
        conviction = convict(content, chain)
    except (binascii.Error, ProofError, ValueError):
        return False
    return _store(conviction, content, reporter)


def _store(conviction: Conviction, content: bytes, reporter: str) -> bool:
    pieces = MemberEvidence.objects
    kept = pieces.filter(epoch=conviction.epoch, member=conviction.member).count()
    if kept >= PER_MEMBER_MAX or (kept >= AT_LEAST and pieces.count() >= PIECES_MAX):
        return False
    _row, is_new = MemberEvidence.objects.get_or_create(
        code=conviction.code,
        epoch=conviction.epoch,
        member=conviction.member,
        place=conviction.where,
        defaults={"name": conviction.name, "content": content, "reported_by": reporter},
    )
    return is_new
