"""Members find each other by one address, whose owner may end: with real processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration import servers
from tests.integration.contract_nodes import NODES, Node, dev_peer_id
from tests.ports import free_ports
from tests.waiting import wait_until

pytestmark = pytest.mark.ci


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Node]]:
    """Four members with ports of their own that nobody else knows, not started; a test may add others."""
    with servers.place(broker=False) as place:
        made = [Node(tmp_path / str(k), name=f"node{k}", total=NODES) for k in range(NODES)]
        for node in made:
            node.settings = dict(place)
        try:
            yield made
        finally:
            for node in made:
                node.end()


def know(nodes: Sequence[Node], bootstrap: Node) -> None:
    for node in nodes:
        node.flags += ["-bootstrap", bootstrap.multiaddr]


def wait_linked(nodes: Sequence[Node]) -> None:
    for node in nodes:
        node.wait_healthy()
    for node in nodes:
        wait_until(
            lambda node=node: node.stats()["peer_count"] == len(nodes) - 1,
            what=lambda node=node: f"{len(nodes) - 1} peers of {node.name}\n{node.said()}",
            pause=0.1,
        )


def move(node: Node) -> None:
    """A member is started again on another port."""
    node.stop()
    node.port = free_ports(1)[0]
    node.launch()


def test_who_knows_one_member_that_ends_later_still_finds_all_and_is_found(nodes: list[Node]) -> None:
    """node3 knows only node0, which is killed; then node3 moves, and knows only node1; later node1 ends too,
    and node2 moves, and knows only node3."""
    know(nodes[1:], nodes[0])
    for node in nodes:
        node.launch()
    wait_linked(nodes)
    nodes[0].stop(signal.SIGKILL)
    nodes[3].flags = ["-total-nodes", str(NODES), "-bootstrap", nodes[1].multiaddr]
    move(nodes[3])
    wait_linked(nodes[1:])
    nodes[1].seeded()
    nodes[3].done("validate", "TICKET-001")
    nodes[1].stop(signal.SIGKILL)
    nodes[2].flags = ["-total-nodes", str(NODES), "-bootstrap", nodes[3].multiaddr]
    move(nodes[2])
    wait_linked(nodes[2:])


def test_a_node_that_is_no_member_introduces_members_and_may_end(nodes: list[Node], tmp_path: Path) -> None:
    """All four know only the book, which has no API and no ledger. It ends, and a member that moves is found
    by the others all the same."""
    book = Node(tmp_path / "book", name="book", total=NODES, flags=["-bootstrap-node"])
    nodes.append(book)
    book.launch()
    wait_until(lambda: "keeps_addresses" in book.said(), what=lambda: f"the book listens\n{book.said()}")
    members = nodes[:NODES]
    know(members, book)
    for node in members:
        node.launch()
    wait_linked(members)
    members[0].wait_deciding()
    folder = tmp_path / "book" / "nodes" / "book"
    assert not list((folder / "ledger").glob("*"))
    assert book.stop() == 0
    assert "records=4" in book.said()
    members[3].flags += ["-bootstrap", members[0].multiaddr]
    move(members[3])
    wait_linked(members)


def test_a_book_that_is_down_only_delays_the_start(nodes: list[Node], tmp_path: Path) -> None:
    book = Node(tmp_path / "book", name="book", total=NODES, flags=["-bootstrap-node"])
    nodes.append(book)
    know(nodes[:2], book)
    for node in nodes[:2]:
        node.launch()
        node.wait_healthy()
        assert node.stats()["peer_count"] == 0
        assert f"{dev_peer_id('book')} is not a member of this cluster: only asked" in node.said()
    book.launch()
    wait_linked(nodes[:2])


def test_the_flag_of_a_member_only_says_that_it_serves_the_book_too(nodes: list[Node]) -> None:
    """Go's commands start node0 as a validator with it."""
    nodes[0].flags += ["-bootstrap-node", "-primary"]
    know(nodes[1:], nodes[0])
    for node in nodes:
        node.launch()
    wait_linked(nodes)
    nodes[0].seeded()
