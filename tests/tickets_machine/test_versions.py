"""The cluster's version (R47), and what it brings: repeats that name the first operation (R48)."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from dtvn.machine import Admit, Block, Issue, Reconfigure, SetEvent, TicketApplication, Validate
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.membership import Change, LivenessProof
from dtvn.protocol.consensus.messages import Bundle, Outcome
from dtvn.protocol.versions import FIRST, NEWEST
from tests.tickets_machine.support import HOUR, Machine, genesis, public, sealed

STORY = json.loads((Path(__file__).parent / "golden" / "release_0_1_0.json").read_text())
"""Written by release 0.1.0: genesis, and batches as (bundles, timestamp, results root, state root). They hold
operations of all its kinds, well-formed or not, and forms of later releases, which it calls malformed."""


def test_r47_a_log_of_release_0_1_0_gives_the_same_results_and_roots() -> None:
    founded = g.decode(base64.b64decode(STORY["genesis"]))
    application = TicketApplication(founded, g.cluster_id(founded))
    for sequence, (bundles, timestamp, results, root) in enumerate(STORY["batches"], 1):
        opened = [sealed(canonical.decode(Bundle, base64.b64decode(each))) for each in bundles]
        done = application.execute(opened, sequence=sequence, timestamp=timestamp)
        assert (done.results_root.hex(), application.root().hex()) == (results, root), sequence


def raising(machine: Machine, *, names: Sequence[str] = (), newest: int = 0, **other: int) -> Reconfigure:
    """The raise by one, with statements that name this version; `names`: of these members only."""
    now = machine.application.membership()
    wanted = replace(now.parameters, **{"version": now.version + 1, **other})
    said = (machine.sequence, machine.now)
    proofs = tuple(
        LivenessProof(member.id, *said, 2 * member.public_key, newest or wanted.version)
        for member in now.members
        if not names or member.id in names
    )
    return Reconfigure(Change(now.epoch, parameters=(wanted,), alive=proofs))


def first_version() -> Machine:
    return Machine(genesis(version=FIRST))


def test_r47_all_members_raise_the_version_and_what_needs_it_works_from_the_next_epoch_on() -> None:
    machine = first_version()
    machine.do(Issue(), "T-1")
    assert machine.do(Block("stolen"), "T-1") == "malformed"
    assert machine.do(Issue(codes=(bytes(32),)), "T-2") == "malformed"
    assert machine.do(SetEvent("Opera")) == "malformed"
    assert machine.do(raising(machine)) == "ok"
    assert machine.application.membership().version == FIRST + 1
    assert machine.do(Block("stolen"), "T-1") == "ok"
    assert machine.do(SetEvent("Opera")) == "ok"
    machine.restart()
    assert machine.application.membership().version == FIRST + 1


@pytest.mark.parametrize(
    "wanted",
    [
        lambda machine: raising(machine, names=["node0", "node1", "node2"]),
        lambda machine: raising(machine, newest=machine.application.membership().version),
        lambda machine: raising(machine, checkpoint_interval=20),
        lambda machine: raising(machine, version=machine.application.membership().version + 2),
    ],
    ids=["a member is silent", "a member runs less", "with another parameter", "by two"],
)
@pytest.mark.parametrize("version", [FIRST, NEWEST])
def test_r47_a_version_is_raised_by_one_alone_and_by_all(version: int, wanted: object) -> None:
    """Below the second version it is refused as by a program of the first, which cannot read the form."""
    machine = Machine(genesis(version=version))
    assert callable(wanted)
    found = machine.do(wanted(machine), nonce=b"raise")
    assert found == "malformed" if version == FIRST else found in ("malformed", "needs_version")
    assert machine.application.membership().epoch == 0
    assert machine.do(Issue(), "T-1", nonce=b"raise") == ("ok" if found == "malformed" else "nonce_reused")


def test_r47_nothing_lowers_a_version() -> None:
    machine = Machine()
    now = machine.application.membership()
    lowered = replace(now.parameters, version=FIRST)
    assert machine.do(Reconfigure(Change(0, parameters=(lowered,)))) == "malformed"


def test_r47_a_newcomer_names_the_version_of_the_cluster() -> None:
    machine = Machine()
    now = machine.application.membership()
    joins = (replace(now.members[0], id="node9", public_key=public("node9")),)
    for newest, code in ((0, "needs_version"), (NEWEST, "ok")):
        proofs = tuple(
            LivenessProof(member.id, machine.sequence, machine.now, 2 * member.public_key, newest)
            for member in (*now.members, *joins)
        )
        assert machine.do(Reconfigure(Change(0, joins=joins, alive=proofs))) == code


def test_r13_a_nonce_of_the_first_version_is_found_after_the_raise_in_the_form_of_today() -> None:
    machine = first_version()
    machine.do(Issue(), "T-1")
    (first,) = machine.order(machine.operation(Admit("north", "d1"), "T-1", nonce=b"scan"))
    assert first == Outcome("ok", first.state)
    place = (machine.sequence, 0)
    assert machine.do(raising(machine)) == "ok"
    again = machine.order(machine.operation(Admit("north", "d1", code=b""), "T-1", nonce=b"scan"))[0]
    assert (again.code, again.first) == ("ok", place)
    assert machine.do(Admit("south", "d1", code=b""), "T-1", nonce=b"scan") == "nonce_reused"


def test_r48_a_repeat_names_the_first_whatever_its_outcome_was() -> None:
    machine = Machine()
    machine.do(Issue(), "T-1")
    for command, code in ((Admit("north", "d1"), "ok"), (Validate(), "already_consumed")):
        asked = machine.operation(command, "T-1", nonce=code.encode())
        assert machine.order(asked)[0].first == ()
        place = (machine.sequence, 0)
        for _again in range(2):
            repeated = machine.order(asked)[0]
            assert (repeated.code, repeated.first) == (code, place)
    machine.now += 2 * HOUR
    late = machine.order(machine.operation(Admit("north", "d1"), "T-1", nonce=b"ok"))[0]
    assert (late.code, late.first) == ("ok", (machine.sequence - 6, 0)), (
        "the nonce is forgotten, the entry not"
    )
    other = machine.order(machine.operation(Validate(), "T-1"))[0]
    assert (other.code, other.first) == ("already_consumed", ())
