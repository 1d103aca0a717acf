"""The entry node of a request is the gateway's choice (tests/gateway/test_entries.py)."""

from __future__ import annotations

import random

import pytest

from dtvn.events.config import Balancing, LoadBalancerConfig
from dtvn.gateway.entries import Entries
from tests.api.conftest import Api
from tests.fake_gateway import FakeGateway
from validators.ledger.models import OperationRecord

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def test_operations_on_one_lock_have_one_entry_node_by_consistent_hash(api: Api, fake: FakeGateway) -> None:
    config = LoadBalancerConfig(algorithm=Balancing.CONSISTENT_HASH)
    fake.entries = Entries([member.id for member in fake.present.members], 1, random.Random(0), 0.0, config)
    names = [f"L-{number}" for number in range(9)]
    for _ in range(2):
        asked = ({"name": name, "holder": "a", "lease": 30} for name in names)
        assert set(api.codes("locks/acquire", *asked)) == {200}
    entries = list(OperationRecord.objects.filter(operation="lock").values_list("entry", flat=True))
    assert entries[:9] == entries[9:]
    assert len(set(entries)) > 1
