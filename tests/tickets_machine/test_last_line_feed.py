"""No name that the log holds ends with a line feed: `$` in a pattern would let one through."""

from __future__ import annotations

import pytest

from dtvn.machine import AddPrincipal, Admit, Command, CommandError, EventList, Resolve, SetEvent
from tests.tickets_machine.doors import Door
from tests.tickets_machine.support import public


@pytest.mark.parametrize(
    ("command", "ticket", "field"),
    [
        (lambda end: SetEvent(lists=(EventList(f"vip{end}"),)), "", "lists"),
        (lambda end: SetEvent(zone=f"Europe/Berlin{end}"), "", "zone"),
        (lambda end: Admit("north", "d1", bytes(32), f"vip{end}", "entry"), "", "list"),
        (lambda end: Resolve(verdict=f"clear{end}"), "T-1", "verdict"),
    ],
    ids=["a list", "a zone", "a list that is scanned", "a verdict"],
)
def test_a_last_line_feed_is_refused(command: object, ticket: str, field: str) -> None:
    door = Door()
    assert callable(command)
    door.operation(command(""), ticket)
    with pytest.raises(CommandError, match=f"^{field}: "):
        door.operation(command("\n"), ticket)


def test_a_principal_is_not_named_so() -> None:
    door = Door()

    def named(name: str) -> Command:
        return AddPrincipal(name=name, public_key=public("n"), grants=())

    door.operation(named("till"), event="")
    with pytest.raises(CommandError, match=r"^name: "):
        door.operation(named("till\n"), event="")
