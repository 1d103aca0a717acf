"""Members learn addresses from any member: what an address book believes, and what it does not."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
import zmq
from nacl import bindings

from dtvn.net import curve_keys, public_key_of
from dtvn.node.discovery import AddressBook, AddressRecord, Discovery, encoded, signed_record
from dtvn.node.keys import dev_seed
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Answer, Query
from dtvn.protocol.wire import ED25519, link_frame
from dtvn.protocol.wire.envelope import Envelope
from tests.founding.parties import NOWHERE
from tests.waiting import PATIENCE, wait_until

CLUSTER = b"c" * 32
NAMES = ("node0", "node1", "node2")
KEYS = {name: public_key_of(dev_seed(name)) for name in NAMES}


def secret(name: str) -> bytes:
    return bindings.crypto_sign_seed_keypair(dev_seed(name))[1]


def record(
    name: str = "node1", port: int = 5001, *, signer: str = "", cluster: bytes = CLUSTER
) -> AddressRecord:
    return signed_record(cluster, name, ("127.0.0.1", port), secret(signer or name))


def said(**changes: Any) -> AddressRecord:
    """What node1 itself signs with these changes, so that only its content is wrong."""
    changed = msgspec.structs.replace(record(), **changes)
    content = canonical.encode((changed.member, changed.host, changed.port, changed.timestamp))
    digest = canonical.tagged_digest("dtvn/v1/address", CLUSTER, content)
    return msgspec.structs.replace(changed, signature=ED25519.sign(secret("node1"), digest))


@pytest.fixture
def book() -> AddressBook:
    return AddressBook(CLUSTER, KEYS, "node0")


def test_a_member_announces_its_address_and_the_newest_record_counts(book: AddressBook) -> None:
    older, newer = record(port=5001), record(port=5002)
    assert newer.timestamp > older.timestamp
    assert book.learn(older)
    assert book.take_news() == {"node1": ("127.0.0.1", 5001)}
    assert book.learn(newer)
    assert not book.learn(older)
    assert not book.learn(newer), "known"
    assert book.take_news() == {"node1": ("127.0.0.1", 5002)}
    assert book.take_news() == {}


@pytest.mark.parametrize(
    "false",
    [
        record(signer="node2"),
        record(cluster=b"d" * 32),
        record("node0"),
        record("stranger"),
        msgspec.structs.replace(record(), port=6000),
        said(port=0),
        said(port=65_536),
        said(host="evil.example"),
        said(host="h" * 300),
        said(timestamp=time.time_ns() // 1_000 + 3_600_000_000),
        said(timestamp=-1),
        msgspec.structs.replace(record(), signature=b""),
    ],
    ids=[
        "another's key",
        "another cluster",
        "oneself",
        "stranger",
        "port",
        "no port",
        "port too high",
        "host",
        "long",
        "future",
        "before 1970",
        "none",
    ],
)
def test_a_false_record_does_not_change_the_address_of_a_member(
    book: AddressBook, false: AddressRecord
) -> None:
    assert not book.learn(false)
    assert book.take_news() == {}


NO_PLACE = (
    *("", "a b", "_x", "é", "*", "x/y", "a@b", "x\0y", "1.2.3.4.5", "::1%eth9", "[::1]", "eth0;1.1.1.1"),
    *("slow.example", "localhost", "h" * 300, *NOWHERE),
)


@pytest.mark.parametrize("host", NO_PLACE)
def test_a_liars_own_record_with_a_harmful_host_is_not_learned(book: AddressBook, host: str) -> None:
    """One signed record with the host "a b" ended every node that learned it; a name is resolved in ZeroMQ's
    one thread."""
    lie = signed_record(CLUSTER, "node1", (host, 5001), secret("node1"))
    assert not book.learn(lie)
    code, told = book.answer((encoded(lie)[:200], encoded(lie)[200:]), record("node0", 5000))
    assert (code, len(told["addresses"]), book.take_news()) == ("", 1, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "::1", "2001:db8::7"])
def test_a_record_with_an_address_is_believed(book: AddressBook, host: str) -> None:
    assert book.learn(signed_record(CLUSTER, "node1", (host, 5001), secret("node1")))
    assert book.take_news() == {"node1": (host, 5001)}


def test_an_operators_undialable_address_does_not_end_the_search() -> None:
    """The thread that asks ended for good at the first such contact."""
    answering, context = AddressBook(CLUSTER, KEYS, "node2"), zmq.Context()
    asked = context.socket(zmq.ROUTER)
    keys = curve_keys(dev_seed("node2"))
    asked.curve_server, asked.curve_publickey, asked.curve_secretkey = 1, keys.public, keys.secret
    port = asked.bind_to_random_port("tcp://127.0.0.1")
    asking = Discovery(AddressBook(CLUSTER, KEYS, "node0"), seed=dev_seed("node0"))
    contacts = {"node1": ("a b", 70), "node2": ("127.0.0.1", port)}
    asking.begin(("127.0.0.1", 5000), contacts, ("node1", "node2"))
    try:
        asking.look(())
        assert asked.poll(int(PATIENCE * 1_000)), "nobody asks"
        query = canonical.decode(Query, canonical.decode(Envelope, asked.recv_multipart()[-1]).body)
        assert answering.answer(query.arguments, record("node2", port))[0] == ""
    finally:
        asking.close()
        context.destroy(linger=0)


def test_a_hostile_answer_or_name_does_not_end_the_search(book: AddressBook) -> None:
    asking = Discovery(book, seed=dev_seed("node0"))
    nested = Answer(1, "", '{"x":' + "[" * 100_000)
    asking._take(link_frame(nested))
    asking.begin(("::", 5000), {}, ())
    try:
        assert asking.own_record("a." * 40 + "b" * 64).host == "127.0.0.1"
    finally:
        asking.close()


def test_malformed_records_are_refused(book: AddressBook) -> None:
    for arguments in ((), ("",), ("%%%",), ("AAAA",), ("ä",)):
        assert book.answer(arguments, record("node0")) == ("bad_arguments", None)


def test_a_member_asked_for_addresses_learns_the_askers_and_returns_all(book: AddressBook) -> None:
    book.learn(record("node2", 5002))
    other = AddressBook(CLUSTER, KEYS, "node1")
    asking = Discovery(other, seed=dev_seed("node1"))
    asking.begin(("::", 5001), {}, ())
    try:
        own = asking.own_record("127.0.0.1")
        assert (own.host, own.port) == ("127.0.0.1", 5001), "a wildcard is no address"
        code, told = book.answer(_arguments(own), record("node0", 5000))
        assert code == ""
        assert len(told["addresses"]) == 3
        assert book.take_news() == {"node2": ("127.0.0.1", 5002), "node1": ("127.0.0.1", 5001)}
        wait_until(lambda: asking.look(NAMES) == {}, what="nothing learned, as nobody was there to ask")
    finally:
        asking.close()


def _arguments(own: AddressRecord) -> tuple[str, ...]:
    text = encoded(own)
    return text[:100], text[100:]
