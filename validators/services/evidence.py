"""Collects what nodes and this process's gateway observe: evidence, verified before it is stored, and
suspicions, counted."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from dtvn.events.judging import decode_evidence, open_vote
from dtvn.gateway import Answered, VoteEvidenceFile
from dtvn.proof import Chain, ProofError
from dtvn.proof.evidence import EVENT_VOTE, Conviction, Evidence, convict, encode_evidence
from dtvn.protocol import canonical
from dtvn.protocol.canonical import HASH_SIZE
from dtvn.protocol.consensus.offences import Offence, offence_of
from dtvn.protocol.wire import decode_envelope
from dtvn.waiting import look_until
from validators.models import MemberEvidence
from validators.services.epochs import known_chain
from validators.services.network import PRINCIPAL, gateway

LINKS_WAIT = 3.0
"""Seconds to wait for links to all members; a member that is down reports next time."""
ASK_WAIT = 2.0
"""Seconds for the nodes' answers."""
PAGES_MAX = 8
"""Pages requested from one node per collection; a page is at most a megabyte of frames."""
PER_MEMBER_MAX = 256
PIECES_MAX = 4_096
AT_LEAST = 4
CONTENT_BYTES_MAX = 1024 * 1024
"""Limits of stored evidence: pieces against one member of one epoch, pieces in all, pieces still accepted
against each member when that total is reached, and bytes per piece. A lying member may lie in every slot, and
report it."""


class Told(msgspec.Struct):
    """One piece of evidence in a node's answer."""

    id: int
    code: str
    frames: list[str]


class Page(msgspec.Struct):
    """A node's answer."""

    evidence: list[Told]


class Suspicion(msgspec.Struct, frozen=True):
    """How often one node had reason to refuse another's messages."""

    node: str
    peer: str
    offence: Offence
    count: int


def collect_evidence() -> int:
    """Query every connected member and this process's gateway, store evidence that convicts a member; returns
    the number of new pieces."""
    network = gateway()
    chain = known_chain()
    fresh = keep_double_votes(network.events.evidence())
    return fresh + sum(
        _collect_from(member.index, member.id, chain) for member in network.members() if member.connected
    )


def keep_double_votes(found: Sequence[VoteEvidenceFile]) -> int:
    """Store what this process's gateway found about votes on agent events; returns the number of new
    pieces."""
    chain = known_chain()
    return sum(_keep(EVENT_VOTE, [each.data], PRINCIPAL, chain) for each in found)


def collect_now_and_then() -> int:
    """Collect evidence once the links of a gateway that was just opened are up."""
    look_until(lambda: all(member.connected for member in gateway().members()), LINKS_WAIT, pause=0.1)
    return collect_evidence()


def suspicions() -> list[Suspicion]:
    """The counts in the members' newest status answers, serious ones first: each is a single node's claim."""
    found = []
    for member in gateway().members():
        for peer, counts in member.refused.items():
            for code, count in counts.items():
                found.append(Suspicion(member.id, peer[:64], offence_of(code[:64]), count))
    return sorted(found, key=lambda each: (not each.offence.grave, -each.count, each.node, each.peer))


def statements(content: bytes) -> list[tuple[str, list[tuple[str, str]]]]:
    """The statements in a piece of evidence as text: kind, and each field with its value."""
    evidence = canonical.decode(Evidence, content)
    if evidence.code == EVENT_VOTE:
        return _votes(evidence.frames[0])
    found = []
    for frame in evidence.frames:
        envelope, message = decode_envelope(frame)
        fields = [(name, _shown(getattr(message, name))) for name in message.__struct_fields__]
        found.append((type(message).__name__, [*fields, ("signature", envelope.signature.hex())]))
    return found


def _votes(data: bytes) -> list[tuple[str, list[tuple[str, str]]]]:
    evidence = decode_evidence(data)
    found = []
    for signed in (evidence.one, evidence.other):
        vote, ballot = open_vote(signed.vote), signed.ballot
        question = vote.question
        fields = [(name, _shown(getattr(question, name))) for name in question.__struct_fields__]
        errors = ", ".join(f"event {question.position + place}: {code}" for place, code in vote.errors)
        fields += [("after", vote.after.hex()), ("errors", errors or "none")]
        found.append(("Vote", [*fields, ("signature", ballot.signature.hex())]))
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
            fresh += _keep_told(told, name, chain)
    return fresh


def _page(future: Future[Answered]) -> Page | None:
    """The page in a node's answer; None if the answer does not decode."""
    try:
        answered = future.result(ASK_WAIT + 1)
        return None if answered.code else msgspec.json.decode(answered.text, type=Page)
    except (TimeoutError, msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _keep_told(told: Told, reporter: str, chain: Chain) -> bool:
    try:
        frames = [base64.b64decode(frame, validate=True) for frame in told.frames]
    except ValueError:
        return False
    return _keep(told.code, frames, reporter, chain)


def _keep(code: str, frames: Sequence[bytes], reporter: str, chain: Chain) -> bool:
    """Store a piece if it convicts; the claim of the reporter does not count."""
    try:
        content = encode_evidence(chain.cluster, code, frames)
        if len(content) > CONTENT_BYTES_MAX:
            return False
        conviction = convict(content, chain)
    except (ProofError, ValueError):
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
