"""Members learn each other's addresses from any member, by records that each signs about itself.

A node that cannot reach all members sends its own record to those whose address it was given or has learned,
and asks for all others. The asked member keeps the newest record of each member and returns all it has. So
one `-bootstrap` is enough, and one that is down only causes a delay. Records are checked against the keys of
the membership, so no member can move another one; a member that lies about itself is merely not found.
A record holds an IP address, never a name.

Asking has its own sockets and thread (`Discovery`); the loop only takes over the addresses learned.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import zmq
from nacl import bindings

from dtvn.net import CurveKeys, curve_keys, curve_public, endpoint_of, tune
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Answer, Query
from dtvn.protocol.genesis import why_not_reached
from dtvn.protocol.wire import ED25519, Envelope, kind_of, link_frame

QUESTION = "addresses"
ARGUMENT = 256
"""Characters of one argument of a Query; a record is split over as many arguments as it needs."""
PORT_MAX = 65_535
AHEAD_MAX = 600_000_000
"""Microseconds by which a record may lie in the future: a clock that is wrong once must not hide a member
for ever."""
PASS_SECONDS = 1.0
ANSWER_MS = 2_000
SLICE_MS = 100
"""Most milliseconds until the thread notices that it is to end."""
ASKED_AT_ONCE = 5
"""Members asked in one pass besides those named at the start."""
_ANSWER_KIND = kind_of(Answer(0, "", ""))

Address = tuple[str, int]


class AddressRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The address on which a member says that it listens."""

    member: str
    host: str
    port: int
    timestamp: int
    """Unix microseconds of its own clock: the newest counts."""
    signature: bytes


def signed_record(cluster: bytes, member: str, address: Address, secret: bytes) -> AddressRecord:
    """A member's signed record of its own address, as of now."""
    host, port = address
    timestamp = time.time_ns() // 1_000
    signature = ED25519.sign(secret, _said(cluster, member, host, port, timestamp))
    return AddressRecord(member, host, port, timestamp, signature)


def _said(cluster: bytes, member: str, host: str, port: int, timestamp: int) -> bytes:
    return canonical.tagged_digest(
        "dtvn/v1/address", cluster, canonical.encode((member, host, port, timestamp))
    )


class AddressBook:
    """The newest record of each member. Thread-safe."""

    def __init__(self, cluster: bytes, keys: Mapping[str, bytes], own: str) -> None:
        """`keys`: public key by member id. `own`: this node's id, for which no record is accepted."""
        self.cluster = cluster
        self.keys = keys
        self.own = own
        self._records: dict[str, AddressRecord] = {}
        self._news: set[str] = set()
        self._lock = threading.Lock()

    def learn(self, record: AddressRecord) -> bool:
        """Keep a record if it is newer and validly signed; return whether it was kept."""
        key = self.keys.get(record.member)
        if key is None or record.member == self.own or not _is_place(record.host):
            return False
        if not (
            1 <= record.port <= PORT_MAX and 0 <= record.timestamp <= time.time_ns() // 1_000 + AHEAD_MAX
        ):
            return False
        with self._lock:
            known = self._records.get(record.member)
            if known is not None and known.timestamp >= record.timestamp:
                return False
        said = _said(self.cluster, record.member, record.host, record.port, record.timestamp)
        if not ED25519.verify(key, said, record.signature):
            return False
        with self._lock:
            self._records[record.member] = record
            self._news.add(record.member)
        return True

    def take_news(self) -> dict[str, Address]:
        """Addresses learned since the last call."""
        with self._lock:
            names, self._news = self._news, set()
            return {name: (self._records[name].host, self._records[name].port) for name in names}

    def records(self) -> list[AddressRecord]:
        """All known records."""
        with self._lock:
            return list(self._records.values())

    def answer(self, arguments: tuple[str, ...], own: AddressRecord) -> tuple[str, Any]:
        """Answer a member's question with (code, all records), and keep its own record in the arguments."""
        asking = _parse("".join(arguments))
        if asking is None:
            return "bad_arguments", None
        self.learn(asking)
        return "", {"addresses": [encoded(record) for record in (own, *self.records())]}


class Discovery:
    """A thread that asks until every member is connected and its record is known: a member that dialled this
    node is connected, but this node's API needs its address too. The loop calls `look` once a second."""

    def __init__(self, book: AddressBook, *, seed: bytes) -> None:
        self._book = book
        self._curve: CurveKeys = curve_keys(seed)
        self._secret = bindings.crypto_sign_seed_keypair(seed)[1]
        self._named: dict[str, Address] = {}
        self._contacts: dict[str, Address] = {}
        self._listens: Address = ("", 0)
        self._missing: frozenset[str] = frozenset()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, listens: Address, contacts: Mapping[str, Address], named: Iterable[str]) -> None:
        """Start asking. `contacts`: presumed addresses of members; `named`: members that are always asked."""
        self._listens = listens
        self._contacts = dict(contacts)
        self._named = {name: contacts[name] for name in named}
        if len(self._book.keys) > 1:
            self._thread = threading.Thread(target=self._run, name="discovery", daemon=True)
            self._thread.start()

    def look(self, connected: Iterable[str]) -> dict[str, Address]:
        """Note which members are connected; return the addresses learned since the last call."""
        told = {record.member for record in self._book.records()}
        told |= {name for name, (host, _) in self._contacts.items() if not _is_place(host)}  # a DNS name
        self._missing = frozenset(self._book.keys) - {self._book.own} - told.intersection(connected)
        news = self._book.take_news()
        self._contacts = {**self._contacts, **news}
        return news

    def own_record(self, towards: str = "") -> AddressRecord:
        """The record of this node's own address, as seen from the host `towards`."""
        host, port = self._listens
        if _is_wildcard(host) and towards:
            host = _way_to(towards)
        return signed_record(self._book.cluster, self._book.own, (host, port), self._secret)

    def end(self) -> None:
        """Stop asking; the thread ends a moment later."""
        self._end.set()

    def close(self) -> None:
        """Stop asking, and wait for the end of the thread."""
        self.end()
        if self._thread is not None:
            self._thread.join(2 * ANSWER_MS / 1_000)

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            while not self._end.wait(PASS_SECONDS):
                if self._missing:
                    self._ask(context, self._whom())
        finally:
            context.destroy(linger=0)

    def _whom(self) -> dict[str, Address]:
        contacts = self._contacts
        others = [name for name in contacts if name != self._book.own and name not in self._named]
        secrets.SystemRandom().shuffle(others)
        return {**self._named, **{name: contacts[name] for name in others[:ASKED_AT_ONCE]}}

    def _ask(self, context: zmq.Context[zmq.Socket[bytes]], whom: Mapping[str, Address]) -> None:
        poller = zmq.Poller()
        sockets = []
        for name, (host, port) in whom.items():
            asking = context.socket(zmq.DEALER)
            tune(asking)
            asking.ipv6 = True
            try:
                asking.curve_serverkey = curve_public(self._book.keys[name])
                asking.curve_publickey, asking.curve_secretkey = self._curve.public, self._curve.secret
                asking.connect(endpoint_of(host, port))
            except (zmq.ZMQError, ValueError):  # an operator gave an address that cannot be dialled
                asking.close(0)
                continue
            text = encoded(self.own_record(host))
            cut = tuple(text[at : at + ARGUMENT] for at in range(0, len(text), ARGUMENT))
            asking.send(link_frame(Query(number=1, what=QUESTION, arguments=cut)))
            poller.register(asking, zmq.POLLIN)
            sockets.append(asking)
        until = time.monotonic() + ANSWER_MS / 1_000
        while sockets and not self._end.is_set() and time.monotonic() < until:
            for answered, _ in poller.poll(SLICE_MS):
                self._take(answered.recv_multipart()[-1])
                poller.unregister(answered)
                sockets.remove(answered)
                answered.close(0)
        for silent in sockets:
            silent.close(0)

    def _take(self, frame: bytes) -> None:
        """Learn the records in an answer; invalid ones are ignored."""
        try:
            envelope = canonical.decode(Envelope, frame)
            if envelope.kind != _ANSWER_KIND:
                return
            answer = canonical.decode(Answer, envelope.body)
            listed = msgspec.json.decode(answer.text, type=_Told).addresses if not answer.code else []
        except (canonical.CanonicalError, msgspec.MsgspecError, RecursionError):
            return
        for text in listed[: len(self._book.keys) + 1]:
            record = _parse(text)
            if record is not None:
                self._book.learn(record)


class _Told(msgspec.Struct):
    addresses: list[str]


def encoded(record: AddressRecord) -> str:
    """A record as base64 text."""
    return base64.b64encode(canonical.encode(record)).decode("ascii")


def _parse(text: str) -> AddressRecord | None:
    try:
        return canonical.decode(AddressRecord, base64.b64decode(text.encode("ascii"), validate=True))
    except (binascii.Error, UnicodeEncodeError, canonical.CanonicalError):
        return None


def _is_place(host: str) -> bool:
    """Whether a record's host is the IP address of one machine, which can be dialled at once. ZeroMQ would
    resolve a name itself, and a slow lookup stops every link; any other text is an error of the socket."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return not why_not_reached(host)


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _way_to(host: str) -> str:
    """The local address from which this machine reaches a host; nothing is sent to find it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except (OSError, UnicodeError):  # the latter for a name that is no DNS name
        return "127.0.0.1"
