"""Fixtures of the platform's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.platform.desk import Desk
from validators.services import cluster


@pytest.fixture
def desk(tmp_path: Path, settings: Any) -> Iterator[Desk]:
    settings.SUPERVISOR = True
    cluster.reset_cluster()
    return Desk(tmp_path)
