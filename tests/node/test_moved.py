"""Where a node listens: at its address if that is this machine's, else everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtvn.net import bindable
from dtvn.node.layout import NodeFolder
from dtvn.node.moved import keep_address, moved_to
from dtvn.node.options import StartError


@pytest.mark.parametrize(
    ("host", "listens"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.7", "127.0.0.7"),
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),  # noqa: S104
        ("203.0.113.7", "0.0.0.0"),  # noqa: S104 - behind NAT
        ("2001:db8::7", "::"),
        ("seller.example", "0.0.0.0"),  # noqa: S104 - need not resolve on its own host
    ],
)
def test_a_node_listens_where_others_reach_it(host: str, listens: str) -> None:
    assert bindable(host) == listens


def test_a_moved_node_keeps_its_address(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path / "nodes" / "venue")
    folder.create()
    assert moved_to(folder) is None
    keep_address(folder, "venue.example", 5001, "12D3KooW")
    assert moved_to(folder) == ("venue.example", 5001)
    folder.address.write_text("elsewhere")
    with pytest.raises(StartError, match="address cannot be read"):
        moved_to(folder)
