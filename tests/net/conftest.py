"""Scripted sockets for the stories of links."""

from __future__ import annotations

import pytest

from tests.net.linking import MEMBERS
from tests.net.wires import Wires


@pytest.fixture
def wires(monkeypatch: pytest.MonkeyPatch) -> Wires:
    made = Wires(monkeypatch)
    made.know(*MEMBERS, "node0 again", "gateway", "relay", "child", "another")
    return made
