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
from dtvn.protocol.wire import ED25519
from dtvn.waiting import look_until

ANSWER_WAIT = 2.0
WORDS_WAIT = 15.0
"""Seconds for members to answer: links of a new epoch take a moment."""
NO_KEYS: Mapping[str, bytes] = MappingProxyType({})


class _Told(msgspec.Struct):
    word: str


def gather_liveness_proofs(
    gateway: GatewayFace,
    *,
    without: str = "",
    keys: Mapping[str, bytes] = NO_KEYS,
    wait: float = WORDS_WAIT,
) -> list[LivenessProof]:
    """Liveness proofs (R36) of all members except `without`, or of those that answer within `wait` seconds.
    `keys`: next keys that the change gives to members, with which these sign.

    A member vouches only for itself, in the epoch that epoch change proofs prove (`present`); any other
    answer counts as no answer. So a lying member is missing like one that is down, and hides no other
    member's proof.
    """
    cluster = cluster_id(gateway.genesis)
    words: dict[str, LivenessProof] = {}
    now = gateway.present

    def complete() -> bool:
        nonlocal now
        if gateway.present is not now:
            now = gateway.present
            words.clear()  # they are of an epoch that ended
        missing = [member for member in now.members if member.id not in {without, *words}]
        places = [now.members.index(member) for member in missing]
        asked = [
            gateway.query(place, "alive", ("next_key",) if member.id in keys else (), wait=ANSWER_WAIT)
            for place, member in zip(places, missing, strict=True)
        ]
        for member, future in zip(missing, asked, strict=True):
            word = _word(future)
            key = keys.get(member.id, member.public_key)
            if word is not None and _speaks_for(word, member.id, key, cluster, now.epoch):
                words[member.id] = word
        everybody = len(words) == sum(member.id != without for member in now.members)
        return everybody and gateway.present is now

    look_until(complete, wait, pause=0.2)
    return list(words.values())


def _word(future: Future[Answered]) -> LivenessProof | None:
    """The liveness proof in a member's answer; None if it does not decode or there was no answer."""
    try:
        answered = future.result(ANSWER_WAIT + 1)
        if answered.code:
            return None
        told = msgspec.json.decode(answered.text, type=_Told)
        return canonical.decode(LivenessProof, bytes.fromhex(told.word))
    except (NotYet, ValueError, msgspec.MsgspecError, RecursionError):
        return None


def _speaks_for(word: LivenessProof, member: str, key: bytes, cluster: bytes, epoch: int) -> bool:
    said = liveness_bytes(cluster, epoch, member, word.executed, word.timestamp)
    return word.member == member and ED25519.verify(key, said, word.signature)
