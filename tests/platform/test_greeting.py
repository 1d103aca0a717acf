"""What `make up` says of where the platform is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.table import table
from validators.data_folder.folder import DataFolder
from validators.processes.supervisor import greeting, public_url

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound


@table(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        (EVERYWHERE, "http://127.0.0.1:8000"),
        ("::", "http://127.0.0.1:8000"),
        ("2001:db8::1", "http://[2001:db8::1]:8000"),
        ("tickets.example", "http://tickets.example:8000"),
    ],
    count=5,
)
def test_the_url_leads_there_from_this_machine(host: str, url: str) -> None:
    assert public_url(host, 8000) == url


@pytest.mark.parametrize(
    ("host", "warned"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), (EVERYWHERE, True), ("192.0.2.1", True)],
)
def test_a_host_that_others_can_reach_is_warned_of(host: str, warned: bool, tmp_path: Path) -> None:
    lines = greeting("http://x:1", host, DataFolder(tmp_path), "/api/v1/nodes")
    assert lines[0] == "ready: http://x:1"
    assert lines[1] == f"user name, password and API key: {tmp_path / 'credentials.json'}"
    assert lines[2].endswith("http://x:1/api/v1/nodes")
    said = f"HOST={host}: anyone who can reach this machine can reach the pages, the API and the admin"
    assert lines[3:] == [said] * warned
