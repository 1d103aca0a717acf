"""`manage.py follow`: what cannot work is refused before a key is made, and options are kept."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from dtvn.net import format_multiaddr, public_key_of
from dtvn.node.following import following_in, keep_following
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from validators.management import following

PEER = format_multiaddr("127.0.0.1", 9, peer_id(public_key_of(bytes(range(32)))))
UNSET = dict.fromkeys(("start", "name", "listen", "via", "writes_at", "host", "port", "no_pages", "cluster"))


def told(**options: Any) -> dict[str, Any]:
    return UNSET | {"start": PEER, "cluster": ""} | options


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"name": "bad name!"}, "--name bad name!"),
        ({"listen": "0.0.0.0:10100"}, "--listen 0.0.0.0:10100"),
        ({"listen": "[::]:10100"}, r"--listen \[::\]:10100"),
        ({"port": "99999"}, "--port 99999"),
        ({"port": "web"}, "--port web"),
        ({"cluster": "not hex"}, "--cluster not hex"),
        ({"listen": "127.0.0.1:10100", "via": PEER}, "--listen and --via"),
    ],
)
def test_what_cannot_work_is_refused_before_a_key_is_made(
    tmp_path: Path, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(CommandError, match=named):
        following.run(tmp_path, told(**options))
    assert not ClusterFolder(tmp_path).follower_key.exists()


def test_a_port_in_use_is_refused_before_a_key_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(CommandError, match=f"--port {port}: Address already in use"):
            following.run(tmp_path, told(port=port))
        assert not ClusterFolder(tmp_path).follower_key.exists()


def test_options_are_kept_for_the_next_start(tmp_path: Path) -> None:
    given = {
        "name": "gate-7",
        "host": "127.0.0.2",
        "port": "8099",
        "no_pages": True,
        "writes_at": "https://x",
    }
    first = following._Follow(tmp_path, told(**given))._following()
    ClusterFolder(tmp_path).create()
    keep_following(tmp_path, first)
    assert following_in(tmp_path) == first
    later = following._Follow(tmp_path, UNSET | {"cluster": ""})._following()
    assert {name: getattr(later, name) for name in given} == given
    again = following._Follow(tmp_path, UNSET | {"cluster": "", "no_pages": False})._following()
    assert not again.no_pages
    assert again.port == "8099"


@pytest.mark.parametrize(
    ("then", "kept"),
    [
        ({"via": PEER}, ("", PEER)),
        ({"listen": "127.0.0.1:10101"}, ("127.0.0.1:10101", "")),
        ({"listen": ""}, ("", "")),
        ({}, ("127.0.0.1:10100", "")),
    ],
)
def test_the_way_in_which_others_reach_it_is_one(
    tmp_path: Path, then: dict[str, Any], kept: tuple[str, str]
) -> None:
    first = following._Follow(tmp_path, told(listen="127.0.0.1:10100"))._following()
    ClusterFolder(tmp_path).create()
    keep_following(tmp_path, first)
    found = following._Follow(tmp_path, told(**then))._following()
    assert (found.listen, found.via) == kept
