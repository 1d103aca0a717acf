"""The ordered `grant`: all members of the epoch give a principal grants, whoever submits it (R15)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from dtvn.machine import (
    Admit,
    GrantPrincipal,
    GrantStatement,
    Issue,
    LimitPrincipal,
    RotatePrincipal,
    TicketApplication,
    granting,
    shown_principal,
    statement_bytes,
)
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import Grant, Principal, cluster_id
from dtvn.protocol.wire import ED25519
from tests.host.support import key_pair
from tests.tickets_machine.support import SECOND, Machine, genesis, public

DAY = 24 * 3_600 * SECOND
ISSUE = (Grant("*", "issue"),)
BARE = (Principal("door", public("d"), ()), Principal("seller", public("s"), ()))


class Bare(Machine):
    """A cluster of several parties that was founded without any grants; signatures are real."""

    def __init__(self) -> None:
        super().__init__(genesis(demo=False, principals=BARE))

    def _fresh(self) -> TicketApplication:
        return TicketApplication(
            self.genesis, cluster_id(self.genesis), searched=self.searched, verify=ED25519.verify
        )

    def statement(self, **changed: object) -> GrantStatement:
        until = self.now + 7 * DAY
        made = GrantStatement(epoch=0, name="seller", public_key=public("s"), grants=ISSUE, until=until)
        return replace(made, **changed)

    def signed(self, statement: GrantStatement, *, of: bytes | None = None) -> GrantPrincipal:
        data = statement_bytes(of or cluster_id(self.genesis), statement)
        names = [member.id for member in self.genesis.members]
        return GrantPrincipal(statement, tuple(ED25519.sign(key_pair(name)[1], data) for name in names))


@pytest.fixture
def machine() -> Bare:
    return Bare()


def test_r15_all_members_grant_in_a_cluster_founded_without_grants(machine: Bare) -> None:
    assert machine.do(Issue(), "T-1", principal="seller") == "not_permitted"
    operation = machine.operation(machine.signed(machine.statement()))
    [outcome] = machine.order(operation, principal="door")
    assert outcome.code == "ok"
    assert shown_principal(outcome.state).principal.grants == ISSUE
    assert machine.do(Issue(), "T-1", principal="seller") == "ok"
    assert machine.do(Admit(), "T-1", principal="seller") == "not_permitted"


def test_r15_a_grant_adds_to_those_that_the_principal_has(machine: Bare) -> None:
    gate = (Grant("final", "gate"), Grant("*", "issue"))
    assert machine.do(machine.signed(machine.statement()), principal="door") == "ok"
    more = machine.statement(grants=tuple(sorted(gate, key=lambda each: (each.event, each.capability))))
    assert machine.do(machine.signed(more), principal="door") == "ok"
    seller = machine.application.principals.get("seller")
    assert seller is not None
    assert set(seller.grants) == {*ISSUE, *gate}


def test_r15_a_grant_beyond_what_a_principal_may_have_changes_nothing(machine: Bare) -> None:
    for first in range(0, granting.GRANTS_MAX, granting.STATEMENT_GRANTS_MAX):
        events = range(first, first + granting.STATEMENT_GRANTS_MAX)
        some = tuple(Grant(f"e{number:02}", "gate") for number in events)
        assert machine.do(machine.signed(machine.statement(grants=some)), principal="door") == "ok"
    assert machine.do(machine.signed(machine.statement(grants=ISSUE)), principal="door") == "full"
    seller = machine.application.principals.get("seller")
    assert seller is not None
    assert [each.event for each in seller.grants] == [
        f"e{number:02}" for number in range(granting.GRANTS_MAX)
    ]
    again = machine.statement(grants=(Grant("e00", "gate"),))
    assert machine.do(machine.signed(again), principal="door") == "ok", "it has this one"


def without_one(machine: Bare) -> GrantPrincipal:
    whole = machine.signed(machine.statement())
    return replace(whole, signatures=whole.signatures[:3])


def with_a_wrong_one(machine: Bare) -> GrantPrincipal:
    whole = machine.signed(machine.statement())
    return replace(whole, signatures=(*whole.signatures[:3], whole.signatures[0]))


def in_another_order(machine: Bare) -> GrantPrincipal:
    whole = machine.signed(machine.statement())
    return replace(whole, signatures=whole.signatures[::-1])


def of_other_grants(machine: Bare) -> GrantPrincipal:
    whole = machine.signed(machine.statement())
    return replace(whole, statement=machine.statement(grants=(Grant("*", "admin"),)))


def of_another_cluster(machine: Bare) -> GrantPrincipal:
    return machine.signed(machine.statement(), of=bytes(32))


def for_too_long(machine: Bare) -> GrantPrincipal:
    return machine.signed(machine.statement(until=machine.now + 32 * DAY))


@pytest.mark.parametrize(
    "forged",
    [without_one, with_a_wrong_one, in_another_order, of_other_grants, of_another_cluster, for_too_long],
)
def test_r15_a_grant_without_all_valid_signatures_is_refused(
    machine: Bare, forged: Callable[[Bare], GrantPrincipal]
) -> None:
    assert machine.do(forged(machine), principal="door") == "not_permitted"
    assert machine.application.principals.get("seller") == BARE[1]


def test_r15_a_grant_of_another_epoch_or_after_its_time_is_refused(machine: Bare) -> None:
    assert machine.do(machine.signed(machine.statement(epoch=1)), principal="door") == "wrong_epoch"
    late = machine.signed(machine.statement(until=machine.now - 1))
    assert machine.do(late, principal="door") == "expired"


def test_r15_a_grant_names_a_listed_principal_and_its_present_key(machine: Bare) -> None:
    unknown = machine.signed(machine.statement(name="nobody"))
    assert machine.do(unknown, principal="door") == "principal_not_found"
    admin = machine.statement(name="door", public_key=public("d"), grants=(Grant("*", "admin"),))
    assert machine.do(machine.signed(admin), principal="door") == "ok"
    assert machine.do(RotatePrincipal("seller", public("s2")), principal="door") == "ok"
    assert machine.do(machine.signed(machine.statement()), principal="door") == "principal_not_found"


def test_r15_a_grant_takes_effect_once_also_after_a_restart(machine: Bare) -> None:
    both = machine.signed(machine.statement())
    admin = machine.statement(name="door", public_key=public("d"), grants=(Grant("*", "admin"),))
    assert machine.do(machine.signed(admin), principal="door") == "ok"
    assert machine.do(both, principal="door") == "ok"
    assert machine.do(LimitPrincipal("seller", ()), principal="door") == "ok"
    machine.save()
    reloaded = machine.reload()
    assert reloaded.root() == machine.application.root()
    machine.application = reloaded
    machine.now += 6 * DAY
    machine.sessions.clear()
    assert machine.do(both, principal="seller") == "nonce_reused"
    machine.now += 2 * DAY
    assert machine.do(both, principal="seller") == "expired"


def test_r15_a_batch_holds_one_grant_because_each_costs_signature_checks(machine: Bare) -> None:
    def asked(statement: GrantStatement) -> Operation:
        return machine.operation(machine.signed(statement))

    first, second = machine.statement(until=machine.now + DAY), machine.statement(until=machine.now + 2 * DAY)
    outcomes = machine.order(asked(first), asked(second), principal="door")
    assert [outcome.code for outcome in outcomes] == ["ok", "busy"]
    assert machine.order(asked(second), principal="door")[0].code == "ok"


def test_r15_a_grant_that_was_refused_cost_its_checks_too(machine: Bare) -> None:
    late, second = machine.statement(until=machine.now - DAY), machine.statement(until=machine.now + DAY)
    asked = [machine.operation(machine.signed(each)) for each in (late, second)]
    outcomes = machine.order(*asked, principal="door")
    assert [outcome.code for outcome in outcomes] == ["expired", "busy"]


def test_the_largest_grant_fits_the_smallest_batch(machine: Bare) -> None:
    grants = tuple(Grant(f"{at:064}", "operate") for at in range(granting.STATEMENT_GRANTS_MAX))
    statement = machine.statement(name="n" * 64, grants=grants)
    largest = GrantPrincipal(statement, (bytes(64),) * 31)
    assert len(machine.operation(largest, nonce=bytes(64)).payload) < 5_000
