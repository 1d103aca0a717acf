"""Numbers in URLs and headers: the checked value is the used one, out of range is 400."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api

DIGITS = "9" * 5_000
"""More of them than Python's int() takes."""


@pytest.mark.django_db(databases=["default", "learner"])
@pytest.mark.parametrize("path", ["simulator/runs", "changes"])
@pytest.mark.parametrize("number", ["9" * 30, DIGITS])
def test_an_impossible_row_number_is_404(api: Api, path: str, number: str) -> None:
    assert api.get(f"{path}/{number}").status_code == 404
