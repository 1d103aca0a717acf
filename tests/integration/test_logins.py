"""Thirty logins at once against a real web process: each gets an answer, and others' answers go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import httpx
import pytest

from dtvn_project.environment import cookie_name
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
LOGINS = 30
SECRET_KEY = "s" * 64


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a web process without a cluster, on a data folder of its own."""
    (tmp_path / "platform").mkdir()
    (tmp_path / "static").mkdir()
    port = free_ports(1)[0]
    environment = {"PATH": os.environ["PATH"], "DTVN_DATA": str(tmp_path), "DTVN_SECRET_KEY": SECRET_KEY}
    for part in ("migrate", "collectstatic"):
        step = [sys.executable, "manage.py", part, "-v", "0", "--no-input"]
        subprocess.run(step, cwd=ROOT, env=environment, check=True, timeout=PATIENCE)
    serve = [
        sys.executable,
        "-m",
        "daphne",
        "-b",
        "127.0.0.1",
        "-p",
        str(port),
        "dtvn_project.asgi:application",
    ]
    process = subprocess.Popen(serve, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(address), what=f"{address} answers")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.TransportError:
        return False


def log_in(address: str, name: str) -> httpx.Response:
    with httpx.Client(base_url=address, timeout=PATIENCE) as client:
        client.get("/admin/login/")
        token = client.cookies[cookie_name("csrftoken", SECRET_KEY)]
        sent = {"username": name, "password": "wrong", "csrfmiddlewaretoken": token}
        return client.post("/admin/login/", data=sent)


def test_thirty_logins_at_once_hold_no_other_answer(web: str) -> None:
    began = time.monotonic()
    log_in(web, "alone")
    alone, others = time.monotonic() - began, []
    with ThreadPoolExecutor(LOGINS) as people, httpx.Client(base_url=web, timeout=PATIENCE) as other:
        logins = [people.submit(log_in, web, f"person{number}") for number in range(LOGINS)]
        while wait(logins, timeout=0).not_done:
            asked = time.monotonic()
            assert other.get("/health").status_code == 200
            others.append(time.monotonic() - asked)
        found = [login.result() for login in logins]
    assert {response.status_code for response in found} <= {200, 503}
    assert sum(response.status_code == 200 for response in found) >= 1
    assert all(int(each.headers["Retry-After"]) > 0 for each in found if each.status_code == 503)
    others.sort()
    assert others[len(others) // 2] < alone, "the median other answer waits for less than one login"
