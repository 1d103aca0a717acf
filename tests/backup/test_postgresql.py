"""Back up and restore of what lies on a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dtvn.files.whole import write_private
from dtvn.node.layout import ClusterFolder
from dtvn.protocol import genesis as g
from tests.integration import servers
from tests.needed import lacking
from tests.proof.continuing import old_log
from validators.backup.copying import back_up
from validators.backup.forms import BackupError
from validators.backup.restoring import RestoreRequest, check, restore
from validators.backup.sources import Source
from validators.ledger import open_ledger


@pytest.fixture(autouse=True)
def _ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def old_url() -> Iterator[str]:
    try:
        psycopg.connect(f"{servers.POSTGRESQL}/postgres", connect_timeout=10).close()
    except psycopg.OperationalError as error:
        lacking(f"no PostgreSQL answers at {servers.POSTGRESQL}: {str(error).splitlines()[0]}")
    with servers.database() as url:
        yield url


def test_database_and_ledger_on_a_server_come_back_without_a_vote(old_url: str, tmp_path: Path) -> None:
    log = old_log(12)
    folder = ClusterFolder(tmp_path / "old")
    folder.create()
    folder.node("r0").create()
    write_private(folder.genesis, g.encode(log.genesis))
    write_private(folder.node("r0").genesis, g.encode(log.genesis))
    old = Source(folder.root, old_url)
    ledger = open_ledger(old.ledger(log.genesis, "r0"), cluster_id=log.cluster, alias="old")
    ledger.load()
    ledger.append([step.record(()) for step in log.steps])
    ledger.close()
    with psycopg.connect(old_url) as server:
        server.execute("CREATE TABLE public.django_migrations (app text, name text)")
        server.execute("INSERT INTO public.django_migrations VALUES ('validators', '0001_initial')")
    manifest = back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    assert [(each.kind, each.executed) for each in manifest.ledgers] == [("postgresql", 12)]
    with pytest.raises(BackupError, match="name an empty database"):
        restore(out, check(out), Source(tmp_path / "new", old_url), RestoreRequest())
    assert not (tmp_path / "new").exists()
    with servers.database() as new_url:
        new = Source(tmp_path / "new", new_url)
        assert restore(out, check(out), new, RestoreRequest()) == ["r0"]
        with psycopg.connect(new_url) as server:
            found = server.execute("SELECT app, name FROM public.django_migrations").fetchall()
        assert found == [("validators", "0001_initial")]
        place = new.ledger(log.genesis, "r0")
        again = open_ledger(place, cluster_id=log.cluster, alias="new", expect_existing=True)
        assert not again.voting
        assert again.load().frontier.size == 12
        again.close()
