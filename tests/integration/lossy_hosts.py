"""Hosts of several parties that a bad line joins: each a network namespace, and between them a switch of this
process that delays frames, loses some, and lets nobody dial a host behind a NAT.

The switch reads and writes TAP devices, since not every kernel has `tc ... netem`.
"""

from __future__ import annotations

import errno
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from tests.integration.hosts import NETWORK, Host
from tests.needed import lacking

TUNSETIFF = 0x400454CA
TAP_WITHOUT_HEADER = 0x0002 | 0x1000
FRAME_MAX = 2_048
WAITING_MAX = 20_000
"""Frames on the line; further ones are lost."""
IPV4, TCP = b"\x08\x00", 6
SYN, ACK = 0x02, 0x10
OWN = 250
"""Last part of the address of this process."""
_DOWN = (errno.EIO, errno.EBADFD, errno.EAGAIN)
"""A device that is not up yet, or is gone, or has nothing."""


class Line:
    """What happens to a frame on its way."""

    def __init__(self, delay: float, loss: float, seed: int = 1) -> None:
        """`delay`: seconds one way; `loss`: share of frames."""
        self.delay, self.loss = delay, loss
        self.behind: Collection[int] = ()
        """Hosts that can dial others and that nobody can dial, as behind a NAT."""
        self.apart: Collection[frozenset[int]] = ()
        """Pairs of hosts without a route to each other."""
        self.one_way: Collection[tuple[int, int]] = ()
        """(From, to) of which nothing arrives."""
        self._chance = random.Random(seed)
        self.passed, self.lost, self.refused = 0, 0, 0

    def lets_pass(self, frame: bytes, source: int, target: int) -> bool:
        """Whether a frame arrives."""
        cut = frozenset((source, target)) in self.apart or (source, target) in self.one_way
        if cut or (target in self.behind and _dials(frame)):
            self.refused += 1
            return False
        if self._chance.random() < self.loss:
            self.lost += 1
            return False
        self.passed += 1
        return True


def _dials(frame: bytes) -> bool:
    """Whether it is the first segment of a TCP connection."""
    if frame[12:14] != IPV4 or frame[23] != TCP:
        return False
    flags = frame[14 + 4 * (frame[14] & 0x0F) + 13]
    return flags & SYN != 0 and flags & ACK == 0


class Switch(threading.Thread):
    """Passes frames between devices; `ports` are their descriptors, in order of the hosts."""

    def __init__(self, ports: list[int], line: Line) -> None:
        super().__init__(name="switch", daemon=True)
        self._ports, self._line = ports, line
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._numbers = itertools.count()
        self._places: dict[bytes, int] = {}
        self._end = threading.Event()

    def run(self) -> None:
        poll = select.poll()
        for port in self._ports:
            poll.register(port, select.POLLIN)
        while not self._end.is_set():
            due = self._waiting[0][0] - time.monotonic() if self._waiting else 0.05
            for port, _ in poll.poll(max(0.0, min(due, 0.05)) * 1_000):
                self._read(self._ports.index(port))
            self._deliver()

    def _read(self, source: int) -> None:
        for _ in range(64):
            try:
                frame = os.read(self._ports[source], FRAME_MAX)
            except OSError as error:
                if error.errno not in _DOWN:
                    raise
                return
            self._places[frame[6:12]] = source
            place = self._places.get(frame[:6])
            others = [at for at in range(len(self._ports)) if at != source] if place is None else [place]
            for target in others:
                if len(self._waiting) < WAITING_MAX and self._line.lets_pass(frame, source, target):
                    due = time.monotonic() + self._line.delay
                    heapq.heappush(self._waiting, (due, next(self._numbers), target, frame))

    def _deliver(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, target, frame = heapq.heappop(self._waiting)
            try:
                os.write(self._ports[target], frame)
            except OSError as error:
                if error.errno not in _DOWN:
                    raise

    def stop(self) -> None:
        self._end.set()
        self.join()


@contextmanager
def lossy_hosts(count: int, line: Line) -> Iterator[list[Host]]:
    """That many hosts and this process on one line; the namespaces are deleted afterwards. Skipped, in words,
    where a machine has no namespaces or no TAP devices."""
    names = [f"dtvl{os.getpid()}-{at}" for at in range(count)]
    made: list[str] = []
    ports: list[int] = []
    switch = None
    try:
        for at, name in enumerate(names):
            if not _ip("netns", "add", name):
                lacking("no network namespaces on this machine: apt-get install iproute2, and be root")
            made.append(name)
            device = f"dl{os.getpid() % 100_000}t{at}"
            ports.append(_tap(device))
            _must("link", "set", device, "netns", name)
            _must("-n", name, "link", "set", device, "name", "eth0")
            _must("-n", name, "address", "add", f"{NETWORK}.{11 + at}/24", "dev", "eth0")
            for each in ("lo", "eth0"):
                _must("-n", name, "link", "set", each, "up")
        own = f"dl{os.getpid() % 100_000}own"
        ports.append(_tap(own))
        _must("address", "add", f"{NETWORK}.{OWN}/24", "dev", own)
        _must("link", "set", own, "up")
        switch = Switch(ports, line)
        switch.start()
        yield [Host(f"{NETWORK}.{11 + at}", ("ip", "netns", "exec", name)) for at, name in enumerate(names)]
    finally:
        if switch is not None:
            switch.stop()
        for port in ports:
            os.close(port)
        for name in made:
            _must("netns", "delete", name)


def _tap(name: str) -> int:
    """A TAP device, which ends with its descriptor."""
    try:
        port = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(port, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP_WITHOUT_HEADER))
    except OSError as error:
        lacking(f"no TAP devices on this machine: {error.strerror}")
    return port


def _ip(*words: str) -> bool:
    try:
        return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _must(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
