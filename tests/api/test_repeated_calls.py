"""A call that is repeated under the same Idempotency-Key orders the same operation once more, under the
nonce of before (R13, R14): whatever the path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dtvn.machine.kinds import KINDS, Kind
from dtvn.protocol.consensus import messages as m
from tests.api.conftest import Api, read
from tests.api.test_golden_members import key_of
from tests.fake_gateway import FakeGateway

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

LOCK = {"name": "leader", "holder": "w"}
TICKET: dict[str, Any] = {"ticket_id": "TICKET-001"}
MORE: dict[str, dict[str, Any]] = {
    "dispute": {"reason": "lost"},
    "resolve": {"verdict": "clear"},
    "force": {"reason": "lost"},
    "replace": {"barcodes": ["another"]},
    "change": {"seat": "A-1"},
}
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a principal is added": ("POST", "principals", {"name": "gate-1", "peer_id": key_of("gate-1")}),
    "its grants": ("PATCH", "principals/gateway", {"grants": [{"capability": "admin"}]}),
    "its key": ("POST", "principals/gateway/rotate", {"peer_id": key_of("gateway later")}),
    "its end": ("DELETE", "principals/gate-2", {}),
    "a lock is acquired": ("POST", "locks/acquire", LOCK | {"lease": 60}),
    "renewed": ("POST", "locks/renew", LOCK | {"token": 1, "lease": 60}),
    "released": ("POST", "locks/release", LOCK | {"token": 1}),
    "given up": ("POST", "locks/cancel", LOCK),
    "an event": ("PUT", "events/fest", {"name": "Fest"}),
    "validated at a node": ("POST", "tickets/validate-via-node", TICKET | {"node_id": "r2"}),
}


@pytest.fixture
def nonces(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Of all operations that were submitted, in order."""
    found: list[bytes] = []
    submit: Callable[..., Any] = fake.submit

    def watched(operations: Sequence[m.Operation], **more: Any) -> Any:
        found.extend(each.nonce for each in operations)
        return submit(operations, **more)

    monkeypatch.setattr(fake, "submit", watched)
    return found


def told(api: Api, nonces: list[bytes], method: str, path: str, body: dict[str, Any]) -> list[list[bytes]]:
    """The nonces of each of three calls: two under one key, the last under another."""
    found = []
    for key in ("one", "one", "two"):
        nonces.clear()
        answer = api.call(method, path, body, Idempotency_Key=key)
        assert nonces, read(answer)
        found.append([each for each in nonces if each])
    return found


@pytest.mark.parametrize("what", CALLS)
def test_r14_a_repeated_call_has_the_nonce_of_the_first(api: Api, nonces: list[bytes], what: str) -> None:
    first, again, other = told(api, nonces, *CALLS[what])
    assert len(first) == 1
    assert again == first != other


@pytest.mark.parametrize("kind", [each for each in KINDS.values() if each.rest], ids=lambda each: each.name)
def test_r14_an_operation_of_a_ticket_has_the_nonce_of_its_key(
    api: Api, nonces: list[bytes], kind: Kind
) -> None:
    path = "tickets" if kind.name == "issue" else kind.path
    first, again, other = told(api, nonces, "POST", path, TICKET | MORE.get(kind.name, {}))
    assert len(first) == 1
    assert again == first != other
