"""Commands and programs of the documentation work as printed: tour, scanner, organiser, client, backup."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.taught import blocks
from tests.integration.network import REPOSITORY, Network, network
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network with the demonstration tickets, in a folder called `data`, as the pages have it."""
    with network(tmp_path_factory.mktemp("taught") / "data") as started:
        started.start()
        with started.client() as client:
            assert client.post("/api/v1/tickets/seed").status_code == 200
        yield started


def typed(running: Network, *parts: str) -> str:
    """What a shell in the folder above `data` prints."""
    return run(running, "bash", "-c", "\n".join(("set -e", *parts)))


def run(running: Network, *words: str, stdin: str = "") -> str:
    """The output of a program in the folder above `data`."""
    more = {"DTVN_URL": running.url, "PYTHONPATH": str(REPOSITORY)}
    more["DTVN_KEY"] = running.credentials["api_key"] if running.credentials_file.exists() else ""
    done = subprocess.run(
        words,
        cwd=running.data.parent,
        env=os.environ | more,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def state_of(running: Network, ticket: str, *, node: str = "") -> str:
    """A ticket's state on the platform, or on a node; "" while there is no answer."""
    path = f"/api/v1/nodes/{node}/tickets/{ticket}" if node else f"/api/v1/tickets/{ticket}"
    with running.client() as client:
        answer = client.get(path)
    return str(answer.json()["data"]["State"]) if answer.status_code == 200 else ""


def test_the_commands_of_the_first_tour_work(running: Network) -> None:
    lines = typed(running, *blocks("start/five-minutes.md", "sh")).splitlines()
    codes = [line for line in lines if line.isdigit()]
    assert len(codes) == 20
    assert set(codes) <= {"200", "409", "503", "504"}
    assert codes.count("200") <= 1
    with running.client() as client:
        for ticket in ("TICKET-002", "TICKET-003"):  # where a busy machine lost an answer
            client.post("/api/v1/tickets/admit", json={"ticket_id": ticket})
    for ticket in ("TICKET-001", "TICKET-002", "TICKET-003"):
        wait_until(lambda ticket=ticket: state_of(running, ticket) == "CONSUMED", what=f"{ticket} consumed")


def test_the_scanner_of_the_documentation_works(running: Network, tmp_path: Path) -> None:
    (program,) = blocks("use/scanner.md", "python")
    (file := tmp_path / "scanner.py").write_text(program, encoding="utf-8")
    scanner = ("env", "DTVN_EVENT=default", sys.executable, str(file))
    shown = run(running, *scanner, stdin="TICKET-010\nTICKET-010\nNOPE\n").splitlines()
    assert shown[0] == "...-010 GREEN: Floor; A10"
    assert shown[1].startswith("...-010 RED already_consumed: Floor; A10; entered ")
    assert shown[2].startswith("...NOPE RED barcode_not_found: ")
    with running.client() as client:
        client.post("/api/v1/tickets", json={"ticket_id": "F-1", "event": "fair"}).raise_for_status()
    key = "dtvn_" + "k" * 43
    make = f"""from tests.team_keys import store_key
store_key("{key}", label="fair", scopes=["gate"], event="fair")"""
    manage = (sys.executable, str(REPOSITORY / "manage.py"), "shell", "-c", make)
    settings = "DJANGO_SETTINGS_MODULE=dtvn_project.settings"
    run(running, "env", f"DTVN_DATA={running.data}", settings, *manage)
    limited = ("env", f"DTVN_KEY={key}", "DTVN_EVENT=fair", sys.executable, str(file))
    assert run(running, *limited, stdin="F-1\n") == "...F-1 GREEN\n"


def test_the_organisers_story_works(running: Network) -> None:
    """From the shop's file to the export, after which a replaced code opens and the old one is revoked. The
    day in steps is played here too, before the evening, instead of on a platform for rehearsals."""
    for name, content in zip(("shop.csv", "day.csv"), blocks("use/organiser.md", "csv"), strict=True):
        (running.data.parent / name).write_text(content, encoding="utf-8")
    lists = """api -X PUT $HERE/events/fest -d '{"lists": [{"list": "vip", "rule": "free"}]}'\n"""
    assert lists.strip() in (REPOSITORY / "docs/use/organiser.md").read_text(encoding="utf-8")
    elsewhere = "DTVN_DATA=data-rehearsal "
    story = [
        lists + block.replace(elsewhere, "") if "--steps" in block else block
        for block in blocks("use/organiser.md", "sh")
    ]
    command = f'manage.py() {{ "{sys.executable}" "{REPOSITORY}/manage.py" "$@"; }}'
    place = f'export DTVN_DATA="{running.data}" DJANGO_SETTINGS_MODULE=dtvn_project.settings'
    said = typed(running, place, command, *story)
    assert "Event fest: 4 codes, if they were scanned now:\n  3 admitted\n" in said
    assert "Proved: each ticket was admitted exactly once." in said
    exported = (running.data.parent / "tickets.csv").read_text(encoding="utf-8-sig")
    assert all(ticket in exported for ticket in ("A7B3C-1", "A7B3C-2", "D8E4F-1", "K2L6M-1"))
    scans = (
        ("WRISTBAND-0017", "ok"),
        ("emz7zb34ha8xf4jh2p5h2zztw3mwve94", "revoked"),
        ("A7B3C-1", "barcode_not_found"),
    )
    with running.client() as client:
        for code, outcome in scans:
            answer = client.post("/api/v1/tickets/admit", json={"event": "fest", "barcode": code}).json()
            assert answer["code"] == outcome, answer


def test_the_python_client_of_the_documentation_works(running: Network) -> None:
    program, by_code, judging, _alike = blocks("use/python-client.md", "python")
    wait_until(lambda: "ok at " in run(running, sys.executable, "-c", program), what="the outcome is known")
    issued, admitted = run(running, sys.executable, "-c", by_code).splitlines()
    assert issued.startswith("done ok None T-1 Adult None")
    assert admitted.startswith("admitted ok None T-1 Adult Entry(at='")

    def judged() -> bool:
        """The items of A87, in their order; a busy machine may have members that are not linked yet."""
        shown = run(running, sys.executable, "-c", judging).splitlines()
        found = (
            "success_rate=1.0" in shown[2],
            "healthy=True" in shown[4],
            "healthy=True" in shown[5],
            "active_connections=4" in shown[6] and "issues=()" in shown[6],
            "total_operations=2" in shown[7] and "current_leader='node" in shown[7],
            "total_requests=8" in shown[8],
        )
        return [shown[0], shown[1], shown[3]] == ["True", "()", "None"] and all(found)

    wait_until(judged, what="events are judged")
    (page,) = blocks("use/python-client.md", "sh")
    commands = page.replace("~/events/bin/dtvn", "dtvn")  # the same program, from this checkout
    command = f'dtvn() {{ "{sys.executable}" -c "from dtvn.cli.main import command; command()" "$@"; }}'
    shown = typed(running, 'export DTVN_API_KEY="$DTVN_KEY"', command, commands)
    assert "consensus_healthy      True" in shown
    assert "current_leader         node" in shown


def test_a_node_and_the_platform_come_back_from_a_backup(running: Network) -> None:
    backup, _for_a_recipient, check, node, platform, learner, everything = blocks("operate/backup.md", "sh")
    command = f'manage.py() {{ "{sys.executable}" "{REPOSITORY}/manage.py" "$@"; }}'
    key = running.credentials["api_key"]
    with running.client() as client:
        assert client.post("/api/v1/tickets/admit", json={"ticket_id": "TICKET-012"}).status_code == 200
    wait_until(lambda: (running.data / "nodes/node3/identity/voted").exists(), what="node3 has voted")
    typed(running, command, backup, check)
    running.stop()
    shutil.rmtree(running.data / "nodes/node3")
    shutil.rmtree(running.data / "keys")
    shutil.rmtree(running.data / "platform")
    typed(running, command, node, platform, learner, everything)
    assert (running.data.parent / "restored/nodes/node0/identity/node.key").exists()
    assert not (running.data / "learner/ledger.sqlite3").exists()
    running.start()
    assert running.credentials["api_key"] == key
    for place in ("", "node3"):
        wait_until(
            lambda place=place: state_of(running, "TICKET-012", node=place) == "CONSUMED",
            what=f"the admission at {place or 'the platform'}",
        )
