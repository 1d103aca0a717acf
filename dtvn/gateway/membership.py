"""Changes the membership via a gateway: gathers words of life, orders the change, waits for the epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from types import MappingProxyType

import msgspec

from dtvn.gateway.client import Gateway, valid_until
from dtvn.gateway.collector import Answered, Result
from dtvn.gateway.face import GatewayFace
from dtvn.machine import Command, Reconfigure, build
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.membership import Alive, Change, Membership, alive_bytes
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.wire import ED25519
from dtvn.waiting import look_until

__all__ = ["ChangeRefused", "forecast", "gather_words", "reconfigure"]

ANSWER_WAIT = 2.0
WORDS_WAIT = 15.0
"""Seconds for members to answer: links of a new epoch take a moment."""
EPOCH_WAIT = 30.0
NO_KEYS: Mapping[str, bytes] = MappingProxyType({})


class _Told(msgspec.Struct):
    word: str


class ChangeRefused(Exception):
    """The cluster refused, with this outcome code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def forecast(now: Membership, change: Change) -> tuple[str, str]:
    """Sentences about the faults that the cluster tolerates (now, after the change)."""
    after = len(now.members) + len(change.joins) - bool(change.leaves)
    described = quorum.describe(after) if after else "no members"
    return quorum.describe(len(now.members)), described


def gather_words(
    gateway: GatewayFace,
    *,
    without: str = "",
    keys: Mapping[str, bytes] = NO_KEYS,
    wait: float = WORDS_WAIT,
) -> list[Alive]:
    """Words of life (R36) of all members except `without`, or of those that answer within `wait` seconds.
    `keys`: next keys that the change gives to members, with which these sign.

    A member vouches only for itself, in the epoch that epoch change proofs prove (`present`); any other
    answer counts as no answer. So a lying member is missing like one that is down, and hides no other
    member's word.
    """
    until = time.monotonic() + wait
    cluster = cluster_id(gateway.genesis)
    words: dict[str, Alive] = {}
    now = gateway.present
    while True:
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
        complete = len(words) == sum(member.id != without for member in now.members)
        if time.monotonic() >= until or (complete and gateway.present is now):
            return list(words.values())
        time.sleep(0.2)


def reconfigure(gateway: Gateway, change: Change) -> Membership:
    """Order a change and wait until its epoch has begun; raise ChangeRefused with the outcome's code."""
    result = _order(gateway, Reconfigure(change))
    if result.code != "ok":
        raise ChangeRefused(result.code)
    look_until(lambda: gateway.present.epoch > change.epoch, EPOCH_WAIT, pause=0.05)
    return gateway.present


def _order(gateway: Gateway, command: Command) -> Result:
    entry = gateway.present.members[0].id
    operation = build(command, actor="operator", entry=entry, valid_until=valid_until(EPOCH_WAIT))
    return gateway.submit([operation], wait=EPOCH_WAIT).result(EPOCH_WAIT + 5)[0]


def _word(future: Future[Answered]) -> Alive | None:
    """The word of life in a member's answer; None if it does not decode or there was no answer."""
    try:
        answered = future.result(ANSWER_WAIT + 1)
        if answered.code:
            return None
        told = msgspec.json.decode(answered.text, type=_Told)
        return canonical.decode(Alive, bytes.fromhex(told.word))
    except (NotYet, ValueError, msgspec.MsgspecError, RecursionError):
        return None


def _speaks_for(word: Alive, member: str, key: bytes, cluster: bytes, epoch: int) -> bool:
    said = alive_bytes(cluster, epoch, member, word.executed, word.timestamp)
    return word.member == member and ED25519.verify(key, said, word.signature)
