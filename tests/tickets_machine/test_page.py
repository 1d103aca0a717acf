"""The tables of docs/understand/protocol/tickets.md equal the code's; run as a module it writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

from dtvn.machine import REASONS, TRANSITIONS, State, reasons
from dtvn.machine.kinds import KINDS
from dtvn.machine.order_of_reasons import ORDER
from tests.docs.tables import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "understand" / "protocol" / "tickets.md"


def operations() -> str:
    return table(
        ["kind", "fields", "capability"],
        [
            [name, ", ".join(kind.command.__struct_fields__) or "-", kind.capability or "-"]
            for name, kind in KINDS.items()
        ],
    )


def transitions() -> str:
    return table(
        ["", *(state.name for state in State)],
        [
            [action, *(t.name if isinstance(t, State) else f"`{t}`" for t in row.values())]
            for action, row in TRANSITIONS.items()
        ],
    )


def order() -> str:
    """The order of reasons of a scan: what all kinds share, then the table of the core."""
    kinds = ("entry", "exit", "force", "annul")
    shared = [
        ((reasons.MALFORMED,), kinds),
        ((reasons.NONCE_REUSED,), kinds),
        ((reasons.EXPIRED, reasons.TOO_FAR_AHEAD), kinds),
        ((reasons.BUSY,), kinds),
        ((reasons.NOT_PERMITTED,), kinds),
    ]
    asked = [(given, [kind for kind in kinds if kind in of]) for given, _check, of in ORDER]
    return table(
        ["place", "reason", "asked of", "HTTP", "whose", "pretix"],
        [
            [
                str(place),
                f"`{code}`",
                "all" if len(of) == len(kinds) else ", ".join(of),
                str(REASONS[code].status),
                REASONS[code].whose or "-",
                REASONS[code].pretix or "-",
            ]
            for place, (given, of) in enumerate([*shared, *asked], 1)
            for code in given
        ],
    )


TABLES = {"operations": operations, "transitions": transitions, "order": order}


def written_anew(page: str) -> str:
    for name, make in TABLES.items():
        page, found = re.subn(
            f"<!-- {name} -->.*?<!-- /{name} -->",
            lambda _, name=name, make=make: f"<!-- {name} -->\n{make()}\n<!-- /{name} -->",
            page,
            flags=re.DOTALL,
        )
        assert found == 1, name
    return page


def test_the_page_shows_the_tables_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written_anew(page)


if __name__ == "__main__":
    PAGE.write_text(written_anew(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
