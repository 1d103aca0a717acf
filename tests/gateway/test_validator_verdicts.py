"""What a validator answers and counts where members differ, are late, or are not asked at all."""

from __future__ import annotations

import pytest

from dtvn.events.config import Algorithm
from dtvn.gateway import DistributedValidator
from dtvn.protocol.genesis import CAPABILITIES
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.gateway.test_validator import BAD, GOOD, codes
from tests.host.support import make_genesis


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")


def test_what_only_members_refuse_is_an_error_too(gateway: FakeGateway) -> None:
    falsely(gateway, 1)
    with DistributedValidator(gateway, algorithm=Algorithm.UNANIMOUS) as validator:
        found = validator.validate_sequence(GOOD)
        assert (found.is_valid, codes(found)) == (False, ["NO_CERTIFICATE", "A_LIE"])
        assert found.errors[0].message == "Too few votes are equal."
        assert [each.index for each in found.errors] == [0, 0]


def test_what_members_find_valid_has_warnings_at_most(gateway: FakeGateway) -> None:
    falsely(gateway, 0, 1, 2, 3, errors=())
    with DistributedValidator(gateway) as validator:
        found = validator.validate_sequence(BAD)
    assert (found.is_valid, found.certified, codes(found)) == (True, True, [])
    assert [(each.code, each.severity) for each in found.warnings] == [("MESSAGE_NOT_OPEN", "warning")]
