"""`make run-network`: the README's four terminals in one; Ctrl-C ends them all."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.network import REPOSITORY, wait_until_gone
from tests.ports import ports_in_a_row
from tests.waiting import MARGIN, PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only]

STOPS_WITHIN = 10.0


def test_run_network_starts_four_agreeing_nodes_and_ends_them(tmp_path: Path) -> None:
    p2p, api, metrics = ports_in_a_row(4), ports_in_a_row(4), ports_in_a_row(4)
    ports = {"P2P_PORT": str(p2p), "API_PORT": str(api), "METRICS_PORT": str(metrics)}
    log = tmp_path / "said"
    with log.open("w") as said:
        process = subprocess.Popen(
            ["make", "run-network", f"DATA={tmp_path / 'data'}"],
            cwd=REPOSITORY,
            env=os.environ | ports,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with httpx.Client(trust_env=False, timeout=PATIENCE) as client:

            def peers(number: int) -> int:
                assert process.poll() is None, log.read_text()[-3_000:]
                try:
                    stats = client.get(f"http://127.0.0.1:{api + number}/api/v1/stats")
                except httpx.TransportError:
                    return 0
                return int(stats.json()["data"]["peer_count"]) if stats.status_code == 200 else 0

            for number in range(4):
                wait_until(lambda number=number: peers(number) == 3, what="three peers", pause=0.2)

            def decided(number: int, verb: str, **body: str) -> httpx.Response | None:
                url = f"http://127.0.0.1:{api + number}/api/v1/tickets/{verb}"
                answer = client.post(url, json={"nonce": verb} | body)
                return None if answer.status_code in (503, 504) else answer

            for number, verb, body in ((0, "seed", {}), (2, "validate", {"ticket_id": "TICKET-001"})):
                asked = partial(decided, number, verb, **body)
                answer = wait_until(asked, what=f"the outcome of {verb}")
                assert answer is not None
                assert answer.status_code == 200, answer.text
        assert "12D3KooWLtBkKrip2jyaRzhUphqYyVXGUPMMbmpBWHZMYXaueb9C" in log.read_text()
        processes = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)
        wait_until_gone(processes, timeout=STOPS_WITHIN * MARGIN)
        for number in range(4):
            assert f"node{number} | " in log.read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
