"""`manage.py move_ledger`: where it refuses to move a ledger, and how it finishes an interrupted move."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from dtvn.ledger import Location
from dtvn.node.layout import ClusterFolder
from tests.integration import servers
from tests.proof.continuing import keep, old_log
from validators.ledger import move
from validators.ledger.find import holds_ledger


@pytest.fixture
def data(tmp_path: Path) -> ClusterFolder:
    """A data folder with one node, r0, whose ledger is beside it."""
    keep(old_log(12), tmp_path / "data", stable=10)
    return ClusterFolder(tmp_path / "data")


@pytest.fixture
def url(server_url: str) -> Iterator[str]:
    """A database of this test alone: the schema's name is the same in each."""
    assert server_url, "a server answers"
    with servers.database() as made:
        yield made


def moved(data: ClusterFolder, *flags: str) -> str:
    """What the command printed; CommandError passes."""
    out = io.StringIO()
    call_command("move_ledger", "r0", *flags, data_dir=data.root, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_a_move_into_the_platforms_database_must_be_told_so(
    data: ClusterFolder, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    other_name = url.replace("@127.0.0.1", "@localhost")
    assert other_name != url
    monkeypatch.setenv("DTVN_STORAGE_URL", f"{other_name}?application_name=ledger")
    with pytest.raises(CommandError, match="DTVN_STORAGE_URL names the platform's own database"):
        moved(data, "--to-server")
    assert holds_ledger(Location(data.node("r0").ledger))
    assert "rows moved" in moved(data, "--to-server", "--into-platforms-database")


def test_a_move_to_another_database_of_the_platforms_server_warns(
    data: ClusterFolder, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _, _ = url.rpartition("/")
    monkeypatch.setenv("DATABASE_URL", f"{server}/postgres")
    monkeypatch.setenv("DTVN_STORAGE_URL", url)
    said = moved(data, "--to-server")
    assert "rows moved" in said
    assert "is on the platform's own server (DATABASE_URL): both fail together with it" in said


def test_a_move_to_a_server_interrupted_at_its_end_is_finished(
    data: ClusterFolder, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("DTVN_STORAGE_URL", url)
    beside = Location(data.node("r0").ledger)
    with monkeypatch.context() as patched:
        patched.setattr(move, "_drop", interrupted)
        with pytest.raises(KeyboardInterrupt):
            moved(data, "--to-server")
    assert data.node("r0").ledger_url.exists()
    assert holds_ledger(beside)
    assert f"what was left in {beside.name} is dropped" in moved(data, "--to-server")
    assert not holds_ledger(beside)
