"""Principals and capabilities, checked by the log and by nothing else (R15)."""

from __future__ import annotations

from dtvn.machine import (
    Acquire,
    Admit,
    Barrier,
    Command,
    Consume,
    Dispute,
    Issue,
    LimitPrincipal,
    Release,
    Resolve,
    Seed,
    Validate,
)
from dtvn.machine.commands import read
from dtvn.protocol.canonical import encode
from dtvn.protocol.genesis import CAPABILITIES, Grant, Principal, check_grant
from tests.support.table import table
from tests.tickets_machine.support import SECOND, Machine, genesis, public

NEEDS: list[tuple[Command, str, str]] = [
    (Issue(), "T-9", "issue"),
    (Seed(), "", "admin"),
    (Validate(), "T-1", "operate"),
    (Dispute(), "T-1", "operate"),
    (Resolve(verdict="clear"), "T-1", "operate"),
    (Consume(), "T-1", "gate"),
    (Admit(), "T-1", "gate"),
]


def machine_where_someone_holds(*grants: Grant) -> Machine:
    everything = tuple(Grant("*", capability) for capability in CAPABILITIES)
    return Machine(
        genesis(
            principals=[
                Principal("gateway", public("g"), everything),
                Principal("someone", public("s"), grants),
            ]
        )
    )


@table(("command", "ticket", "capability"), NEEDS, count=7)
def test_r15_each_kind_needs_its_capability_in_its_event(
    command: Command, ticket: str, capability: str
) -> None:
    others = [Grant("*", other) for other in CAPABILITIES if other != capability]
    elsewhere = Grant("elsewhere", capability)
    without = machine_where_someone_holds(*others, elsewhere)
    without.do(Issue(), "T-1")
    before = without.show("T-1")
    assert without.do(command, ticket, principal="someone") == "not_permitted"
    assert without.show("T-1") == before

    for event in ("default", "*"):
        holder = machine_where_someone_holds(Grant(event, capability))
        holder.do(Issue(), "T-1")
        assert holder.do(command, ticket, principal="someone") != "not_permitted"


def test_r15_locks_that_ledgers_hold_need_operate_in_their_event() -> None:
    for capability in ("operate", "lock"):
        for event in ("default", "*"):
            holder = machine_where_someone_holds(Grant(event, capability))
            assert holder.do(Acquire("leader", b"a", SECOND), principal="someone") == "ok"
            assert holder.do(Release("leader", b"a"), principal="someone") == "ok"
    others = [Grant("*", other) for other in CAPABILITIES if other not in ("operate", "lock")]
    for grant in (*others, Grant("elsewhere", "operate")):
        without = machine_where_someone_holds(grant)
        assert without.do(Acquire("leader", b"a", SECOND), principal="someone") == "not_permitted"


def test_r15_any_principal_may_open_a_session_and_wait_for_a_barrier() -> None:
    assert machine_where_someone_holds().do(Barrier(), principal="someone") == "ok"


EVENTS = ["final:2026", "a_b-c.d", "7", "*", "e" * 64, "e" * 65, ":a", "a\n", "a b", "\u00fc", ""]


@table("event", EVENTS, count=11)
def test_r15_genesis_and_log_accept_the_same_events_in_grants(event: str) -> None:
    """One rule in two places: genesis knows no tickets."""
    wish = Grant(event, "gate")
    said = []
    for check in (check_grant, lambda grant: read("limit_principal", encode(LimitPrincipal("x", (grant,))))):
        try:
            check(wish)
            said.append(True)
        except ValueError:
            said.append(False)
    assert said[0] == said[1]


def test_the_key_of_a_principal_is_the_one_in_genesis() -> None:
    application = machine_where_someone_holds().application
    assert application.principal_key("someone") == public("s")
    assert application.principal_key("nobody") is None


def test_r24_the_root_covers_principals_parameters_and_demo() -> None:
    """Also where tickets and sessions are equal. The cluster id is held fixed, for it differs too."""
    machines = [
        machine_where_someone_holds(),
        machine_where_someone_holds(Grant("default", "gate")),
        Machine(genesis(demo=False)),
        Machine(genesis(nonces_max=101)),
        Machine(genesis(members=5)),
    ]
    fixed = b"c" * 32
    roots = {type(m.application)(m.genesis, fixed).root() for m in machines}
    assert len(roots) == len(machines)
