"""An auditor reads ledgers of both databases while their owner writes them (P22)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dtvn.ledger import Location
from dtvn.protocol.consensus.effects import SlotRecord
from tests.ledger.samples import CLUSTER
from validators.ledger import Ledger
from validators.ledger.archive import ArchiveError, open_archives


def address(place: Location) -> str:
    if not place.url:
        return str(place.folder)
    return f"{place.url}{'&' if urlsplit(place.url).query else '?'}schema={place.schema}"


def test_p22_a_ledger_is_read_while_its_node_writes_it(ledger: Ledger, place: Location) -> None:
    ledger.append([SlotRecord(0, 0, 1, "prepare", (b"one", b"two"))])
    (archive,) = open_archives(address(place), CLUSTER)
    assert list(archive.frames()) == [b"one", b"two"]
    assert archive.entry_hashes() == {}
    ledger.append([SlotRecord(0, 0, 2, "prepare", (b"three",))])
    assert list(archive.frames()) == [b"one", b"two", b"three"]
    assert "@" not in archive.name


def test_a_ledger_of_another_cluster_or_none_is_reported(
    ledger: Ledger, place: Location, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match="another cluster"):
        open_archives(address(place), bytes(32))
    with pytest.raises(ArchiveError, match="does not exist"):
        open_archives(str(tmp_path / "nothing"), CLUSTER)


def test_every_ledger_of_a_cluster_in_a_database_is_found(postgres_place: Location, server_url: str) -> None:
    with pytest.raises(ArchiveError, match="holds no ledger of the cluster"):
        open_archives(server_url, CLUSTER)
    with pytest.raises(ArchiveError, match="not the schema of a ledger"):
        open_archives(f"{server_url}?schema=a;b", CLUSTER)
    with pytest.raises(ArchiveError, match="cannot be read"):
        open_archives(f"{server_url}?schema=nobody_s", CLUSTER)
    with pytest.raises(ArchiveError, match="cannot be read"):
        open_archives("postgresql://nobody:secret@127.0.0.1:1/none", CLUSTER)
    assert postgres_place.url
