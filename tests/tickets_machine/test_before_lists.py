"""Rows that the release before lists wrote: the same state, root and answers, and lists from there on.

golden/before_lists.json was written by that release: the rows of test_code_state.lived() after one admission
by code and one of the first form, as a ledger keeps them, with their root.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dtvn.machine import Admit, EventList, SetEvent, State
from dtvn.machine.rows import change_from
from dtvn.protocol import canonical
from tests.tickets_machine import stored
from tests.tickets_machine.doors import EVENT, Door
from tests.tickets_machine.lists import annul, scan, visit

FILE = Path(__file__).parent / "golden" / "before_lists.json"
KEPT: dict[str, stored.KeptDoor] = json.loads(FILE.read_text())


def door_of(name: str) -> Door:
    """The door as that release left it, loaded by this one."""
    return stored.door_of(KEPT[name], searched=name == "searched")


@pytest.mark.parametrize("name", KEPT)
def test_rows_of_before_load_to_their_root_and_are_written_with_the_same_bytes(name: str) -> None:
    door = door_of(name)
    assert door.application.root().hex() == KEPT[name]["root"]
    for table, key, row in KEPT[name]["rows"]:
        if table == "event":
            change = change_from(table, bytes.fromhex(key), bytes.fromhex(row[0]))
            assert canonical.encode_trimmed(change.row).hex() == row[0]
    assert door.application.changes() == []


@pytest.mark.parametrize("name", KEPT)
def test_what_entered_before_counts_as_one_entry_on_main(name: str) -> None:
    door = door_of(name)
    assert scan(door, text="D").code == "already_consumed"
    door.does(SetEvent(lists=(EventList("main", returns=True), EventList("vip"))))
    gone = scan(door, text="D", kind="exit")
    assert (gone.code, visit(gone).used, visit(gone).gate) == ("ok", 0, "north")
    assert [scan(door, text="D").code, scan(door, "vip", text="D").code] == ["ok", "ok"]
    door.restart()
    assert scan(door, text="D").code == "already_consumed"


@pytest.mark.parametrize("name", KEPT)
def test_an_admission_of_before_is_annulled_like_any_other(name: str) -> None:
    door = door_of(name)
    assert annul(door, text="D").code == "ok"
    found = door.application.ticket(EVENT, "T-1")
    assert found is not None
    assert found.state is State.VALIDATED
    assert door.does(Admit("north", "d1"), "T-4").code == "already_consumed"
    assert scan(door, text="D").code == "ok"
    door.restart()
