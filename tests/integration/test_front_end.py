"""The Go DTVN's front end is not ours: a page of our own makes its calls by its rules."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

from tests.integration.supervised import supervised
from tests.pages.browsing import FLAGS, installed
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PAGE = Path(__file__).parent / "front_end"
WHOLE_RUN = 600_000
"""Milliseconds."""
REFUSALS = 3
"""A browser notes every answer of 4xx and 5xx as an error of the page; so many are asked for. The page counts
them: a node that is not reached for a moment is one more."""


def test_c48_a_front_end_made_for_the_contract_works_unmodified(tmp_path: Path) -> None:
    chromium = installed()
    with supervised(tmp_path / "data", "-static-dir", str(PAGE)) as s:
        with httpx.Client(base_url=s.url, trust_env=False, timeout=PATIENCE) as plain:
            assert plain.get("/").text == (PAGE / "index.html").read_text()
            assert plain.get("/js/app.js").headers["content-type"].startswith("text/javascript")
            assert plain.get("/css/main.css").headers["content-type"].startswith("text/css")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            page = browser.new_page()
            said: list[str] = []
            foreign: list[str] = []
            page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on(
                "request",
                lambda asked: None if asked.url.startswith((s.url, "data:")) else foreign.append(asked.url),
            )
            page.goto(s.url)
            page.wait_for_function("window.checks !== undefined", timeout=WHOLE_RUN)
            checks, refusals = page.evaluate("[window.checks, window.refusals]")
            wait_until(lambda: page.wait_for_timeout(20) or len(said) >= refusals, what=lambda: f"{said}")
            browser.close()
        assert not [each["what"] for each in checks if not each["holds"]], s.said()
        assert len(checks) > 50
        refused = [text for text in said if "the server responded with a status of" in text]
        assert len(refused) == len(said) == refusals >= REFUSALS, said
        assert not foreign
