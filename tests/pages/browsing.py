"""A real browser for tests of pages, its console errors, and helpers to find elements."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.needed import lacking

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 60_000
"""Milliseconds: the machine is busy with a whole network."""

RUNS_OUT = """() => {
  const cells = "td[data-label]:not(.short, .data), .outcomes .what, .outcomes .where";
  const all = document.querySelectorAll(`.card, .card header, .card .scroll, main, .topbar, ${cells}`);
  const wide = [...all].filter((one) => one.scrollWidth > one.clientWidth + 1);
  return wide.map((one) => `${one.tagName} ${one.className} ${one.scrollWidth} > ${one.clientWidth}`);
}"""


def installed() -> str:
    """Where the browser is (see tests.needed where there is none)."""
    if CHROMIUM is None:
        lacking("no chromium on this machine: apt-get install chromium")
    return CHROMIUM


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser; while it runs, this thread may not use the database: an event loop runs in it."""
    chromium = installed()
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS), timeout=PATIENCE)
        yield found
        found.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


class Complaints(list[str]):
    """Errors of a browser: console errors, policy refusals, requests to other hosts."""

    def listen(self, page: Page, url: str) -> None:
        page.on("console", lambda message: message.type == "error" and self.append(message.text))
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("request", lambda request: request.url.startswith(url) or self.append(request.url))


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


def window(browser: Browser) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    return context


@contextmanager
def opened(
    browser: Browser, url: str, complaints: Complaints, *, credentials: dict[str, Any] | None = None
) -> Iterator[Page]:
    """A page in a window of its own, on the live page as the person of `credentials`; none: nowhere yet."""
    context = window(browser)
    found = context.new_page()
    complaints.listen(found, url)
    if credentials is not None:
        log_in(found, url, credentials)
    yield found
    context.close()


def log_in(page: Page, url: str, credentials: dict[str, Any]) -> None:
    """As a person does, from the page that asks for it."""
    page.goto(f"{url}/")
    page.get_by_label("User name").fill(credentials["admin_user"])
    page.get_by_label("Password").fill(credentials["admin_password"])
    page.get_by_role("button", name="Log in").click()
    expect(shown(page, "connection")).to_have_text("Live")


def shown(page: Page, name: str) -> Any:
    return page.locator(f'[data-at="{name}"]')


def confirm(page: Page, verb: str, consequence: str) -> None:
    """Answer the question on the page, which names the consequence."""
    question = page.get_by_role("dialog")
    expect(question).to_contain_text(consequence)
    question.get_by_role("button", name=verb, exact=True).click()
    expect(question).to_be_hidden()


def expect_to_fit(page: Page) -> None:
    """Nothing scrolls sideways, and nothing runs out of its card."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(RUNS_OUT) == []
