"""Sessions, principals, grants, members and recovery of the ticket machine, told whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from dtvn.machine import (
    AddPrincipal,
    Admit,
    Barrier,
    GrantPrincipal,
    GrantStatement,
    Issue,
    LimitPrincipal,
    OpenSession,
    Reconfigure,
    RevokePrincipal,
    RotatePrincipal,
    Validate,
)
from dtvn.machine.commands import build
from dtvn.protocol.consensus.membership import Change, LivenessProof
from dtvn.protocol.genesis import Grant, Member, Parameters, Principal
from dtvn.protocol.versions import NEWEST
from dtvn.recovery.ending import final_batch
from tests.golden import Compare
from tests.tickets_machine.forms import FORMS
from tests.tickets_machine.support import HOUR, SECOND, Machine, genesis, public
from tests.tickets_machine.telling import Teller

GOLDEN = Path(__file__).parent / "golden"
ADMIN = (Grant("*", "admin"), Grant("*", "issue"))
PRINCIPALS = (
    Principal("boss", public("b"), ADMIN),
    Principal("gateway", public("g"), (Grant("*", "issue"), Grant("*", "operate"), Grant("fest", "gate"))),
    Principal("reader", public("r"), ()),
)


def test_sessions(golden: Compare) -> None:
    """Bundles of sessions: duplicates, windows, eviction, unknown signers, late ones, malformed openings."""
    teller = Teller(Machine(genesis(principals=PRINCIPALS, sessions_max=5, nonces_max=6)))
    _bundles(teller)
    _windows(teller)
    _evictions(teller)
    _nonces_run_out(teller)
    golden(GOLDEN / "sessions.txt", teller.text)


def _bundles(teller: Teller) -> None:
    teller.chapter("One bundle twice, in one batch and later")
    machine = teller.machine
    issue = machine.operation(Issue(), "T-1")
    validate = machine.operation(Validate(), "T-1", valid_for=10)
    first = teller.bundle(issue, validate)
    teller.batch(first, teller.bundle(machine.operation(Barrier())), first)
    teller.batch(first)
    teller.batch(teller.bundle(validate, issue), after=SECOND)
    teller.batch(teller.bundle(validate), after=SECOND)
    teller.chapter("Bundles that open no session, and bundles without operations")
    opening = machine.operation(OpenSession(), nonce=b"again")
    for operations in ((opening, opening), (machine.operation(OpenSession()),), (issue,), ()):
        teller.batch(teller.bundle(*operations, session=(0, 0), number=0))
    teller.batch(teller.bundle(session=(1, 0), number=40))
    teller.batch(
        teller.bundle(opening, session=(0, 0), number=0), teller.bundle(opening, session=(0, 0), number=0)
    )
    teller.batch(teller.bundle(opening, session=(0, 0), number=0))
    teller.batch(teller.bundle(opening, session=(1, 0), number=41))
    teller.batch(teller.bundle(issue, session=(9, 9), number=0))
    teller.batch(teller.bundle(issue, session=(1, 0), number=42, principal="reader"))
    teller.batch(teller.bundle(issue, session=(1, 0), number=43, principal="nobody"))
    many = [machine.operation(Barrier())] * 1_001
    refused = machine.application.refuse(teller.bundle(*many).bundle, machine.now)
    teller.say(f"1001 operations: {refused}")
    later = msgspec.structs.replace(teller.bundle(issue).bundle, epoch=1)
    teller.say(f"a later epoch: {machine.application.refuse(later, machine.now)}")
    teller.restart()


def _windows(teller: Teller) -> None:
    teller.chapter("The window of numbers, and what a client is done with")
    machine = teller.machine
    for number, done in (
        (1_024, 0),
        (1_023, 0),
        (64, 64),
        (63, 0),
        (1_087, 0),
        (1_088, 0),
        (2_000, 1_500),
        (1_499, 9),
    ):
        bundle = teller.bundle(machine.operation(Barrier()), session=(1, 0), number=number, done_below=done)
        teller.batch(bundle)
    teller.restart()


def _evictions(teller: Teller) -> None:
    teller.chapter("A full table of sessions: who goes")
    machine = teller.machine
    machine.now += 2 * HOUR
    for number in range(3):
        teller.batch(machine.opening(principal="gateway", nonce=b"g%d" % number))
    for number in range(3):
        teller.batch(machine.opening(principal="reader", nonce=b"r%d" % number))
    used = teller.bundle(machine.operation(Barrier()), session=(1, 0), number=2_001, done_below=0)
    teller.batch(used)
    teller.batch(machine.opening(principal="boss", nonce=b"b0"))
    teller.restart()
    teller.batch(machine.opening(principal="boss", nonce=b"b1"))


def _nonces_run_out(teller: Teller) -> None:
    teller.chapter("Six nonces are the most, and an opening needs one besides")
    machine = teller.machine
    machine.now += 2 * HOUR
    machine.sessions["gateway"] = (machine.sequence + 1, 0)
    machine.numbers["gateway"] = 0
    teller.batch(machine.opening(nonce=b"n0"))
    for number in range(1, 7):
        teller.ask(Issue(), f"N-{number}", nonce=b"n%d" % number)
    teller.ask(Issue(), "N-7")
    teller.batch(machine.opening(nonce=b"beyond"))
    teller.restart()
    machine.now += HOUR + 30 * SECOND
    teller.ask(Issue(), "N-6", nonce=b"n6")
    teller.restart()


def test_principals(golden: Compare) -> None:
    """Principals are added, limited, rotated, revoked and granted to."""
    teller = Teller(Machine(genesis(principals=PRINCIPALS)))
    _adding(teller)
    _rotating(teller)
    _granting(teller)
    _revoking(teller)
    golden(GOLDEN / "principals.txt", teller.text)


def _boss(teller: Teller, command: Any, **more: Any) -> None:
    teller.ask(command, **{"principal": "boss"} | more)


def _adding(teller: Teller) -> None:
    teller.chapter("Added and limited")
    gate = (Grant("fest", "supervise"), Grant("*", "lock"), Grant("fest", "gate"))
    teller.ask(AddPrincipal("door", public("d"), gate))
    _boss(teller, AddPrincipal("door", public("d"), gate), actor="chief", nonce=b"add")
    _boss(teller, AddPrincipal("door", public("d2"), gate))
    _boss(teller, AddPrincipal("copy", public("d")))
    _boss(teller, AddPrincipal("copy", public("node2")))
    _boss(teller, AddPrincipal("copy", public("r"), (Grant("*", "record"),)))
    teller.ask(Issue(), "T-1", event="fest")
    teller.ask(Admit(gate="n"), "T-1", event="fest", principal="door")
    teller.ask(Issue(), "T-2", event="fest", principal="door")
    _boss(teller, LimitPrincipal("door", (Grant("other", "gate"),)))
    _boss(teller, LimitPrincipal("nobody", ()))
    _boss(teller, LimitPrincipal("boss", (Grant("fest", "admin"),)))
    teller.ask(Admit(gate="n"), "T-1", event="fest", principal="door")
    teller.restart()


def _rotating(teller: Teller) -> None:
    teller.chapter("Keys are rotated, with an overlap and without")
    machine = teller.machine
    _boss(teller, RotatePrincipal("nobody", public("n1")))
    _boss(teller, RotatePrincipal("gateway", public("d")))
    _boss(teller, RotatePrincipal("gateway", public("node1")))
    until = machine.now + 1 + 10 * SECOND
    _boss(teller, RotatePrincipal("gateway", public("g2"), overlap=10 * SECOND))
    teller.restart()
    session = machine.sessions["gateway"]
    for moment in (until - 1, until):
        for wire in ("gateway", "gateway#1"):
            machine.now = moment - 1
            bundle = teller.bundle(
                machine.operation(Barrier()), principal=wire, session=session, number=machine.sequence
            )
            teller.batch(bundle)
    _boss(teller, RotatePrincipal("gateway", public("g3")))
    _boss(teller, RotatePrincipal("gateway", public("g")))
    for wire in ("gateway#1", "gateway#2"):
        bundle = teller.bundle(
            machine.operation(Barrier()), principal=wire, session=session, number=machine.sequence
        )
        teller.batch(bundle)
    teller.restart()


def _granting(teller: Teller) -> None:
    teller.chapter("All members grant")
    machine = teller.machine
    statement = GrantStatement(
        0, "reader", public("r"), (Grant("*", "gate"), Grant("fest", "issue")), machine.now + HOUR
    )
    signatures = tuple(2 * public(f"node{number}") for number in range(4))
    replace = msgspec.structs.replace
    far = machine.now + 32 * 24 * HOUR
    for changed, signed in (
        ({"epoch": 1}, signatures),
        ({"until": machine.now - 1}, signatures),
        ({"name": "nobody"}, signatures),
        ({"public_key": public("g3")}, signatures),
        ({"until": far}, signatures),
        ({}, signatures[:3]),
        ({}, signatures[::-1]),
        ({}, signatures),
        ({}, signatures),
    ):
        teller.ask(GrantPrincipal(replace(statement, **changed), signed), principal="door")
    other = GrantPrincipal(replace(statement, grants=(Grant("x", "lock"),)), signatures)
    third = GrantPrincipal(replace(statement, grants=(Grant("y", "lock"),)), signatures)
    teller.order(machine.operation(other), machine.operation(third), principal="reader")
    teller.restart()
    machine.now += 2 * HOUR + SECOND
    teller.ask(GrantPrincipal(statement, signatures), principal="door")


def _revoking(teller: Teller) -> None:
    teller.chapter("Revoked")
    machine = teller.machine
    _boss(teller, RotatePrincipal("door", public("d3"), overlap=600 * SECOND))
    _boss(teller, RevokePrincipal("door"))
    _boss(teller, RevokePrincipal("door"))
    _boss(teller, RevokePrincipal("boss"))
    _boss(teller, LimitPrincipal("gateway", (Grant("*", "admin"),)))
    teller.restart()
    for wire in ("door", "door#1"):
        teller.batch(teller.bundle(machine.operation(Barrier()), principal=wire, session=(3, 0), number=77))
    _boss(teller, AddPrincipal("door", public("d4"), (Grant("*", "gate"),)))
    _boss(teller, RevokePrincipal("boss"))
    _boss(teller, RevokePrincipal("reader"))
    teller.restart()


def _life(
    teller: Teller, *names: str, executed: int | None = None, said: int = 0
) -> tuple[LivenessProof, ...]:
    """Liveness proofs of these, signed as the machine wants it."""
    machine = teller.machine
    done = machine.sequence if executed is None else executed
    return tuple(LivenessProof(name, done, machine.now + said, 2 * public(name), NEWEST) for name in names)


def _newcomer(name: str, port: int = 4_100) -> Member:
    return Member(name, public(name), "127.0.0.1", port)


def test_members(golden: Compare) -> None:
    """Members join, leave, are replaced; parameters change; keys are recovered."""
    teller = Teller(Machine(genesis(principals=PRINCIPALS)))
    _refused_changes(teller)
    _changes(teller)
    _recovery(teller)
    golden(GOLDEN / "members.txt", teller.text)


def _change(teller: Teller, change: Change, **more: Any) -> None:
    teller.ask(Reconfigure(change), **{"principal": "boss"} | more)


def _refused_changes(teller: Teller) -> None:
    teller.chapter("Changes that are refused")
    machine = teller.machine
    teller.ask(Issue(), "T-1", entry="node3", principal="gateway")
    five = ("node0", "node1", "node2", "node3", "node4")
    joins = (_newcomer("node4"),)
    _change(teller, Change(0, joins=joins), principal="gateway")
    for change in (
        Change(1, joins=joins),
        Change(0),
        Change(0, leaves="node9"),
        Change(0, joins=(_newcomer("node2"),)),
        Change(0, leaves="node3"),
        Change(0, joins=(Member("node4", public("g"), "127.0.0.1", 4_100),)),
        Change(0, joins=(Member("node4", public("node2"), "127.0.0.1", 4_100),)),
        Change(0, joins=joins, alive=_life(teller, *five[:4])),
        Change(0, joins=joins, alive=_life(teller, *five[2:])),
        Change(0, joins=joins, alive=_life(teller, *five[1:], said=-31 * SECOND)),
        Change(0, joins=joins, alive=_life(teller, *five[1:], said=3 * SECOND)),
        Change(0, joins=joins, alive=_life(teller, *five[1:], executed=-0)[:4]),
        Change(0, parameters=(Parameters(version=NEWEST, nonces_max=7),)),
        Change(0, parameters=(machine.genesis.parameters,)),
        Change(0, joins=joins, parameters=(Parameters(version=NEWEST),)),
    ):
        _change(teller, change)
    alive = _life(teller, *five)
    both = machine.operation(Reconfigure(Change(0, joins=joins, alive=alive)))
    teller.order(both, machine.operation(Barrier()), principal="boss")
    teller.restart()


def _changes(teller: Teller) -> None:
    teller.chapter("A member joins, one is replaced, one leaves; parameters change")
    machine = teller.machine
    five = ("node0", "node1", "node2", "node3", "node4")
    _change(teller, Change(0, joins=(_newcomer("node4"),), alive=_life(teller, *five)), nonce=b"join")
    teller.ask(Validate(), "T-1", entry="node4")
    teller.ask(Issue(), "T-2", entry="node9")
    replaced = (*five[:1], "fresh", *five[2:])
    _change(
        teller, Change(1, leaves="node1", joins=(_newcomer("fresh", 4_101),), alive=_life(teller, *replaced))
    )
    teller.ask(Issue(), "T-2", entry="node1")
    teller.ask(Issue(), "T-3", entry="fresh")
    teller.restart()
    parameters = msgspec.structs.replace(
        machine.genesis.parameters, checkpoint_interval=20, batch_operations_max=3
    )
    _change(teller, Change(2, parameters=(parameters,), alive=_life(teller, *replaced)))
    teller.order(*[machine.operation(Barrier())] * 4)
    four = ("node0", "fresh", "node2", "node4")
    _change(teller, Change(3, leaves="node3", alive=_life(teller, *four)))
    three = ("node0", "fresh", "node2")
    _change(teller, Change(4, leaves="node4", alive=_life(teller, *three)))
    _change(teller, Change(4, leaves="node4", alive=_life(teller, *three), allow_small=True))
    teller.ask(Validate(), "T-2", entry="fresh")
    teller.restart()


def _recovery(teller: Teller) -> None:
    teller.chapter("The members recover under new keys")
    for epoch, names in (
        (4, "xyz"),
        (5, "xy"),
        (5, "xxy"),
        (5, ("x", "y", "g")),
        (5, ("x", "node1", "z")),
        (5, "xyz"),
    ):
        batch = final_batch(epoch, tuple(public(name) for name in names))
        teller.batch(*batch.bundles)
    teller.ask(Validate(), "T-3", entry="node2")
    teller.restart()


def test_what_build_refuses(golden: Compare) -> None:
    """Each rule of form, with its sentence."""
    told = []
    for command, given in FORMS:
        try:
            build(command, **{"actor": "anna", "entry": "node0"} | given)
        except ValueError as error:
            told.append(f"{type(command).__name__}: {type(error).__name__}: {error}")
        else:
            told.append(f"{type(command).__name__}: fits")
    golden(GOLDEN / "forms.txt", "\n".join(told) + "\n")
