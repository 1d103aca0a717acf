"""A backup under load of a platform on PostgreSQL, and the platform that comes back from it."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from tests.integration.network import Network, manage, network
from tests.integration.postgresql import postgresql
from tests.integration.test_backup import backed_up_under_load
from tests.waiting import wait_until
from validators.backup.restoring import check

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(900)]

PERSON = {"DJANGO_SUPERUSER_PASSWORD": "of the night", "DJANGO_SUPERUSER_EMAIL": "night@example.org"}


def people(url: str) -> list[tuple[str, str]]:
    """Users and their hashed passwords in a platform's database."""
    with psycopg.connect(url) as database:
        return database.execute("SELECT username, password FROM auth_user ORDER BY username").fetchall()


def log_of(place: Path, data: str, url: str) -> int:
    """The sequence up to which the learner's copy in that database agrees with the members' signatures."""
    said = manage(place, "verify_learner", "--data-dir", data, DATABASE_URL=url)
    found = re.search(r"(\d+)", said)
    assert found, said
    return int(found[1])


@pytest.mark.exhaustive
def test_a_platform_on_postgresql_comes_back_from_a_backup_under_load(tmp_path: Path) -> None:
    out = tmp_path / "night.tar.gz"
    with postgresql() as server:
        lost, beside, found = (server.database(name) for name in ("lost", "beside", "found"))
        with network(tmp_path / "data", environment={"DATABASE_URL": lost}) as running:
            running.start()
            manage(tmp_path, "createsuperuser", "--noinput", "--username=night", DATABASE_URL=lost, **PERSON)
            key = running.credentials["api_key"]
            admitted = backed_up_under_load(running, out, DATABASE_URL=lost)
            before = people(lost)
        executed = {copy.name: copy.executed for copy in check(out).ledgers}
        assert set(executed) == {"node0", "node1", "node2", "node3", "learner"}
        manage(tmp_path, "restore", out.name, "--data-dir", "beside", DATABASE_URL=beside)
        assert people(beside) == before
        copied = log_of(tmp_path, "beside", beside)
        assert 0 < copied <= executed["learner"], "its rows may be 100 ms behind its log (R9)"

        (tmp_path / "data" / "platform").rename(tmp_path / "away")
        manage(tmp_path, "restore", out.name, "--data-dir", "data", "--platform", DATABASE_URL=found)
        assert people(found) == before
        with network(tmp_path / "data", environment={"DATABASE_URL": found}) as again:
            again.start()
            assert again.credentials["api_key"] == key
            nobody_is_admitted_again(again, admitted)
        assert log_of(tmp_path, "data", found) > copied


def nobody_is_admitted_again(again: Network, admitted: list[str]) -> None:
    """By the cluster; and the platform's own copy shows each as consumed, once it has the log again."""
    with again.client() as client:
        for ticket in admitted:
            answer = client.post("/api/v1/tickets/admit", json={"ticket_id": ticket})
            assert (answer.status_code, answer.json()["code"]) == (409, "already_consumed"), ticket

        def shown() -> bool:
            answers = [client.get(f"/api/v1/tickets/{ticket}") for ticket in admitted]
            return all(each.status_code == 200 and "CONSUMED" in each.text.upper() for each in answers)

        wait_until(shown, what=lambda: f"the learner has them\n{again.said()}")
