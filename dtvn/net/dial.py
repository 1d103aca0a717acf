"""A principal's links to every member of a cluster, as gateways and the learner use them.

One thread owns a Dialler; only `wake` and `counters` may be called from others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from copy import copy

import zmq

from dtvn.net.counters import LinkCounters
from dtvn.net.curve import curve_keys, curve_public
from dtvn.net.dialled import DialledLink
from dtvn.net.polling import LinkPoll
from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.genesis import Genesis, Member
from dtvn.protocol.wire import link_frame


def endpoint_of(host: str, port: int) -> str:
    """ZeroMQ's name of a TCP address; IPv6 addresses in brackets."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


class Dialler:
    """Authenticated, encrypted connections to all members of a genesis under one key.

    `seed`: 32-byte Ed25519 seed of a principal (or member) that genesis lists. `hello` is the first frame
    on every connection. `addresses` overrides (host, port) by member index. Connecting, heartbeats and
    reconnecting run in ZeroMQ's thread; greeting and sending happen inside `poll` and `send`.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        genesis: Genesis,
        seed: bytes,
        *,
        hello: Hello,
        addresses: Mapping[int, tuple[str, int]] | None = None,
    ) -> None:
        self._context = context
        self._keys = curve_keys(seed)
        self._greeting = link_frame(hello)
        self._links: dict[int, DialledLink] = {}
        self._members: tuple[Member, ...] = ()
        self.follow(genesis, addresses)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poll = LinkPoll([self._wake_read], self._links)

    def follow(self, genesis: Genesis, addresses: Mapping[int, tuple[str, int]] | None = None) -> None:
        """Link to these members from now on: links to members that keep their key stay up; those to other
        members end."""
        before = {self._members[index].public_key: link for index, link in self._links.items()}
        links: dict[int, DialledLink] = {}
        for index, member in enumerate(genesis.members):
            endpoint = endpoint_of(*(addresses or {}).get(index, (member.host, member.port)))
            link = before.pop(member.public_key, None)
            if link is None:
                link = DialledLink(
                    self._context,
                    self._keys,
                    server_key=curve_public(member.public_key),
                    endpoint=endpoint,
                    hello=self._greeting,
                )
            elif link.endpoint != endpoint:
                link.redial(endpoint)
            links[index] = link
        for link in before.values():
            link.close()
        self._links.clear()
        self._links.update(links)
        self._members = genesis.members

    def send(self, member_index: int, frame: bytes) -> bool:
        """Queue a frame for one member; False if it is not connected: nothing is sent or kept."""
        return self._links[member_index].send(frame)

    def poll(self, timeout_ms: int) -> list[tuple[int, bytes]]:
        """Wait at most `timeout_ms` for frames (0: do not wait); returns [] also when connections changed
        or `wake` was called. Reads a bounded number of frames from each member, in turn."""
        self._poll.wait(timeout_ms * 1_000_000)
        ready = self._poll.take()
        if self._wake_read in ready:
            self._drain_wakes()
        return [
            (index, frame)
            for index, frames in self._poll.frames(ready, time.monotonic_ns())
            for frame in frames
        ]

    def connected(self) -> frozenset[int]:
        """Indices of members that had an authenticated connection at the last `poll`."""
        return frozenset(index for index, link in self._links.items() if link.ready)

    def counters(self) -> dict[int, LinkCounters]:
        """Copies of the counters of all links, by member index."""
        return {index: copy(link.counters) for index, link in [*self._links.items()]}

    def wake(self) -> None:
        """Make a waiting `poll` return; safe from any thread."""
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:
            return  # the pipe is full of wakes already

    def close(self) -> None:
        """Close every connection at once; the caller still owns the context."""
        for link in self._links.values():
            link.close()
        self._links.clear()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _drain_wakes(self) -> None:
        try:
            while os.read(self._wake_read, 4096):
                pass
        except BlockingIOError:
            return
