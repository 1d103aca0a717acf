"""`pytest --scaled-out` keeps the state of networks under test on PostgreSQL and Redis; `--begin-until`
gives a run an end, on machines where it would be stopped in the middle."""

from __future__ import annotations

import signal
import time

import pytest
from hypothesis import HealthCheck, settings

from tests.integration import servers

OUT_OF_TIME = "the time given to this run was over"

# How long an example takes says how busy the machine is. In CI hypothesis has it so by itself.
settings.register_profile(
    "unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--scaled-out",
        action="store_true",
        default=False,
        help="networks of the integration tests live on the PostgreSQL and Redis of this machine",
    )
    parser.addoption(
        "--begin-until",
        type=float,
        default=None,
        metavar="UNIX-SECONDS",
        help="tests that have not begun by then are skipped, and counted at the end",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what it puts in the background deaf to Ctrl-C, and `make` would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not config.getoption("--scaled-out"):
        return
    if reason := servers.missing():
        pytest.exit(f"skipped the run on PostgreSQL and Redis: {reason}", returncode=0)
    servers.use_servers()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of one deployment only run there, and are not counted as skipped elsewhere."""
    elsewhere = "embedded_only" if servers.scaled_out() else "scaled_out_only"
    left = [item for item in items if item.get_closest_marker(elsewhere)]
    if left:
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=left)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before fixtures: a network is not started for what is not to run."""
    end = item.config.getoption("--begin-until")
    if end is not None and time.time() > end:
        pytest.skip(OUT_OF_TIME)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    late = [report.nodeid for report in skipped if OUT_OF_TIME in str(report.longrepr)]
    if late:
        terminalreporter.section("NOT EVERYTHING RAN", sep="!")
        terminalreporter.line(f"{len(late)} tests were not begun: {OUT_OF_TIME}. The first was {late[0]}")


def pytest_report_header() -> str:
    return f"networks under test: {'on PostgreSQL and Redis' if servers.scaled_out() else 'embedded'}"
