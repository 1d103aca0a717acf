"""Thirty logins at once against a real web process: each gets an answer, and others' answers go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import httpx
import pytest

from tests.integration.web_process import SECRET_KEY, web_process
from tests.waiting import PATIENCE
from validators.data_folder.environment import cookie_name

LOGINS = 30


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a web process without a cluster."""
    with web_process(tmp_path) as started:
        yield started.url


def log_in(address: str, name: str) -> httpx.Response:
    with httpx.Client(base_url=address, timeout=PATIENCE) as client:
        client.get("/admin/login/")
        token = client.cookies[cookie_name("csrftoken", SECRET_KEY)]
        sent = {"username": name, "password": "wrong", "csrfmiddlewaretoken": token}
        return client.post("/admin/login/", data=sent)


@pytest.mark.ci
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
