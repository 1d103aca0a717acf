"""Every founder is replaced, and the cluster still takes in newcomers: genesis names no member any more (R28,
R36)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.network import network
from tests.integration.test_members import Town

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1_200),
    pytest.mark.embedded_only,
    pytest.mark.exhaustive,
]
"""Embedded only: whom a newcomer asks has nothing to do with the place of its ledger."""


def test_r36_a_newcomer_joins_when_no_founder_is_left(tmp_path: Path) -> None:
    with network(tmp_path / "data") as net:
        net.start()
        with Town(net) as town, town.client:
            for old, new in (("node0", "node4"), ("node1", "node5"), ("node2", "node6"), ("node3", "node7")):
                assert town.change("POST", "members", {"node_id": new, "replaces": old})["code"] == "ok"
            assert town.ids() == ["node4", "node5", "node6", "node7"]
            # The one that joined first gets a new key: no member keeps a key that genesis names.
            assert town.change("POST", "members/node4/rotate")["code"] == "ok"
            assert town.change("POST", "members", {"node_id": "node8"})["code"] == "ok"
            town.scanned_more()
            assert town.ids() == ["node4", "node5", "node6", "node7", "node8"]
        assert town.codes == {(200, "ok")}
