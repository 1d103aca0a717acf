"""Where a node listens: at its address if that is this machine's, else everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from dtvn.net import bindable, ensure_seed
from dtvn.node.layout import NodeFolder
from dtvn.node.moved import keep_address, moved_to
from dtvn.node.options import StartError
from tests.founding.parties import NOWHERE
from tests.support.table import table


@table(
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
    count=7,
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


@pytest.mark.parametrize("host", NOWHERE)
def test_a_node_does_not_move_to_where_nobody_reaches_it(tmp_path: Path, host: str) -> None:
    folder = NodeFolder(tmp_path / "nodes" / "venue")
    folder.create()
    ensure_seed(folder.key)
    place = ("--data-dir", tmp_path, "--id", "venue", "--host", host, "--port", 5001)
    with pytest.raises(CommandError, match=f"{re.escape(host)} is "):
        call_command("members", "moved", *(str(each) for each in place))
    assert moved_to(folder) is None
