"""The platform's own key: never the only copy of a key that the log has accepted is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtvn.files.whole import write_private
from dtvn.gateway.identity import read_identity
from dtvn.net import encode_seed, public_key_of
from dtvn.node.keys import peer_id
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from validators.services import principals

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the platform's own key, which is there."""
    path = tmp_path / "gateway.key"
    write_private(path, encode_seed(bytes(32), "gateway"))
    monkeypatch.setattr(principals, "key_file", lambda: path)
    return path


def replaced_after_a_silent_call(api: Api, fake: FakeGateway) -> None:
    """One call gets no outcome; then another key is given to the principal."""
    fake.mute = True
    assert api.post("principals/gateway/rotate").status_code == 504
    fake.mute = False
    other = {"peer_id": peer_id(public_key_of(b"o" * 32)), "overlap": 0}
    assert api.post("principals/gateway/rotate", other).status_code == 200


def test_a_key_that_cannot_be_stored_is_not_requested(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(principals, "key_file", lambda: tmp_path / "gone" / "gateway.key")
    before = fake.acknowledged
    answer = api.post("principals/gateway/rotate")
    assert answer.status_code == 409
    assert "cannot be saved" in read(answer)["error"]
    assert fake.acknowledged == before


@pytest.mark.parametrize("learner", ["follows", "lags"])
def test_r14_a_rotation_without_an_outcome_is_repeated_otherwise(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, path: Path, learner: str
) -> None:
    earlier = principals.find_principal("gateway")
    fake.mute = True
    assert api.post("principals/gateway/rotate").status_code == 504
    fake.mute = False
    if learner == "lags":
        monkeypatch.setattr(principals, "find_principal", lambda _name: earlier)
        monkeypatch.setattr(principals.feed, "wait_for", lambda *_: 0)
    answer = api.post("principals/gateway/rotate", {"overlap": 1})
    assert answer.status_code == (200 if learner == "follows" else 504)
    accepted = fake.application.principals.get("gateway").public_key
    kept = [file for file in (path, principals.next_path(path)) if file.exists()]
    assert accepted in {public_key_of(read_identity(file).seed) for file in kept}


def test_a_decided_key_that_cannot_be_installed_is_still_there(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """The members accept no other. Gateways try it (gateway.identity), and a repeated call installs it."""

    def full(file: Path, content: bytes, *, replace: bool = False) -> None:
        if file == path:
            raise OSError(28, "No space left on device")
        write_private(file, content, replace=replace)

    with monkeypatch.context() as context:
        context.setattr(principals, "write_private", full)
        refused = api.post("principals/gateway/rotate")
        assert (refused.status_code, read(refused)["error"]) == (
            409,
            "The new key counts, but cannot be saved as the platform's own: No space left on device. "
            "Gateways sign with it all the same; rotate again to save it.",
        )
    accepted = fake.application.principals.get("gateway").public_key
    assert public_key_of(read_identity(principals.next_path(path)).seed) == accepted
    assert api.post("principals/gateway/rotate").status_code == 200
    assert public_key_of(read_identity(path).seed) == accepted


def test_a_next_key_that_was_replaced_meanwhile_is_dropped(api: Api, fake: FakeGateway, path: Path) -> None:
    replaced_after_a_silent_call(api, fake)
    assert read(api.post("principals/gateway/rotate"))["code"] == "key_in_use"
    assert api.post("principals/gateway/rotate").status_code == 200


def test_a_next_key_that_a_later_call_has_made_is_kept(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """The refused call drops its own key only."""
    replaced_after_a_silent_call(api, fake)
    later = encode_seed(b"l" * 32, "gateway#2")

    def meanwhile(sequence: int, _wait: float) -> int:
        write_private(principals.next_path(path), later, replace=True)
        return sequence

    monkeypatch.setattr(principals.feed, "wait_for", meanwhile)
    assert read(api.post("principals/gateway/rotate"))["code"] == "key_in_use"
    assert principals.next_path(path).read_bytes() == later
