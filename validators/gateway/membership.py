"""Changing the membership through a gateway: gather words of life, ask for the change, wait for the epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any

import msgspec

from tickets.machine import AddPrincipal, Command, Reconfigure, build
from validators import canonical, quorum
from validators.consensus.membership import Alive, Change, Membership
from validators.gateway.client import Gateway, valid_until
from validators.gateway.collector import Result

__all__ = ["ChangeRefused", "forecast", "gather_words", "reconfigure", "enlist"]

ANSWER_WAIT = 2.0
WORDS_WAIT = 15.0
"""Seconds for members to answer: links of a new epoch take a moment."""
EPOCH_WAIT = 30.0


class _Told(msgspec.Struct):
    word: str
    epoch: int


class ChangeRefused(Exception):
    """The cluster refused, with this outcome code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def forecast(now: Membership, change: Change) -> tuple[str, str]:
    """The quorum calculator before a change: (what the cluster survives now, what it will)."""
    after = len(now.members) + len(change.joins) - bool(change.leaves)
    described = quorum.describe(after) if after else "no members"
    return quorum.describe(len(now.members)), described


def gather_words(gateway: Gateway, *, without: str = "", wait: float = WORDS_WAIT) -> list[Alive]:
    """Words of life of all members that answer but `without` (R36): all of them, or what came in time."""
    until = time.monotonic() + wait
    words: dict[str, Alive] = {}
    while time.monotonic() < until:
        now = gateway.present
        expected = sum(member.id != without for member in now.members)
        asked = [
            gateway.query(index, "alive", wait=ANSWER_WAIT)
            for index, member in enumerate(now.members)
            if member.id != without and member.id not in words
        ]
        for future in asked:
            word, epoch = _word(future)
            if epoch > now.epoch:
                words.clear()  # this gateway has not heard of that epoch yet: it will
                expected = len(now.members) + 1
                break
            if word is not None:
                words[word.member] = word
        if len(words) >= expected:
            break
        time.sleep(0.2)
    return list(words.values())


def enlist(gateway: Gateway, member_id: str, public_key: bytes) -> str:
    """List a newcomer's key without grants, so that it may follow as a learner; the outcome code."""
    return _order(gateway, AddPrincipal(member_id, public_key)).code


def reconfigure(gateway: Gateway, change: Change) -> Membership:
    """Order a change and wait until its epoch has begun; raise ChangeRefused with the outcome's code."""
    result = _order(gateway, Reconfigure(change))
    if result.code != "ok":
        raise ChangeRefused(result.code)
    _until(lambda: gateway.present.epoch > change.epoch, EPOCH_WAIT)
    return gateway.present


def _order(gateway: Gateway, command: Command) -> Result:
    entry = gateway.present.members[0].id
    operation = build(command, actor="operator", entry=entry, valid_until=valid_until(EPOCH_WAIT))
    return gateway.submit([operation], wait=EPOCH_WAIT).result(EPOCH_WAIT + 5)[0]


def _word(future: Future[Any]) -> tuple[Alive | None, int]:
    """(word, epoch in which it was said)."""
    try:
        answered = future.result(ANSWER_WAIT + 1)
        if answered.code:
            return None, 0
        told = msgspec.json.decode(answered.text, type=_Told)
        return canonical.decode(Alive, bytes.fromhex(told.word)), told.epoch
    except (NotYet, ValueError, msgspec.MsgspecError):
        return None, 0


def _until(look: Callable[[], bool], wait: float) -> None:
    until = time.monotonic() + wait
    while not look() and time.monotonic() < until:
        time.sleep(0.05)
