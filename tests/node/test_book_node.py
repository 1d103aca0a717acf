"""A node that is no member and keeps addresses only: whom it answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from nacl import bindings

from dtvn.files.whole import write_private
from dtvn.net import encode_seed, public_key_of
from dtvn.node.book_node import BookNode
from dtvn.node.discovery import Discovery
from dtvn.node.keys import dev_seed
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import NodeOptions, StartError
from dtvn.node.own_record import OwnRecord
from dtvn.node.provision import dev_genesis
from dtvn.overlay.book import AddressBook
from dtvn.overlay.conduct import BURST
from dtvn.overlay.messages import Closest, Join, Records, Rumour, decode, encode
from dtvn.overlay.overlay import Settings
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.effects import Now, Reason
from tests.waiting import wait_until

GENESIS = dev_genesis(4, "127.0.0.1", lambda index: 1 + index, "dtvn-validator-key-v1", g.Parameters())
CLUSTER = g.cluster_id(GENESIS)
KEYS = {member.id: member.public_key for member in GENESIS.members}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    node = ClusterFolder(tmp_path).node("book")
    tmp_path.mkdir(exist_ok=True)
    node.create()
    write_private(node.genesis, g.encode(GENESIS))
    write_private(node.key, encode_seed(dev_seed("book")))
    return node.root


@pytest.fixture
def book(folder: Path) -> Iterator[BookNode]:
    options = NodeOptions(bind=("127.0.0.1", 0), is_book=True, overlay=Settings("book"))
    made = BookNode(folder, options, logging.getLogger("test"))
    yield made
    made.close()


def party(name: str, port: int, book: BookNode) -> Discovery:
    """One that knows only the book."""
    own, secret = bindings.crypto_sign_seed_keypair(dev_seed(name))
    keys = {**KEYS, name: own}
    known = AddressBook(CLUSTER, own, admits=frozenset(keys.values()).__contains__, members=KEYS.values())
    made = Discovery(known, OwnRecord(CLUSTER, secret, name, "member"), keys, seed=dev_seed(name))
    made.begin(("127.0.0.1", port), {}, (), {public_key_of(dev_seed("book")): book.links.address})
    return made


def now() -> Now:
    return Now(time.monotonic_ns(), time.time_ns())


def test_members_that_know_only_it_find_each_other_and_strangers_nobody(book: BookNode) -> None:
    first, second, stranger = (
        party(name, 5000 + at, book) for at, name in enumerate(("node0", "node1", "mallory"))
    )

    def turn() -> bool:
        for each in (first, second, stranger):
            each.look((), now())
            each.turn(now())
        book.turn()
        return KEYS["node1"] in first.book and KEYS["node0"] in second.book

    try:
        wait_until(turn, what="that both are known")
        until = time.monotonic() + 2
        while time.monotonic() < until:
            turn()
        assert len(stranger.book) == 0
        assert book.records == 2
        assert book.links.strangers > 0
    finally:
        for each in (first, second, stranger):
            each.close()


def test_it_says_nothing_of_itself_and_ignores_what_is_not_the_overlays(book: BookNode) -> None:
    assert book.overlay.record.item() is None
    book.turn()
    assert book.records == 0


def test_a_visitor_may_only_say_where_it_is_and_ask(book: BookNode) -> None:
    """One that is linked may do more; forged records and everything else count against it."""
    key, secret = KEYS["node0"], bindings.crypto_sign_seed_keypair(dev_seed("node0"))[1]
    overlay = book.overlay.overlay
    told = OwnRecord(CLUSTER, secret, "node0", "member")
    told.listens(("10.0.0.1", 4001))
    record = told.item()
    assert record is not None
    assert overlay.visit(key, encode(Rumour(0, (record,))), now()) == (None, None)
    refused, answer = overlay.visit(key, encode(Closest(7, bytes(32))), now())
    assert refused is None
    assert answer is not None
    assert decode(answer) == Records(7, (record,))
    forged = msgspec.structs.replace(record, version=record.version + 1)
    for body, reason in (
        (encode(Rumour(0, (forged,))), Reason.BAD_SIGNATURE),
        (encode(Join(record)), Reason.NOT_ASKED),
        (b"\xff", Reason.MALFORMED),
    ):
        assert overlay.visit(key, body, now()) == (reason, None)
    flood = [overlay.visit(key, encode(Closest(1, bytes(32))), now())[0] for _ in range(2 * BURST)]
    assert flood.count(Reason.BUSY) > BURST // 2


def test_a_port_in_use_is_said_in_one_sentence(book: BookNode, folder: Path) -> None:
    options = NodeOptions(bind=book.links.address, is_book=True, overlay=Settings("book"))
    with pytest.raises(StartError, match="Cannot listen on 127"):
        BookNode(folder, options, logging.getLogger("test"))
