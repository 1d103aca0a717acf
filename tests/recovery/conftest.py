"""Towns that need a recovery, and that have been signed: made once, copied for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recovery.paper import Town
from tests.recovery.steps import Steps, admit_seven


@pytest.fixture(autouse=True)
def _databases(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def seven_admitted(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Steps:
    """Seven tickets are admitted above the stable checkpoint at 60; then r2's disk is gone and r3 is restored
    from a copy of that moment. r1 executed only two of them."""
    steps = Steps(tmp_path_factory.mktemp("seven") / "town", Town())
    steps.found()
    with django_db_blocker.unblock():
        admit_seven(steps)
    return steps


@pytest.fixture(scope="module")
def all_signed(
    seven_admitted: Steps, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Steps:
    """And all members signed where the epoch ends."""
    steps = seven_admitted.copied(tmp_path_factory.mktemp("signed") / "town")
    with django_db_blocker.unblock():
        steps.seal(vouchers=("r0", "r1"), late=("r2",))
    return steps


@pytest.fixture
def steps(seven_admitted: Steps, tmp_path: Path) -> Steps:
    return seven_admitted.copied(tmp_path / "town")


@pytest.fixture
def sealed(all_signed: Steps, tmp_path: Path) -> Steps:
    return all_signed.copied(tmp_path / "sealed")
