"""Members with real keys, runs with simple rules, and votes as gateways get them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import msgspec
from nacl import bindings

from dtvn.events.config import Algorithm, ConsensusConfig
from dtvn.events.judging import (
    DecisionRule,
    Electorate,
    Event,
    MemberVote,
    Question,
    RunPoint,
    Tally,
    Vote,
    cast_vote,
    decision_rule,
    event_digest,
    open_turn,
    sign_turn,
)
from dtvn.protocol import canonical, quorum
from dtvn.protocol.genesis import Member
from dtvn.protocol.quorum import Mode

CLUSTER = b"\x07" * 32
RULES = b"\x11" * 32
SALT = b"\x05" * 16


@cache
def keys(member: int) -> tuple[bytes, bytes]:
    """(public, secret) of a member."""
    public, secret = bindings.crypto_sign_seed_keypair(sha256(b"member %d" % member).digest())
    return public, secret


@cache
def electorate(members: int = 4, epoch: int = 3, cluster: bytes = CLUSTER) -> Electorate:
    return Electorate(
        cluster,
        epoch,
        tuple(Member(f"n{index}", keys(index)[0], "127.0.0.1", 7000 + index) for index in range(members)),
        Mode.PBFT,
    )


class SimpleRun:
    """Rules in which an event `!CODE` is refused with CODE, and each other one changes the state."""

    def __init__(self, state: bytes = bytes(32), rules: bytes = RULES) -> None:
        self.state = state
        self.rules = rules

    def rules_digest(self) -> bytes:
        return self.rules

    def state_digest(self) -> bytes:
        return self.state

    def feed(self, text: bytes) -> str:
        if text.startswith(b"!"):
            return text[1:].decode()
        self.state = sha256(self.state + text).digest()
        return ""


START = RunPoint(thread="t1", run="r1", position=0, state=bytes(32), rules=RULES)


def events(*texts: str) -> list[Event]:
    return [Event(SALT, text.encode()) for text in texts]


def digests(chunk: Sequence[Event]) -> list[bytes]:
    return [event_digest(event) for event in chunk]


def question(*texts: str) -> Question:
    return START.question(digests(events(*(texts or ("a",)))))


def honest(*texts: str) -> Vote:
    """The vote of the rules on a chunk at the start of a run."""
    chunk = events(*(texts or ("a",)))
    return cast_vote(START.question(digests(chunk)), chunk, SimpleRun())


def lie(vote: Vote, *errors: tuple[int, str], after: bytes = b"") -> Vote:
    """Another vote on the same question."""
    return Vote(vote.question, after or vote.after, errors)


def given(
    member: int, vote: Vote, voters: Electorate | None = None, *, beside: Sequence[Vote] = ()
) -> MemberVote:
    """A vote as the gateway opens it, signed in one turn with those `beside` it."""
    voters = voters or electorate()
    data = sign_turn(
        [vote, *beside], cluster=voters.cluster, epoch=voters.epoch, member=member, secret=keys(member)[1]
    )
    return open_turn(data, voters, member)[0]


def rule(algorithm: str, members: int = 4, mode: Mode = Mode.PBFT, **settings: int | bool) -> DecisionRule:
    """The rule of a configuration in which pbft tolerates as many liars as there may be."""
    defaults = {"min_nodes": 1, "byzantine_fault_tolerance": quorum.faults(members, mode)}
    if algorithm == "pbft":
        defaults["min_nodes"] = members
    config = ConsensusConfig(algorithm=Algorithm(algorithm), **{**defaults, **settings})
    return decision_rule(config, members, mode)


def tally(algorithm: str, members: int = 4, about: Vote | None = None, **settings: int | bool) -> Tally:
    """An empty count in which everybody was asked."""
    counted = Tally((about or honest()).question, rule(algorithm, members, **settings))
    counted.ask(range(members))
    return counted


def changed(data: bytes, kind: type, **fields: object) -> bytes:
    """Canonical bytes with other values in some fields."""
    return canonical.encode(msgspec.structs.replace(canonical.decode(kind, data), **fields))
