"""The verifier's page in a real browser, opened from a disk, with no network at all."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.events.transcript.support import GOLDEN, cluster
from tests.pages.browsing import FLAGS, PATIENCE, installed
from tests.proof import vectors

pytestmark = pytest.mark.integration

PAGE = Path(__file__).resolve().parents[2] / "static/verifier/index.html"
VECTORS: list[dict[str, Any]] = json.loads(vectors.FILE.read_text(encoding="utf-8"))["vectors"]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    chromium = installed()
    # A copy, as on a USB stick: the page and the vendored files beside it, nothing else.
    for name in ("verifier", "vendor"):
        shutil.copytree(PAGE.parent.parent / name, tmp_path / "stick" / name)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS), timeout=PATIENCE)
        context = browser.new_context(offline=True)
        context.set_default_timeout(PATIENCE)
        found = context.new_page()
        complaints: list[str] = []
        found.on(
            "console",
            lambda message: message.type in ("error", "warning") and complaints.append(message.text),
        )
        found.on("pageerror", lambda error: complaints.append(str(error)))
        found.on("request", lambda request: request.url.startswith("file:") or complaints.append(request.url))
        found.goto((tmp_path / "stick/verifier/index.html").as_uri())
        yield found
        browser.close()
    assert complaints == []


def choose(page: Page, **files: bytes) -> None:
    for field, content in files.items():
        page.set_input_files(f"#{field}", {"name": field, "mimeType": "application/json", "buffer": content})


def named(name: str) -> dict[str, bytes]:
    vector = next(vector for vector in VECTORS if vector["name"] == name)
    return {
        key: base64.b64decode(vector[key]) for key in ("chain", "certificate", "against") if key in vector
    }


def test_r27_the_page_proves_refuses_and_convicts_offline(page: Page) -> None:
    headline, lines = page.locator("#headline"), page.locator("#sentences li")
    expect(headline).to_have_text("Choose the epoch chain and a certificate or a transcript.")
    choose(page, **named("under a later checkpoint"))
    expect(headline).to_have_text("The certificate is valid.")
    expect(lines.first).to_contain_text("TICKET-1")
    choose(page, certificate=named("a wrong signature")["certificate"])
    expect(headline).to_have_text("Verification failed.")
    expect(lines).to_have_text([re.compile(r" \[bad_signature\]$")])
    choose(page, **named("two receipts"))
    expect(headline).to_have_text("Both certificates are valid, but they contradict each other.")
    expect(lines.last).to_have_text("convicted, having signed both: r1, r2 (f + 1 = 2)")


def test_the_page_proves_and_refuses_transcripts_beside_certificates(page: Page) -> None:
    headline, lines = page.locator("#headline"), page.locator("#sentences li")
    story = bytes.fromhex(GOLDEN.read_text(encoding="ascii"))
    choose(page, chain=cluster().chain(), transcript=story)
    expect(headline).to_have_text("The transcript is valid.")
    expect(lines.first).to_have_text("run r1 of thread t1: 7 events, 1 refused")
    choose(page, transcript=story.replace(b"an alle", b"an alte"))
    expect(headline).to_have_text("Verification failed.")
    expect(lines).to_have_text([re.compile(r"^event 4 .* \[wrong_event\]$")])
    choose(page, transcript=story, certificate=cluster().receipts(1))
    expect(headline).to_have_text("The certificate is valid. The transcript is valid.")


def test_r27_chromium_agrees_with_every_vector(page: Page) -> None:
    for fallback in (False, True):
        said = page.evaluate(
            """async ([vectors, fallback]) => {
              const verifier = globalThis.dtvnVerify;
              const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
              verifier.fallback = fallback;
              const told = [];
              for (const vector of vectors) {
                try {
                  const chain = await verifier.readChain(verifier.unwrap("chain", bytes(vector.chain)));
                  await verifier.prove(verifier.unwrap("certificate", bytes(vector.certificate)), chain);
                  told.push([]);
                } catch (error) {
                  told.push([error.code, error.place]);
                }
              }
              return told;
            }""",
            [VECTORS, fallback],
        )
        refusals = [[vector[key] for key in ("code", "place") if key in vector] for vector in VECTORS]
        assert said == refusals


def test_the_page_refuses_a_file_by_its_size_before_it_reads_it(page: Page, tmp_path: Path) -> None:
    page.evaluate("() => { File.prototype.arrayBuffer = () => Promise.reject(new Error('it was read')); }")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(2**25 + 1)
    page.set_input_files("#chain", large.name)
    lines = page.locator("#sentences li")
    expect(page.locator("#headline")).to_have_text("Verification failed.")
    expect(lines).to_have_text([re.compile(r" \[too_large\]$")])
    choose(page, chain=b"{}")
    expect(lines).to_have_text([re.compile(r" \[unreadable\]$")])
