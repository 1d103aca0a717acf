"""Gathers the members' liveness proofs, which a change of the membership needs (R36)."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from types import MappingProxyType

import msgspec

from dtvn.gateway.collector import Answered
from dtvn.gateway.face import GatewayFace
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import LivenessProof, liveness_bytes
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.versions import FIRST
from dtvn.protocol.wire import ED25519
from dtvn.waiting import look_until

ANSWER_WAIT = 2.0
PROOFS_WAIT = 15.0
"""Seconds for members to answer: links of a new epoch take a moment."""
NO_KEYS: Mapping[str, bytes] = MappingProxyType({})


class _Answer(msgspec.Struct):
    word: str


def gather_liveness_proofs(
    gateway: GatewayFace,
    *,
    without: str = "",
    keys: Mapping[str, bytes] = NO_KEYS,
    versions: bool = False,
    wait: float = PROOFS_WAIT,
) -> list[LivenessProof]:
    """Liveness proofs (R36) of all members except `without`, or of those that answer within `wait` seconds.
    `keys`: next keys that the change gives to members, with which these sign. `versions`: each names the
    newest version that it runs (R47), as a change that raises the version needs; one of 0.1.0 names none.

    A member vouches only for itself, in the epoch that epoch change proofs prove (`present`); any other
    answer counts as no answer. So a lying member is missing like one that is down, and hides no other
    member's proof.
    """
    cluster = cluster_id(gateway.genesis)
    proofs: dict[str, LivenessProof] = {}
    now = gateway.present

    def complete() -> bool:
        nonlocal now
        if gateway.present is not now:
            now = gateway.present
            proofs.clear()  # they are of an epoch that ended
        missing = [member for member in now.members if member.id not in {without, *proofs}]
        places = [now.members.index(member) for member in missing]
        wanted = ("version",) if versions or now.version > FIRST else ()
        asked = [
            gateway.query(
                place, "alive", (*wanted, "next_key") if member.id in keys else wanted, wait=ANSWER_WAIT
            )
            for place, member in zip(places, missing, strict=True)
        ]
        for member, future in zip(missing, asked, strict=True):
            proof = _proof_in(future)
            key = keys.get(member.id, member.public_key)
            if proof is not None and _is_valid(proof, member.id, key, cluster, now.epoch):
                proofs[member.id] = proof
        everybody = len(proofs) == sum(member.id != without for member in now.members)
        return everybody and gateway.present is now

    look_until(complete, wait, pause=0.2)
    return list(proofs.values())


def newcomer_proof(gateway: GatewayFace, name: str, key: bytes) -> LivenessProof | None:
    """The newest liveness proof of a newcomer that any member keeps, of the present epoch and signed with
    `key`; None if no member has one."""
    cluster, now = cluster_id(gateway.genesis), gateway.present
    asked = [gateway.query(at, "newcomer", (name,), wait=ANSWER_WAIT) for at in range(len(now.members))]
    found = [proof for future in asked if (proof := _proof_in(future)) is not None]
    valid = [proof for proof in found if _is_valid(proof, name, key, cluster, now.epoch)]
    return max(valid, key=lambda proof: proof.timestamp, default=None)


def _proof_in(future: Future[Answered]) -> LivenessProof | None:
    """The liveness proof in a member's answer; None if it does not decode or there was no answer."""
    try:
        answered = future.result(ANSWER_WAIT + 1)
        if answered.code:
            return None
        answer = msgspec.json.decode(answered.text, type=_Answer)
        return canonical.decode(LivenessProof, bytes.fromhex(answer.word))
    except (NotYet, ValueError, msgspec.MsgspecError, RecursionError):
        return None


def _is_valid(proof: LivenessProof, member: str, key: bytes, cluster: bytes, epoch: int) -> bool:
    content = liveness_bytes(cluster, epoch, member, proof.executed, proof.timestamp, proof.newest)
    return proof.member == member and ED25519.verify(key, content, proof.signature)
