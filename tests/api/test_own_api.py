"""The platform asks a node on the node's own API, with the key that both were given."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.api.errors import Unavailable
from dtvn.api.helper.front import key_fits
from dtvn.node.kept_ports import rewrite_ports
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import ApiOptions
from validators import own_api


class Node(BaseHTTPRequestHandler):
    """Answers requests with the right key, by the rule of a node."""

    key = ""

    def do_GET(self) -> None:
        fits = key_fits(self.headers, self.key)  # type: ignore[arg-type]
        body = b'{"success":true,"data":{"node_id":"r0"}}'
        self.send_response(200 if fits else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Discards the request log."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Node)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("key", ["plain", "schlüssel", "ключ"])
def test_a_key_of_any_characters_opens_the_nodes_too(
    port: int, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Node, "key", key)
    monkeypatch.setenv("DTVN_API_KEY", key)
    monkeypatch.setattr(
        own_api, "kept_api", lambda _folder, given: ApiOptions(host="127.0.0.1", port=port, key=given)
    )
    told = own_api._ask(SimpleNamespace(id="r0"), "/api/v1/stats")  # type: ignore[arg-type]
    assert told == {"node_id": "r0"}


def test_a_node_whose_port_is_in_another_folder_is_not_called_silent(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    """A further web process may have a data folder of its own."""
    settings.DATA = tmp_path
    node = SimpleNamespace(id="r0", managed=object(), up=True, view=None)
    monkeypatch.setattr(own_api, "list_members", lambda: [node])
    for ask in (lambda: own_api.ask_api(node, "/"), lambda: own_api.ask_any_api("/")):  # type: ignore[arg-type]
        with pytest.raises(Unavailable, match="without the nodes' ports: ask the web process of make up"):
            ask()
    rewrite_ports(ClusterFolder(tmp_path).node("r0"), api=1)
    with pytest.raises(Unavailable, match="r0 does not answer on its own API"):
        own_api.ask_api(node, "/")  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="No node answers on its own API"):
        own_api.ask_any_api("/")
