"""Headers by which a client would choose the path of the pages, and handshakes with bodies. On daphne, over a
socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runs.served import Client, serving

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with serving(monkeypatch) as port:
        yield port


def answered(port: int, target: str, *fields: str) -> tuple[int, str]:
    """Status, and headers and content as text."""
    client = Client(port, "", target, method="GET", body="", more=("Connection: close", *fields))
    status, headers = client.head()
    content = client.left().decode()
    client.leaves()
    return status, f"{headers} {content}"


@pytest.mark.parametrize("name", ["Daphne-Root-Path", "daphne-root-path", "Daphne_Root_Path", "Script-Name"])
def test_a_client_chooses_no_path_below_which_pages_are(port: int, name: str) -> None:
    """The form of the key named another host, and `/x/api/v1/...` passed a proxy's rules for `/api/`."""
    for target, status in (("/admin/login/", 200), ("/admin/", 302)):
        found, answer = answered(port, target, f"{name}: //evil.example")
        assert (found, "evil.example" in answer) == (status, False)
    assert answered(port, "/live")[0] == 200
    assert answered(port, "/x/live", f"{name}: /x")[0] == 404


def test_a_handshake_with_a_body_is_refused(port: int) -> None:
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    client = Client(port, "", "/ws", method="GET", body="Content-Length: 6", more=(*upgrade, key))
    client.says(b"\x81\x80aaaa")
    assert client.head()[0] == 400
    client.leaves()
