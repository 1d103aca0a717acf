"""What may be wrong with a code that no ticket has: a word for people, which decides nothing."""

from __future__ import annotations

from collections.abc import Mapping

from dtvn.api.outcome import Hint
from dtvn.api.rights import Rights
from dtvn.machine.codes import normalised
from dtvn.machine.rows import EventRow
from tickets.services import codes
from tickets.services.codes import KnownCode
from tickets.services.keyboards import looks_misread, misreadings
from tickets.services.reader_faults import JOINED, LENGTH_MAX, LENGTH_MIN, candidates, fault, joints
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.services.wrong_codes import wrong_codes

NOTHING: Mapping[str, EventRow] = {}
SCOPES = frozenset({"gate", "operate"})
"""Scopes any one of which gets hints: they would help others to guess."""


def allowed(actor: str, rights: Rights, event: str | None) -> bool:
    """Whether this caller gets another hint now at `event` (None: at all): each costs several look-ups."""
    return rights.may_any(SCOPES, event) and wrong_codes.allows_hint(actor)


def about(event: str, text: str, *, shown: bool, others: Mapping[str, EventRow] = NOTHING) -> Hint | None:
    """A likely cause, or None. `shown`: the sentence may name another code of the event and its ticket.
    `others`: slug -> row of the events of which the ticket may be instead. Raises machine.codes.CodeError if
    the text cannot be a code."""
    given = normalised(text)
    readings = misreadings(given)
    code = codes.first_code(event, [reading.meant for reading in readings]) if readings else None
    for reading in readings:
        if reading.meant == code:
            return _of_keyboard(reading.sentence, "It would be a code of this event on the right keyboard.")
    known = codes.codes_like(event, given, candidates(given), others)
    elsewhere = [one for one in known if one.event != event and one.code == given]
    if elsewhere and LENGTH_MIN <= len(given) <= LENGTH_MAX:
        return _of_other_event(event, elsewhere, others)
    own = [one for one in known if one.event == event and codes.folded(one.code) == codes.folded(given)]
    if same := [one for one in own if one.code.casefold() == given.casefold()]:
        return _alike(same[0], "It differs only in case from", shown=shown)
    if _is_joined(event, given, others):
        return Hint(JOINED, whose="gate")
    if explained := [one for one in known if fault(given, one.code)]:
        here = [one for one in explained if one.event == event]  # a pass may be a ticket of several events
        return _of_reader(given, here or explained)
    if own:
        return _alike(own[0], "It looks like", shown=shown)
    looks = looks_misread(given, readings)
    return _of_keyboard(looks.sentence, "It looks like a code typed on a wrong keyboard.") if looks else None


def _is_joined(event: str, given: str, others: Mapping[str, EventRow]) -> bool:
    """Whether the text is two codes and nothing else; a reader may read the same one twice."""
    cuts = joints(given)
    if not cuts:
        return False
    parts = {part for cut in cuts for part in cut}
    known = {one.code for one in codes.codes_like(event, given, parts, others, elsewhere=parts)}
    return any(first in known and second in known for first, second in cuts)


def _of_keyboard(keyboard: str, why: str) -> Hint:
    return Hint(f"{why} {keyboard}", keyboard=keyboard, whose="gate")


def _of_other_event(event: str, known: list[KnownCode], others: Mapping[str, EventRow]) -> Hint | None:
    """Nothing of tickets of several events: which of them is meant is not known."""
    if len({one.event for one in known}) > 1:
        return None
    row = read.event_row(LEARNER_ALIAS, event)
    own = (row.name if row is not None else "") or event
    other = known[0].event
    named = others[other].name or other
    return Hint(f"This gate is set to {own}; the ticket is of another event ({named}).", whose="gate")


def _of_reader(given: str, known: list[KnownCode]) -> Hint | None:
    """Nothing if several tickets may be meant; a code inside another one that explains the text too is not
    meant."""
    whole = [one for one in known if not any(one.code != two.code and one.code in two.code for two in known)]
    if len({(one.event, one.ticket) for one in whole}) > 1:
        return None
    return Hint(fault(given, whole[0].code), whose="gate")


def _alike(one: KnownCode, how: str, *, shown: bool) -> Hint:
    if one.code == one.ticket:
        return Hint(f"{how} {f'ticket {one.ticket}' if shown else 'a ticket of this event'}.")
    return Hint(
        f"{how} {f'{one.code!r}, a code of ticket {one.ticket}' if shown else 'a code of this event'}."
    )
