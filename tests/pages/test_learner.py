"""The learner under the pages' tests: its ledger has one thread, and ends after the requests under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dtvn.gateway import GatewayClosed
from tests.pages.learner import RealLearner
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def test_a_request_that_outlives_its_test_ends_before_the_ledger_closes(
    learner: RealLearner, operate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's connection was closed by the teardown while the thread of a request committed: the process
    crashed."""
    began = threading.Event()
    happened: list[tuple[str, int]] = []
    append, close = learner.journal.append, learner.ledger.close

    def appending(*records: Any, **named: Any) -> None:
        began.set()
        wait_until(lambda: learner.gateway._closed, what="the teardown has not begun")
        append(*records, **named)
        happened.append(("appended", threading.get_ident()))

    def closing() -> None:
        close()
        happened.append(("closed", threading.get_ident()))

    monkeypatch.setattr(learner.journal, "append", appending)
    monkeypatch.setattr(learner.ledger, "close", closing)
    with ThreadPoolExecutor(1) as requests:
        request = requests.submit(operate, "issue T-1")
        assert began.wait(PATIENCE)
        learner.close()
        (result,) = request.result()
    assert result.code == "ok"
    assert [what for what, _thread in happened] == ["appended", "closed"]
    assert len({thread for _what, thread in happened}) == 1, "the ledger has one thread"
    with pytest.raises(GatewayClosed):
        operate("issue T-2")
