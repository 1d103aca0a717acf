"""Where a node's ledger is looked for, and that none begins empty while another of its own exists."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from dtvn.ledger import FoundLedger, LedgerElsewhere, LedgerUnreachable, Location
from tests.ledger.samples import CLUSTER
from tests.support.table import table
from validators.database_url import same_database
from validators.ledger import find_ledger, open_ledger

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def make(place: Location) -> None:
    open_ledger(place, cluster_id=CLUSTER, alias="made").close()


def find(place: Location, *, own_url: str = "", platform_url: str = "") -> FoundLedger:
    schema = place.schema or "ledger_none"
    return find_ledger(place.folder, node="node0", schema=schema, own_url=own_url, platform_url=platform_url)


def test_a_new_node_begins_on_the_server_that_its_setting_names(postgres_place: Location) -> None:
    assert find(postgres_place, own_url=postgres_place.url) == FoundLedger(postgres_place)
    make(postgres_place)
    assert find(postgres_place, own_url=postgres_place.url, platform_url=NOWHERE).location == postgres_place


def test_a_ledger_in_the_platforms_database_stays_in_use_with_a_warning(postgres_place: Location) -> None:
    """The form before: `DATABASE_URL` moved the ledgers of all nodes there."""
    make(postgres_place)
    found = find(postgres_place, platform_url=postgres_place.url)
    assert found.location == postgres_place
    assert "manage.py move_ledger node0" in found.warning


def test_a_nodes_setting_that_names_the_platforms_database_is_warned_of(postgres_place: Location) -> None:
    """`storage.type: postgresql` without a URL, or a URL that is spelled in another way."""
    spelled = f"{postgres_place.url}?application_name=other"
    for url in (postgres_place.url, spelled):
        found = find(postgres_place, own_url=postgres_place.url, platform_url=url)
        assert "manage.py move_ledger node0" in found.warning
        make(postgres_place)
    server, _, _ = postgres_place.url.rpartition("/")
    found = find(postgres_place, own_url=postgres_place.url, platform_url=f"{server}/postgres")
    assert "node0 is on the platform's own server (DATABASE_URL): both fail together" in found.warning
    assert find(postgres_place, own_url=postgres_place.url, platform_url=NOWHERE).warning == ""


def test_no_ledger_begins_while_the_platforms_server_is_away(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreachable, match="PostgreSQL does not answer for schema ledger_none"):
        find(Location(tmp_path / "ledger"), platform_url=NOWHERE)


def test_no_ledger_begins_when_its_server_is_named_no_more(postgres_place: Location) -> None:
    make(postgres_place)
    with pytest.raises(LedgerElsewhere, match="node0 had a ledger"):
        find(postgres_place)
    with pytest.raises(LedgerElsewhere, match="node0 had a ledger"):
        find(postgres_place, platform_url=postgres_place.url.rpartition("/")[0] + "/postgres")


def test_no_ledger_begins_on_a_server_while_one_is_beside_the_node(postgres_place: Location) -> None:
    make(Location(postgres_place.folder))
    with pytest.raises(LedgerElsewhere, match="move_ledger node0 --to-server"):
        find(postgres_place, own_url=postgres_place.url)


@pytest.mark.parametrize("content", [b"", b"no database at all"])
def test_a_damaged_file_counts_as_a_ledger_but_an_empty_one_does_not(
    sqlite_place: Location, content: bytes
) -> None:
    sqlite_place.folder.mkdir()
    sqlite_place.database_file.write_bytes(content)
    if content:
        assert find(sqlite_place, platform_url=NOWHERE).location == sqlite_place
    else:
        assert find(sqlite_place) == FoundLedger(sqlite_place)


def test_members_on_one_server_are_found_by_schema_and_by_lock(
    postgres_place: Location, tmp_path: Path
) -> None:
    stopped = Location(tmp_path / "stopped", postgres_place.url, f"{postgres_place.schema}_stopped")
    make(stopped)
    server, _, _ = postgres_place.url.rpartition("/")
    elsewhere = Location(tmp_path / "elsewhere", f"{server}/postgres", f"{postgres_place.schema}_elsewhere")
    ledgers = [
        open_ledger(place, cluster_id=CLUSTER, alias=place.folder.name)
        for place in (elsewhere, postgres_place)
    ]
    try:
        others = [stopped.schema, elsewhere.schema, "ledger_nowhere"]
        assert ledgers[1].on_same_server(others) == {stopped.schema, elsewhere.schema}
    finally:
        for ledger in ledgers:
            ledger.close()
        with psycopg.connect(elsewhere.url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA {elsewhere.schema} CASCADE".encode())


@table(
    ("one", "other", "same"),
    [
        ("postgresql://localhost/d", "postgresql://u:p@127.0.0.1:5432/d", True),
        ("postgresql:///d", "postgresql://localhost/d", True),
        ("postgresql:///d?host=/srv/a", "postgresql:///d?host=/srv/b", False),
        ("postgresql://localhost/d", "postgresql://localhost/e", False),
        ("postgresql://localhost/d", "", False),
    ],
    count=5,
)
def test_the_names_of_this_host_are_one(one: str, other: str, same: bool) -> None:
    assert same_database(one, other) is same
