"""Tests that lack a tool are skipped on a person's machine and fail in CI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ledger.conftest import server_url
from tests.pages import browsing
from tests.proof import verdicts

NOBODY = "postgresql://postgres@127.0.0.1:1"


@pytest.mark.parametrize(("ci", "ended"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_test_without_its_tool_is_skipped_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, ended: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(browsing, "CHROMIUM", None)
    monkeypatch.setattr(verdicts, "NODE", None)
    monkeypatch.setattr("tests.integration.servers.POSTGRESQL", NOBODY)
    database: Any = server_url
    for look in (browsing.installed, lambda: verdicts.by_browser([]), lambda: next(database.__wrapped__())):
        with pytest.raises((pytest.fail.Exception, pytest.skip.Exception)) as stopped:
            look()
        assert stopped.type is ended
