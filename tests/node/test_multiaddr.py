"""Multiaddrs are formatted and parsed, and invalid ones refused in one sentence."""

from __future__ import annotations

import pytest

from dtvn.net import format_multiaddr, parse_multiaddr
from tests.support.table import table


@pytest.mark.parametrize(
    ("host", "protocol"), [("127.0.0.1", "ip4"), ("::1", "ip6"), ("node0.example.org", "dns")]
)
def test_a_formatted_multiaddr_is_parsed_to_the_same_value(host: str, protocol: str) -> None:
    text = format_multiaddr(host, 4001, "12D3KooWpeer")
    assert text == f"/{protocol}/{host}/tcp/4001/p2p/12D3KooWpeer"
    assert parse_multiaddr(f" {text} ") == (host, 4001, "12D3KooWpeer")


def test_the_peer_id_may_be_absent() -> None:
    assert parse_multiaddr("/ip4/10.0.0.1/tcp/1") == ("10.0.0.1", 1, "")


@table(
    "text",
    [
        "",
        "127.0.0.1:4001",
        "/ip4/127.0.0.1/udp/4001",
        "/ip4/127.0.0.1/tcp/0",
        "/ip4/127.0.0.1/tcp/65536",
        "/ip4/127.0.0.1/tcp/４００１",
        "/ip4/999.0.0.1/tcp/1",
        "/ip6/127.0.0.1/tcp/1",
        "/unix/x/tcp/1",
        "/dns//tcp/1",
        "/ip4/127.0.0.1/tcp/1/p2p",
        "/ip4/127.0.0.1/tcp/1/quic/x",
    ],
    count=12,
)
def test_any_other_multiaddr_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse_multiaddr(text)
