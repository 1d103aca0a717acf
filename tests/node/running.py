"""A real one-member node whose loop turns in a thread of the test, so that a test can break its ledger."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dtvn.gateway import Answered, Gateway
from dtvn.machine import Barrier, build, reasons
from dtvn.net import read_seed
from dtvn.node.build import build_node
from dtvn.node.heart import Heart
from dtvn.node.layout import ClusterFolder
from dtvn.node.logs import node_logger
from dtvn.node.node import Node
from dtvn.node.options import NodeOptions
from dtvn.node.provision import create_demo_cluster
from dtvn.node.run import Loop
from tests.waiting import PATIENCE, wait_until
from validators.ledger import open_ledger


class Running:
    """A one-member cluster whose loop turns in a thread, so that a test can break its ledger."""

    def __init__(self, data: Path, *, options: NodeOptions | None = None, found: bool = True) -> None:
        """`found`: the cluster is made; False: it is that of an earlier life."""
        self.options = options or NodeOptions(bind=("127.0.0.1", 0))
        self.data = data
        if found:
            create_demo_cluster(data, nodes=1, host="127.0.0.1", ports=[1])
        self.folder = ClusterFolder(data)
        self.root = self.folder.node("node0").root
        self.beats: list[Mapping[str, Any]] = []
        self.heart = Heart(self.beats.append)
        self.code: int | None = None
        self.breaks: BaseException | None = None
        self.asked = threading.Event()
        self.node: Node
        self.loop: Loop
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def _live(self) -> None:
        logger = node_logger(self.root)
        self.node = build_node(self.root, logger, self.options, open_ledger)
        self._break_when_told(self.node)
        self._ready.set()
        self.loop = Loop(self.node, self.asked.is_set, self.heart)
        self.code = self.loop.run()
        with contextlib.suppress(Exception):
            self.node.close()
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()

    def _break_when_told(self, node: Node) -> None:
        real = node.ledger.append

        def append(records: Any, *, durable: bool = True) -> None:
            if self.breaks is not None:
                raise self.breaks
            real(records, durable=durable)

        node.ledger.append = append  # type: ignore[method-assign]
        node.ledger.takes_writes = lambda: self.breaks is None  # type: ignore[method-assign]

    def gateway(self) -> Gateway:
        host, port = self.node.transport.endpoint.removeprefix("tcp://").split(":")
        genesis = self.node.genesis
        return Gateway(
            genesis,
            read_seed(self.folder.gateway_key),
            principal="gateway",
            addresses={0: (host, int(port))},
        )

    def end(self) -> int | None:
        self.asked.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.code


def commits(gateway: Gateway, *, wait: float = 5.0) -> str:
    operation = build(Barrier(), actor="tester", entry="node0")
    [result] = gateway.submit([operation], wait=wait).result(wait + PATIENCE)
    return result.code


def is_sent_and_not_answered(gateway: Gateway) -> bool:
    """Send an operation to the node without waiting for its outcome."""

    def sent() -> str:
        found = commits(gateway, wait=0.5)
        return "" if found == reasons.UNAVAILABLE else found  # a machine that was too slow to send it

    return wait_until(sent, what="an operation is sent") == reasons.OUTCOME_UNKNOWN


def answer_of(gateway: Gateway, what: str, *arguments: str) -> Answered:
    """The node's answer, with a timeout that suits a slow machine."""
    return gateway.query(0, what, arguments, wait=PATIENCE).result(2 * PATIENCE)


def until_commits(gateway: Gateway) -> None:
    wait_until(lambda: commits(gateway, wait=1.0) == "ok", what="the node commits")
