"""Feed, lists and commands over a running network, as a program and a person meet them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from tests.integration.network import REPOSITORY, Network, network
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("feed") / "data") as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def person(running: Network) -> Iterator[httpx.Client]:
    """Logged in, as a browser is."""
    with httpx.Client(base_url=running.url, timeout=60, trust_env=False, follow_redirects=True) as client:
        token = client.get("/admin/login/").text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        known = running.credentials
        client.post(
            "/admin/login/?next=/",
            data={
                "username": known["admin_user"],
                "password": known["admin_password"],
                "csrfmiddlewaretoken": token,
                "next": "/",
            },
            headers={"Referer": f"{running.url}/admin/login/"},
        ).raise_for_status()
        yield client


def run(running: Network, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=REPOSITORY,
        env=running.environment(),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_import_and_rehearsal(running: Network, tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("ticket_id,name\n" + "".join(f"FEED-{number},Ada {number}\n" for number in range(1_500)))
    done = run(running, "import_tickets", str(path))
    assert done.returncode == 0, done.stderr
    scan = run(running, "scan", str(path), "--limit", "200", "--json")
    assert json.loads(scan.stdout)["proved"]


def test_the_feed_tells_each_event_and_resumes(running: Network) -> None:
    async def follow() -> list[Any]:
        address = running.url.replace("http", "ws") + "/ws"
        headers = {"X-API-Key": running.credentials["api_key"]}
        async with websockets.connect(address, additional_headers=headers) as socket:
            first = json.loads(await socket.recv())
            with running.client() as client:
                for ticket in ("FEED-1000", "FEED-1001"):
                    sent = {"ticket_id": ticket}
                    client.post("/api/v1/tickets/validate", json=sent).raise_for_status()
            live = [json.loads(await asyncio.wait_for(socket.recv(), PATIENCE)) for _ in range(2)]
        async with websockets.connect(address, additional_headers=headers) as socket:
            await socket.recv()
            await socket.send(json.dumps({"type": "resume", "after": first["sequence"], "batch": True}))
            missed: list[Any] = []
            while len(missed) < 2:
                missed += json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))["events"]
        return [event["ticket_id"] for event in [*live, *missed]]

    assert asyncio.run(follow()) == ["FEED-1000", "FEED-1001"] * 2


def test_snapshot_and_lists(running: Network, person: httpx.Client) -> None:
    log = person.get("/dashboard/snapshot").json()["log"]
    assert sum(log["counts"][state] for state in ("ISSUED", "VALIDATED", "CONSUMED", "DISPUTED")) == 1_500
    assert log["counts"]["CONSUMED"] == 200
    assert log["latest"][0]["ticket_id"] == "FEED-1001"
    for path in ("", "?after=default/FEED-1400", "?q=FEED-14", "?state=CONSUMED"):
        page = person.get(f"/admin/ledger/ticket/{path}")
        assert (page.status_code, "field-ticket_id" in page.text) == (200, True)
    assert person.get("/admin/ledger/operationrecord/?outcome=refused").status_code == 200
    assert person.get("/dashboard/stuck").json()["level"] == "ok"
