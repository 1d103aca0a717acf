"""An attacker with a gateway key, until it is killed:
`python -m tests.integration.insider GENESIS KEY KIND [RATE [NODE]]`.

It sends RATE frames a second (0: as many as it can) to every node, or to this one alone, and does not read
what it is answered faster than it must. It says "at work" when it has begun."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import zmq
from nacl import bindings

from dtvn.machine import Issue, OpenSession, build
from dtvn.net import Dialler, public_key_of, read_seed
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.genesis import Genesis, Member, cluster_id
from dtvn.protocol.genesis.ceremony import open_genesis
from dtvn.protocol.scheme import ED25519
from dtvn.protocol.wire import kind_of, link_frame, signed_bytes
from dtvn.protocol.wire.envelope import decode_envelope, encode_envelope

RATE = 2_000
"""Frames a second to each node."""
KEPT = 200
"""Different frames of a kind that repeats them."""
AT_ONCE = 64
"""Frames that it sends to a node before it looks at its links, if it sends as many as it can."""
MANY = 4 * RATE
"""Different frames of a kind that has new ones for a whole round. They are made beforehand, so that the
attacker takes little time of the processors."""

UNDER_WAY = 500
"""Requests of a session not known to be done."""


class Insider:
    """A principal's key, and a link to every node."""

    def __init__(
        self,
        genesis: Genesis,
        seed: bytes,
        context: zmq.Context[zmq.Socket[bytes]],
        *,
        members: tuple[Member, ...] = (),
    ) -> None:
        """`members`: of the present epoch, if it is not the first."""
        self._cluster = cluster_id(genesis)
        self._secret = bindings.crypto_sign_seed_keypair(seed)[1]
        own = public_key_of(seed)
        self._principal = next(p.name for p in genesis.principals if p.public_key == own)
        self._client = os.urandom(8)
        present = msgspec.structs.replace(genesis, members=members or genesis.members)
        self.nodes = len(present.members)
        self.dialler = Dialler(context, present, seed, hello=m.Hello(client=self._client))
        while len(self.dialler.connected()) < self.nodes:
            self.dialler.poll(50)

    def seal(self, message: Any, *, signed: bool = True) -> bytes:
        """A frame of any kind under the insider's own key, or without a valid signature."""
        kind, body = kind_of(message), canonical.encode(message)
        data = signed_bytes(self._cluster, kind, body)
        return encode_envelope(kind, body, ED25519.sign(self._secret, data) if signed else bytes(64))

    def bundle(
        self,
        *,
        session: tuple[int, int] = (0, 0),
        number: int = 0,
        done_below: int = 0,
        valid: float = 35.0,
        signed: bool = True,
    ) -> bytes:
        """A request that opens a session, or one in this session; valid for so many seconds."""
        command, ticket = (OpenSession(), "") if session == (0, 0) else (Issue(), f"T-{os.urandom(8).hex()}")
        until = time.time_ns() // 1_000 + int(valid * 1_000_000)
        operation = build(
            command, ticket=ticket, actor="insider", entry="node0", valid_until=until, nonce=os.urandom(8)
        )
        bundle = m.Bundle(0, self._principal, self._client, session, number, done_below, (operation,))
        return self.seal(bundle, signed=signed)

    def session(self) -> tuple[int, int]:
        """Open a session."""
        opening = self.bundle()
        for index in range(self.nodes):
            self.send(index, opening)
        while True:
            for _index, frame in self.dialler.poll(50):
                message = decode_envelope(frame)[1]
                if isinstance(message, m.Reply):
                    return message.entry.sequence, message.first_index

    def send(self, index: int, frame: bytes) -> None:
        """Send a frame to a node once a link to it stands."""
        while not self.dialler.send(index, frame):
            self.dialler.poll(50)

    def flood(self, frames: Iterator[bytes], rate: int, at: Sequence[int], *, apart: bool) -> None:
        """Send to these nodes, for ever; `apart`: to each other frames."""
        sent, began = 0, time.monotonic()
        while True:
            due = int((time.monotonic() - began) * rate) if rate else sent + AT_ONCE
            for _ in range(min(due - sent, RATE // 10)):
                frame = next(frames)
                for index in at:
                    self.dialler.send(index, frame)
                    if apart:
                        frame = next(frames)
            sent = due
            self.dialler.poll(1 if rate else 0)


def executed(insider: Insider) -> Iterator[bytes]:
    """Openings that were executed, again and again."""
    frames = [insider.bundle() for _ in range(KEPT)]
    for frame in frames:
        for index in range(insider.nodes):
            insider.dialler.send(index, frame)
        insider.dialler.poll(10)
    return itertools.cycle(frames)


def forged(insider: Insider) -> Iterator[bytes]:
    return itertools.cycle([insider.bundle(signed=False) for _ in range(KEPT)])


def sessionless(insider: Insider) -> Iterator[bytes]:
    """Well-signed requests in a session that does not exist."""
    return itertools.cycle([insider.bundle(session=(1 << 40, 0), number=number) for number in range(MANY)])


def openings(insider: Insider) -> Iterator[bytes]:
    """Session after session, each with a nonce as an opening needs."""
    return itertools.cycle([insider.bundle() for _ in range(MANY)])


def expired(insider: Insider) -> Iterator[bytes]:
    return itertools.cycle([insider.bundle(valid=-60.0) for _ in range(MANY)])


def beyond_window(insider: Insider) -> Iterator[bytes]:
    """Requests that give up their own number (R12)."""
    session = insider.session()
    numbers = range(1, MANY)
    return itertools.cycle([insider.bundle(session=session, number=n, done_below=n + 1) for n in numbers])


def valid(insider: Insider) -> Iterator[bytes]:
    """Requests that may all be executed, with as many under way as a gateway may have."""
    session = insider.session()
    for number in itertools.count(1):
        yield insider.bundle(session=session, number=number, done_below=max(0, number - UNDER_WAY))


def too_far_ahead(insider: Insider) -> Iterator[bytes]:
    """Openings that want to stay valid for an hour (R14)."""
    return itertools.cycle([insider.bundle(valid=3_600.0) for _ in range(MANY)])


def questions(insider: Insider) -> Iterator[bytes]:
    asked = (m.Query(number=number, what="status", arguments=()) for number in range(1, MANY + 1))
    return itertools.cycle([link_frame(each) for each in asked])


KINDS: dict[str, Callable[[Insider], Iterator[bytes]]] = {
    "executed": executed,
    "forged": forged,
    "sessionless": sessionless,
    "openings": openings,
    "openings_apart": openings,
    "expired": expired,
    "too_far_ahead": too_far_ahead,
    "beyond_window": beyond_window,
    "questions": questions,
}
VALID = {"valid": valid}
"""The kind whose requests are really executed: others wait longer for that."""


def main(genesis_file: str, key_file: str, kind: str, rate: str = str(RATE), node: str = "") -> None:
    insider = Insider(open_genesis(Path(genesis_file).read_bytes()), read_seed(Path(key_file)), zmq.Context())
    frames = (KINDS | VALID)[kind](insider)
    print("at work", flush=True)  # noqa: T201 - for whoever started it
    at = [int(node)] if node else range(insider.nodes)
    insider.flood(frames, int(rate), at, apart=kind == "openings_apart")


if __name__ == "__main__":
    main(*sys.argv[1:])
