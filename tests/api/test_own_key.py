"""The platform's own key if its folder is missing or full: an error, and nothing is ordered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from validators.services import principals

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def test_a_key_that_cannot_be_stored_is_not_requested(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(principals, "key_file", lambda: tmp_path / "gone" / "gateway.key")
    before = fake.acknowledged
    answer = api.post("principals/gateway/rotate")
    assert answer.status_code == 409
    assert "cannot be saved" in read(answer)["error"]
    assert fake.acknowledged == before
