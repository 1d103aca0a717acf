"""What tests look with and a machine may lack: a browser, servers, node."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(why: str) -> NoReturn:
    """Skip this test on a person's machine; fail if `CI=true`, where every test must run."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)
