"""The documentation as a site: it builds strictly, loads nothing from elsewhere, is searched from a disk."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.pages.browsing import Complaints, browser

pytestmark = pytest.mark.ci

__all__ = ["browser"]

ROOT = Path(__file__).resolve().parents[2]
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Element -> attribute whose address a browser fetches by itself."""
ELSEWHERE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


class Loads(HTMLParser):
    """Collects the addresses on other hosts that a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        given = {name: value or "" for name, value in attrs}
        address = given.get(LOADS.get(tag, ""), "")
        if ELSEWHERE.match(address):
            self.found.append(f"{tag} {address}")


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    found = {}
    for path in site.rglob("*.html"):
        page = Loads()
        page.feed(path.read_text(encoding="utf-8"))
        if page.found:
            found[path.name] = page.found
    for path in site.rglob("*.css"):
        addresses = re.findall(
            r"(?:url\(|@import )\s*['\"]?((?:https?:)?//[^'\")]+)", path.read_text("utf-8")
        )
        if addresses:
            found[path.name] = addresses
    assert found == {}


def test_a_site_opened_from_a_disk_is_searched_without_any_host(site: Path, browser: Browser) -> None:
    complaints = Complaints()
    page = browser.new_page()
    complaints.listen(page, site.as_uri())
    page.goto((site / "index.html").as_uri())
    page.get_by_role("textbox", name="Search").press_sequentially("scanner")
    expect(page.locator('.md-search-result__link[href*="use/scanner.html"]').first).to_be_attached()
    page.close()
    assert complaints == []
