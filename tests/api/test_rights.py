"""What the teams of one caller grant together: never more than one of them grants."""

from __future__ import annotations

import pytest

from dtvn.api.errors import ApiError
from dtvn.api.rights import NONE, READ, Grant, Rights

DOORS = Grant(frozenset({"gate"}), frozenset({"fest"}), frozenset({"vip"}), frozenset({"VIP"}))
BAR = Grant(frozenset({"gate"}), frozenset({"fest"}), frozenset({"bar"}), frozenset({"Adult"}))
OFFICE = Grant(frozenset({"issue", "operate"}), frozenset({"fair"}))
BOTH = Rights((DOORS, BAR, OFFICE))


@pytest.mark.parametrize(
    ("slug", "product", "takes"),
    [
        ("vip", "VIP", True),
        ("bar", "Adult", True),
        ("vip", "Adult", False),
        ("bar", "VIP", False),
        ("main", "VIP", False),
    ],
)
def test_a_list_of_one_team_takes_no_product_of_another(slug: str, product: str, takes: bool) -> None:
    assert BOTH.takes("gate", "fest", slug, product) is takes
    assert not BOTH.takes("gate", "fair", slug, product)


def test_a_right_holds_at_the_events_of_its_team_alone() -> None:
    assert BOTH.may("gate", "fest")
    assert BOTH.may(READ, "fair")
    assert not BOTH.may("gate", "fair")
    assert not BOTH.may("issue", "fest")
    assert not BOTH.may(READ, "other")
    assert not BOTH.may(READ, None)
    assert BOTH.events() == {"fest", "fair"}
    assert BOTH.events("issue") == {"fair"}
    assert BOTH.seen(["fair", "fest", "other"], "gate") == ["fest"]


@pytest.mark.parametrize(
    ("grant", "given"),
    [
        (DOORS, True),
        (Grant(frozenset({"gate"}), frozenset({"fest"})), False),
        (
            Grant(frozenset({"gate"}), frozenset({"fest"}), frozenset({"vip", "bar"}), frozenset({"VIP"})),
            False,
        ),
        (
            Grant(frozenset({"gate", "issue"}), frozenset({"fest"}), frozenset({"vip"}), frozenset({"VIP"})),
            False,
        ),
    ],
)
def test_only_what_a_team_has_is_given_away(grant: Grant, given: bool) -> None:
    assert BOTH.includes(grant, "fest") is given
    assert Rights((Grant(frozenset({"gate", "issue"})),)).includes(grant, "fest")
    assert not NONE.includes(grant, "fest")


@pytest.mark.parametrize(
    ("right", "event", "why"),
    [
        ("admin", "fest", "This needs the scope 'admin'."),
        ("gate", "fair", "At the event 'fair' this needs the scope 'gate'."),
        ("gate", "other", "This login is only for the events 'fair', 'fest'."),
        ("gate", None, "This login is only for the events 'fair', 'fest'."),
    ],
)
def test_a_refusal_names_what_is_missing(right: str, event: str | None, why: str) -> None:
    with pytest.raises(ApiError) as refused:
        BOTH.require(right, event)
    assert (refused.value.status, str(refused.value)) == (403, why)
