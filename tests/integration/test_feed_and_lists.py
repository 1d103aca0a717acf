"""Feed, lists and commands over a running network, as a program and a person meet them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import websockets

from tests.integration.network import Network
from tests.waiting import PATIENCE, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.backend,
]


@pytest.fixture
def running(shared: Network) -> Network:
    return shared


@pytest.fixture
def person(running: Network) -> Iterator[httpx.Client]:
    """Logged in, as a browser is."""
    with httpx.Client(
        base_url=running.url, timeout=PATIENCE, trust_env=False, follow_redirects=True
    ) as client:
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


def test_an_import_and_a_rehearsal_succeed_on_a_running_network(running: Network, tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("ticket_id,name\n" + "".join(f"FEED-{number},Ada {number}\n" for number in range(1_500)))
    answers = ("--code", "ticket_id", "--new-event", "as-it-is")
    done = running.run("import_tickets", str(path), *answers)
    assert done.returncode == 0, done.stderr
    scan = running.run("scan", str(path), *answers, "--limit", "200", "--json")
    assert json.loads(scan.stdout)["proved"]


NEWS = ("FEED-1000", "FEED-1001")


async def told(socket: websockets.ClientConnection) -> list[str]:
    """The tickets of the events that come, until all news were told. Events of the rehearsal may come before
    them: the platform's copy may still have been behind it."""
    found: list[str] = []
    while not set(NEWS) <= set(found):
        frame = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))
        found += [event.get("ticket_id", "") for event in frame.get("events", [frame])]
    return [ticket for ticket in found if ticket in NEWS]


def test_the_feed_tells_each_event_and_resumes(running: Network) -> None:
    async def follow() -> list[str]:
        address = running.url.replace("http", "ws") + "/ws"
        connected = partial(
            websockets.connect,
            address,
            additional_headers={"X-API-Key": running.credentials["api_key"]},
            open_timeout=PATIENCE,
            ping_timeout=PATIENCE,
        )
        async with connected() as socket:
            first = json.loads(await socket.recv())
            with running.client() as client:
                for ticket in NEWS:
                    sent = {"ticket_id": ticket}
                    client.post("/api/v1/tickets/validate", json=sent).raise_for_status()
            live = await told(socket)
        async with connected() as socket:
            await socket.recv()
            await socket.send(json.dumps({"type": "resume", "after": first["sequence"], "batch": True}))
            return [*live, *await told(socket)]

    assert asyncio.run(follow()) == [*NEWS, *NEWS]


def test_the_snapshot_and_the_lists_have_the_same_counts(running: Network, person: httpx.Client) -> None:
    log = person.get("/dashboard/snapshot").json()["log"]
    with running.client() as client:
        listed = {
            state: int(client.get(f"/api/v1/tickets?state={state}&limit=1").headers["X-Total-Count"])
            for state in ("ISSUED", "VALIDATED", "CONSUMED", "DISPUTED")
        }
    assert listed == {state: log["counts"][state] for state in listed}
    assert sum(listed.values()) >= 1_500
    assert listed["CONSUMED"] >= 200
    assert log["latest"][0]["ticket_id"] == "FEED-1001"
    assert person.get("/admin/ledger/operationrecord/?outcome=refused").status_code == 200
    for path in ("ledger/operationrecord/?operation=%00", "validators/managednode/?role__exact=%00"):
        refused = person.get(f"/admin/{path}")
        assert (refused.status_code, refused.text) == (400, "The request could not be parsed.\n")
    assert "Perhaps it was deleted" in person.get("/admin/validators/managednode/node0%00/change/").text
    wait_until(
        lambda: person.get("/dashboard/stuck").json()["level"] == "ok",
        what=lambda: f"nothing is stuck: {person.get('/dashboard/stuck').json()}",
    )
