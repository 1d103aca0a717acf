"""A member that lies about agent events: the real key and the real sockets, in place of its node.

It takes no part in consensus, and judges as a node does before it changes its votes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq
from nacl import bindings

from dtvn.events.asking import Member, MemberJudge
from dtvn.events.asking.forms import VERSION, Answers, decode_answers
from dtvn.events.judging import Vote, sign_turn
from dtvn.events.judging.turns import Turn
from dtvn.net import ZmqTransport, read_seed
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.genesis import Genesis, cluster_id
from dtvn.protocol.wire import decode_envelope, link_frame

Lies = Callable[[list[Vote]], list[list[Vote]]]
"""The votes of a turn -> the turns that it signs instead."""


def false_votes(votes: list[Vote]) -> list[Vote]:
    """Votes that refuse the first event of each chunk."""
    return [Vote(vote.question, vote.after, ((0, "A_LIE"),)) for vote in votes]


def only_lies(votes: list[Vote]) -> list[list[Vote]]:
    return [false_votes(votes)]


def both_ways(votes: list[Vote]) -> list[list[Vote]]:
    return [votes, false_votes(votes)]


class LyingJudge:
    """A thread with the sockets of member `index`; as a context manager it ends with the block."""

    def __init__(self, genesis: Genesis, index: int, key: Path, lies: Lies) -> None:
        seed = read_seed(key)
        secret = bindings.crypto_sign_seed_keypair(seed)[1]
        self._own = Member(cluster_id(genesis), 0, index, secret)
        self._judge = MemberJudge(self._own, lambda _principal: True)
        self._lies = lies
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        member = genesis.members[index]
        self._transport = ZmqTransport(self._context, genesis, index, seed, bind=(member.host, member.port))
        self._transport.admit({p.name: p.public_key for p in genesis.principals})
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="liar", daemon=True)
        self.turns = 0
        """Number of turns of votes that it signed."""

    def _run(self) -> None:
        transport, judge = self._transport, self._judge
        while not self._ending.is_set():
            transport.wait(5_000_000)
            for item in transport.receive(256):
                message = decode_envelope(item.frame)[1]
                if isinstance(message, m.Judge):
                    judge.put(item.peer, message.body, time.monotonic_ns())
            while judge.waiting:
                for peer, body in judge.turn(time.monotonic_ns)[0]:
                    for said in self._changed(body):
                        transport.answer(peer, link_frame(m.Judged(said)))

    def _changed(self, body: bytes) -> list[bytes]:
        answers = decode_answers(body)
        if not answers.turn:
            return [body]
        turn = canonical.decode(Turn, answers.turn)
        votes = [canonical.decode(Vote, each) for each in turn.votes]
        return [self._signed(each) for each in self._lies(votes)]

    def _signed(self, votes: list[Vote]) -> bytes:
        own = self._own
        self.turns += 1
        turn = sign_turn(votes, cluster=own.cluster, epoch=own.epoch, member=own.index, secret=own.secret)
        return canonical.encode(Answers(VERSION, own.epoch, turn, ()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(10)
        self._transport.close()
        self._context.destroy(linger=0)
