"""`pytest --scaled-out` keeps the state of networks under test on PostgreSQL and Redis."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

from dtvn.log_limit import limit
from tests.integration import servers
from tests.simulation import fresh

pytest_plugins = [
    "tests.golden",
    "tests.integration.shared",
    "tests.interrupted",
    "tests.needed",
    "tests.threads",
]

# How long an example takes says how busy the machine is. In CI hypothesis has it so by itself.
settings.register_profile(
    "unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _own_log_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test logs says nothing of lines that were left out before it, or of a slow machine."""
    limit._logged.clear()
    monkeypatch.setattr(limit, "_now", lambda: 0.0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--scaled-out",
        action="store_true",
        default=False,
        help="networks of the integration tests live on the PostgreSQL and Redis of this machine",
    )
    parser.addoption(
        "--first-rows", action="store_true", default=False, help="of each table of rows only the first one"
    )
    parser.addoption("--rewrite", action="store_true", default=False, help="write golden files anew")


def pytest_configure(config: pytest.Config) -> None:
    fresh.choose_first_seed()
    if not config.getoption("--scaled-out"):
        return
    if reason := servers.missing():
        # On a person's machine it is enough to be told; what checks a change may not leave it out.
        code = 1 if os.environ.get("CI") == "true" else 0
        pytest.exit(f"skipped the run on PostgreSQL, Redis and RabbitMQ: {reason}", returncode=code)
    servers.use_servers()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of one deployment only run there, and are not counted as skipped elsewhere."""
    elsewhere = "embedded_only" if servers.scaled_out() else "scaled_out_only"
    left = [item for item in items if item.get_closest_marker(elsewhere)]
    if config.getoption("--first-rows"):
        left += _further_rows(items)
    if left:
        gone = set(left)
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=left)


def _further_rows(items: list[pytest.Item]) -> list[pytest.Item]:
    """All rows of a parametrised test but its first, unless its table is marked `every_row`."""
    seen: set[str] = set()
    further = []
    for item in items:
        test, row, _ = item.nodeid.partition("[")
        if row and test in seen and not item.get_closest_marker("every_row"):
            further.append(item)
        seen.add(test)
    return further


def pytest_collection_finish() -> None:
    """The collected tests stay until the end: without this the garbage collector walks them again and again,
    an eighth of all processor time."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    seeds = fresh.seeds()
    return (
        f"networks under test: {'on PostgreSQL and Redis' if servers.scaled_out() else 'embedded'}; "
        f"fresh worlds: {fresh.WORLD} {seeds.start} to {seeds.stop - 1} (WORLDS_FROM, WORLDS)"
    )
