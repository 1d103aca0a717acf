"""A day at the gates, step by step from a file: entries, exits, annulments and forced entries on lists.

The steps of one ticket are played in the order of the file, those of different tickets at the same time, each
with a nonce and repeated until the network has decided. What comes out is compared with what the file
expects, and summed up as the page of the event sums up, so both can be held against a count by hand.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from dtvn.machine.lists import MAIN_SLUG
from dtvn.machine.reasons import OK, REASONS
from dtvn.wording import counted
from tickets.importing.platform import ask_until_final
from tickets.importing.record import FileRefused
from tickets.importing.until_final import Refused

ENTRY, EXIT, ANNUL, SUPERVISED, FORCE = ACTS = ("entry", "exit", "annul", "annul_supervised", "force")
PATHS = {
    ENTRY: "/api/v1/tickets/admit",
    EXIT: "/api/v1/tickets/admit",
    ANNUL: "/api/v1/tickets/annul",
    SUPERVISED: "/api/v1/tickets/annul",
    FORCE: "/api/v1/tickets/force",
}
COLUMNS = ("act", "code", "ticket_id", "list", "gate", "device", "reason", "expect")
STEPS_MAX = 200_000
DIFFERING_SHOWN = 20


class Step(msgspec.Struct, frozen=True):
    """One row of the file."""

    row: int
    """In the file; its header is row 1."""
    act: str
    """Of ACTS."""
    code: str
    """What is scanned; "" if the ticket is named by its id."""
    ticket_id: str
    list: str
    gate: str
    device: str
    reason: str
    expect: str
    """ "ok" or the reason of a refusal; "" for whatever is decided."""


class Played(msgspec.Struct, frozen=True):
    """A step and its outcome."""

    step: Step
    code: str
    """ "ok", the reason of the refusal, or "" if it was not decided in time."""
    ticket_id: str
    trouble: str = ""

    @property
    def differs(self) -> bool:
        """Whether it is undecided, or not what the file expects."""
        return not self.code or self.step.expect not in ("", self.code)


class Sums(msgspec.Struct):
    """What stands on one list after the steps."""

    entries: int = 0
    exits: int = 0
    forced: int = 0
    annulled: int = 0
    refused: int = 0

    @property
    def inside(self) -> int:
        """Entries that no exit followed."""
        return self.entries - self.exits


def read_steps(path: Path) -> list[Step]:
    """The steps of a CSV file in UTF-8; raises FileRefused with the row."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileRefused(f"{path} cannot be read: {error}.") from error
    reader = csv.DictReader(io.StringIO(text))
    names = reader.fieldnames or ()
    if unknown := [name for name in names if name not in COLUMNS]:
        raise FileRefused(f"{path}: unknown column {unknown[0]!r}; known: {', '.join(COLUMNS)}.")
    if "act" not in names or not {"code", "ticket_id"} & set(names):
        raise FileRefused(f"{path}: it needs the columns act, and code or ticket_id.")
    steps = [_step(path, number, row) for number, row in enumerate(reader, start=2)]
    if not 0 < len(steps) <= STEPS_MAX:
        raise FileRefused(f"{path} must hold 1 to {STEPS_MAX:,} steps, not {len(steps):,}.")
    return steps


def _step(path: Path, number: int, row: dict[str | Any, str | Any]) -> Step:
    """A row; an empty list is `main`."""
    if None in row:
        raise FileRefused(f"{path}, row {number}: more cells than columns.")
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    step = Step(number, **cells | {"list": cells["list"] or MAIN_SLUG})
    if step.act not in ACTS:
        raise FileRefused(f"{path}, row {number}: act must be one of {', '.join(ACTS)}.")
    if bool(step.code) == bool(step.ticket_id):
        raise FileRefused(f"{path}, row {number}: give code or ticket_id.")
    if step.act in (SUPERVISED, FORCE) and not step.reason:
        raise FileRefused(f"{path}, row {number}: {step.act} needs a reason.")
    if step.expect and step.expect not in REASONS:
        raise FileRefused(f"{path}, row {number}: expect {step.expect!r} is no code of an answer.")
    return step


async def play_steps(
    client: httpx.AsyncClient,
    steps: Sequence[Step],
    *,
    event: str,
    gates: int,
    patience: float,
    run: str,
    told: Callable[[Played], None],
) -> None:
    """Play all steps, of at most `gates` tickets at the same time. `patience`: seconds for which one step is
    repeated; `run` makes the nonces differ from those of any other run. Raises Refused."""
    by_ticket: dict[tuple[str, str], list[Step]] = defaultdict(list)
    for step in steps:
        by_ticket[step.code, step.ticket_id].append(step)
    waiting = iter(by_ticket.values())

    async def work() -> None:
        for mine in waiting:
            for step in mine:
                told(await _decided(client, step, event=event, patience=patience, run=run))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(gates, len(by_ticket))):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _decided(client: httpx.AsyncClient, step: Step, *, event: str, patience: float, run: str) -> Played:
    body: dict[str, Any] = {"event": event, "list": step.list, "nonce": f"step-{run}-{step.row}"}
    named = {name: getattr(step, name) for name in ("ticket_id", "gate", "device", "reason")}
    body |= {name: value for name, value in named.items() if value and (name != "reason" or _says_why(step))}
    if step.code:
        body["barcode"] = step.code
    if step.act in (ENTRY, EXIT):
        body["kind"] = step.act
    if step.act == SUPERVISED:
        body["supervised"] = True
    asked = await ask_until_final(client, PATHS[step.act], body, patience=patience)
    if asked.response is None:
        return Played(step, "", step.ticket_id, asked.trouble)
    try:
        answer = msgspec.json.decode(asked.response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        answer = {}
    if answer.get("code") not in REASONS:
        status, text = asked.response.status_code, asked.response.text[:200]
        raise Refused(f"row {step.row}: the platform answered {status}: {text}")
    return Played(step, answer["code"], answer.get("ticket_id") or step.ticket_id)


def _says_why(step: Step) -> bool:
    return step.act not in (ENTRY, EXIT)


def sums_of(played: Iterable[Played]) -> dict[str, Sums]:
    """List -> what stands on it, of these steps, each ticket's in their order."""
    found: dict[str, Sums] = defaultdict(Sums)
    standing: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in played:
        sums, mine = found[one.step.list], standing[one.step.list, one.ticket_id]
        if one.code != OK:
            sums.refused += bool(one.code)
        elif one.step.act in (ANNUL, SUPERVISED):
            sums.annulled += 1
            if mine:
                _count(sums, mine.pop(), -1)
        else:
            mine.append(one.step.act)
            _count(sums, one.step.act, +1)
    return dict(sorted(found.items()))


def _count(sums: Sums, act: str, sign: int) -> None:
    if act == EXIT:
        sums.exits += sign
        return
    sums.entries += sign
    sums.forced += sign * (act == FORCE)


def steps_object(played: Sequence[Played]) -> dict[str, Any]:
    """The result as JSON."""
    return {
        "as_expected": not any(one.differs for one in played),
        "steps": len(played),
        "lists": {
            name: msgspec.to_builtins(sums) | {"inside": sums.inside}
            for name, sums in sums_of(played).items()
        },
        "differing": [
            {
                "row": one.step.row,
                "act": one.step.act,
                "expect": one.step.expect,
                "code": one.code,
                "trouble": one.trouble,
            }
            for one in sorted(played, key=lambda one: one.step.row)
            if one.differs
        ],
    }


def steps_lines(result: dict[str, Any]) -> Iterator[str]:
    """The same in sentences."""
    yield f"{counted(result['steps'], 'step')} played. On the lists now, of these steps:"
    for name, sums in result["lists"].items():
        yield (
            f"  {name}: {sums['entries']:,} admitted ({sums['forced']:,} by force), "
            f"{sums['exits']:,} let out, {sums['inside']:,} inside, "
            f"{sums['annulled']:,} annulled, {sums['refused']:,} refused"
        )
    differing = result["differing"]
    for one in differing[:DIFFERING_SHOWN]:
        got = one["code"] or f"not decided ({one['trouble']})"
        yield f"  row {one['row']}, {one['act']}: {got}" + (f", not {one['expect']}" if one["expect"] else "")
    if len(differing) > DIFFERING_SHOWN:
        yield f"  and {len(differing) - DIFFERING_SHOWN:,} more (--json shows all)"
    yield "All as expected." if result["as_expected"] else "NOT as expected."
