"""Asks one peer, whose key is known, for the cluster's genesis: what a follower does first.

The peer admits only members and principals that count (R15): until the organiser has added this process's
key, the handshake fails. What the peer answers is checked as a file is: it must be a sealed genesis.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from contextlib import closing

import msgspec
import zmq

from dtvn.net import DialledLink, curve_keys, curve_public, endpoint_of, parse_multiaddr
from dtvn.node.keys import public_key_of_peer_id
from dtvn.node.options import StartError
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Answer, Hello, Query
from dtvn.protocol.genesis import GenesisError
from dtvn.protocol.genesis.ceremony import open_genesis
from dtvn.protocol.wire import Envelope, kind_of, link_frame

GENESIS = "genesis"
"""The question; its answer is {"genesis": the file's bytes in base64}."""
ASK_AGAIN = 1.0
"""Seconds between two questions."""
SAY_AFTER, SAY_EVERY = 2.0, 30.0
"""Seconds without a link after which, and between two times that, it is said why."""
WAIT_MS = 200
RETRY = 1.0
"""Seconds without a link after which the peer is dialled anew: libzmq gives up after a refused handshake."""

_ANSWER = kind_of(Answer(0, "", ""))


class Place(msgspec.Struct, frozen=True):
    """A peer that can be dialled."""

    public_key: bytes
    address: tuple[str, int]


class _Genesis(msgspec.Struct):
    genesis: str


def read_place(multiaddr: str) -> Place:
    """The peer in a multiaddr, whose peer id it must hold; raise StartError."""
    try:
        host, port, peer = parse_multiaddr(multiaddr)
        if not peer:
            raise ValueError(f"{multiaddr!r} has no /p2p/PEER-ID: without its key nobody knows who answers")
        return Place(public_key_of_peer_id(peer), (host, port))
    except ValueError as error:
        raise StartError(f"{error}.") from error


def fetch_genesis(
    seed: bytes,
    place: Place,
    *,
    should_stop: Callable[[], bool],
    say: Callable[[bool], object],
) -> bytes | None:
    """The genesis file of the peer's cluster; waits until it answers, None if asked to stop. `say` is called
    now and then while there is no link, with whether the peer refused this key. Raises StartError if the
    peer answers something else."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with closing(_Asking(context, seed, place)) as asking:
            return asking.run(should_stop, say)
    finally:
        context.destroy(linger=0)


class _Asking:
    """One attempt after the other."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], seed: bytes, place: Place) -> None:
        self._context, self._keys, self._place = context, curve_keys(seed), place
        self._link = self._dial()
        self._refused = False

    def _dial(self) -> DialledLink:
        self._dialled_at = time.monotonic()
        return DialledLink(
            self._context,
            self._keys,
            server_key=curve_public(self._place.public_key),
            endpoint=endpoint_of(*self._place.address),
            hello=link_frame(Hello(client=b"")),
        )

    def close(self) -> None:
        """End the link."""
        self._link.close()

    def run(self, should_stop: Callable[[], bool], say: Callable[[bool], object]) -> bytes | None:
        """See fetch_genesis."""
        say_at, ask_at = time.monotonic() + SAY_AFTER, 0.0
        while not should_stop():
            self._wait()
            now = time.monotonic()
            self._refused = self._refused or self._link.counters.handshake_failures > 0
            if self._link.ready:
                for frame in self._link.receive():
                    if (found := _genesis_in(frame)) is not None:
                        return found
                if now >= ask_at:
                    ask_at = now + ASK_AGAIN
                    self._link.send(link_frame(Query(1, GENESIS, ())))
            elif now >= self._dialled_at + RETRY:
                self._link.close()
                self._link = self._dial()
            if now >= say_at:
                say_at = now + SAY_EVERY
                say(self._refused)
        return None

    def _wait(self) -> None:
        poller = zmq.Poller()
        poller.register(self._link.socket, zmq.POLLIN)
        poller.register(self._link.monitor, zmq.POLLIN)
        poller.poll(WAIT_MS)
        self._link.attend()


def _genesis_in(frame: bytes) -> bytes | None:
    """The genesis file in a peer's answer, None if the frame is none; raise StartError if it is unusable."""
    try:
        envelope = canonical.decode(Envelope, frame)
        if envelope.kind != _ANSWER:
            return None
        answer = canonical.decode(Answer, envelope.body)
    except canonical.CanonicalError:
        return None
    if answer.number != 1:
        return None
    if answer.code:
        raise StartError(f"The peer does not tell its genesis ({answer.code}): is its version older?")
    try:
        data = base64.b64decode(msgspec.json.decode(answer.text, type=_Genesis).genesis, validate=True)
        open_genesis(data)
    except (msgspec.MsgspecError, binascii.Error, GenesisError, RecursionError) as error:
        raise StartError(f"The genesis that the peer sent is not usable: {error}.") from error
    return data


def told(genesis_file: bytes) -> dict[str, str]:
    """The answer to the question."""
    return {"genesis": base64.b64encode(genesis_file).decode("ascii")}
