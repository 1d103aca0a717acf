"""Which changes of the membership are possible at all, each rule alone (R35-R37)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.membership import KIND, Change, founding, is_reconfiguration, outline
from dtvn.protocol.genesis import Member
from tests.host.support import key_pair, make_genesis

NOW = founding(make_genesis(4))
FIRST = NOW.members[0]
NEW = Member(id="new", public_key=key_pair("new")[0], host="127.0.0.1", port=7_000)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (Change(1, joins=(NEW,)), "wrong_epoch"),
        (Change(0), "malformed"),
        (Change(0, leaves="nobody"), "member_not_found"),
        (Change(0, joins=(replace(NEW, id=FIRST.id),)), "member_exists"),
        (Change(0, joins=(replace(NEW, public_key=FIRST.public_key),)), "key_in_use"),
        (Change(0, joins=(replace(NEW, host=""),)), "malformed"),
        (Change(0, joins=(replace(NEW, port=0),)), "malformed"),
        (Change(0, joins=(replace(NEW, port=65_536),)), "malformed"),
        (Change(0, leaves=FIRST.id, joins=(FIRST,)), "malformed"),
        (Change(0, leaves=FIRST.id), "too_few_members"),
    ],
)
def test_r36_a_change_that_cannot_be_is_refused_with_its_reason(change: Change, reason: str) -> None:
    assert outline(NOW, change) == reason


@pytest.mark.parametrize(
    ("change", "members"),
    [
        (Change(0, joins=(NEW,)), (*NOW.members, NEW)),
        (Change(0, leaves=FIRST.id, joins=(NEW,)), (NEW, *NOW.members[1:])),
        (Change(0, leaves=FIRST.id, allow_small=True), NOW.members[1:]),
        (
            Change(0, leaves=FIRST.id, joins=(replace(FIRST, host="127.0.0.9"),)),
            (replace(FIRST, host="127.0.0.9"), *NOW.members[1:]),
        ),
    ],
)
def test_r36_who_joins_takes_the_place_of_who_leaves(change: Change, members: tuple[Member, ...]) -> None:
    assert outline(NOW, change) == (members, NOW.parameters)


def test_r20_the_largest_cluster_takes_no_further_member() -> None:
    many = tuple(replace(NEW, id=f"n{number}", public_key=bytes([number]) * 32) for number in range(31))
    assert outline(replace(NOW, members=many), Change(0, joins=(NEW,))) == "full"
    assert outline(replace(NOW, members=many[:30]), Change(0, joins=(NEW,))) != "full"


def test_r35_a_change_of_members_stands_alone_in_its_request() -> None:
    change = m.Operation(KIND, "", "", "admin", "n0", 0)
    other = replace(change, kind="barrier")
    for operations, alone in (((change,), True), ((change, other), False), ((other,), False)):
        assert is_reconfiguration(m.Bundle(0, "admin", b"", (1, 0), 0, 0, operations)) is alone
