"""The pytest plugin, in projects of its users."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.taught import blocks
from tests.events.advice.support import RECORDED, REPORTED

pytestmark = pytest.mark.ci

pytest_plugins = ["pytester"]
ROOT = Path(__file__).resolve().parents[2]
GOOD, BAD = RECORDED / "pyd-01-text.sse", REPORTED / "23-end-of-other-id.ndjson"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project beside two recordings, in an environment in which this package is found."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for path in (GOOD, BAD):
        shutil.copy(path, pytester.path)
    return pytester


def run(project: pytest.Pytester, source: str) -> pytest.RunResult:
    project.makepyfile(source)
    return project.runpytest_subprocess("-p", "dtvn.pytest_plugin", "-p", "no:django")


def test_a_recording_passes_or_fails_with_what_the_command_prints(project: pytest.Pytester) -> None:
    found = run(
        project,
        """
        from pathlib import Path

        def test_good(assert_valid_run):
            assert assert_valid_run(Path("pyd-01-text.sse").read_text()).events == 10

        def test_bad(assert_valid_run):
            assert_valid_run(Path("23-end-of-other-id.ndjson").read_text())
        """,
    )
    found.assert_outcomes(passed=1, failed=1)
    found.stdout.fnmatch_lines(
        [
            ">*assert_valid_run(Path(*",
            "E*AssertionError: events: NOT VALID. * 1 error,*",
            'E*error MESSAGE_NOT_OPEN at event 3 (line 4), messageId: Message "*" is not open. Open: *',
            "E*Give the messageId of the message that is open*",
            "E*>     3  {*",
        ]
    )
    assert "pytest_plugin.py" not in found.stdout.str(), "the failure is shown where the user wrote it"


def test_the_tests_of_the_page_pass(project: pytest.Pytester) -> None:
    (source,) = (block for block in blocks("use/events.md", "python") if "assert_valid_run" in block)
    run(project, source).assert_outcomes(passed=2)


def test_an_agent_that_stops_or_sends_nothing_fails(project: pytest.Pytester) -> None:
    found = run(
        project,
        """
        from ag_ui.core import RunErrorEvent, RunStartedEvent
        from dtvn.pytest_plugin import assert_valid_run

        def test_stops():
            assert_valid_run([RunStartedEvent(thread_id="t", run_id="r")])

        def test_nothing():
            assert_valid_run(event for event in [])

        def test_ends():
            assert_valid_run([RunStartedEvent(thread_id="t", run_id="r"), RunErrorEvent(message="no model")])
        """,
    )
    found.assert_outcomes(passed=1, failed=2)
    found.stdout.fnmatch_lines(["*AssertionError: events: NOT VALID, unfinished run. 1 event, 1 error*"])
    found.stdout.fnmatch_lines(["*AssertionError: events: NOT VALID, no run. 0 events, 1 error*"])


def test_warnings_fail_only_if_they_are_counted(project: pytest.Pytester) -> None:
    found = run(
        project,
        """
        EVENTS = [
            {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
            {"type": "CUSTOM", "name": "", "value": 1},
            {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"},
        ]

        def test_by_default(assert_valid_run):
            assert [each.code for each in assert_valid_run(EVENTS).warnings] == ["CUSTOM_EVENT"]

        def test_switched_off(assert_valid_run):
            assert_valid_run(EVENTS, max_warnings=0, off="CUSTOM_EVENT")

        def test_counted(assert_valid_run):
            assert_valid_run(EVENTS, max_warnings=0)

        def test_wrong_item(assert_valid_run):
            assert_valid_run([*EVENTS, 7])
        """,
    )
    found.assert_outcomes(passed=2, failed=2)
    found.stdout.fnmatch_lines(["E*warning CUSTOM_EVENT at event 1, name: The name is empty."])
    found.stdout.fnmatch_lines(["E*More than 0 warnings: 1."])
    found.stdout.fnmatch_lines(["E*TypeError: events?3? is a value of type int, which is no event. Give*"])


def test_a_project_that_does_not_use_it_does_not_load_the_rules(project: pytest.Pytester) -> None:
    found = run(
        project,
        """
        import sys

        def test_nothing_is_loaded():
            assert "dtvn.pytest_plugin" in sys.modules
            assert not any(name.startswith(("dtvn.events", "msgspec", "django")) for name in sys.modules)
        """,
    )
    found.assert_outcomes(passed=1)


def test_events_of_an_async_generator_are_awaited(project: pytest.Pytester) -> None:
    found = run(
        project,
        """
        import asyncio

        async def agent(*kinds):
            for kind in kinds:
                await asyncio.sleep(0)
                yield {"type": kind, "threadId": "t", "runId": "r"}

        def test_without_a_loop(assert_valid_run):
            assert assert_valid_run(agent("RUN_STARTED", "RUN_FINISHED")).events == 2

        def test_within_a_loop(assert_valid_run):
            async def test():
                return await assert_valid_run(agent("RUN_STARTED"))

            asyncio.run(test())
        """,
    )
    found.assert_outcomes(passed=1, failed=1)
    found.stdout.fnmatch_lines(["E*AssertionError: events: NOT VALID, unfinished run.*"])
