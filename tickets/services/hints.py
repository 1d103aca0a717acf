"""What may be wrong with a code that no ticket has: a word for people, which decides nothing."""

from __future__ import annotations

from dtvn.machine.codes import normalised
from tickets.services import codes
from tickets.services.keyboards import looks_misread, misreadings


def about(event: str, text: str, *, shown: bool) -> dict[str, str]:
    """Members of an answer: `hint`, a sentence; and `keyboard`, what to set, if the text seems to have been
    typed through a wrong keyboard layout. Empty without a likely cause. `shown`: the sentence may name
    another code and its ticket. Raises machine.codes.CodeError if the text cannot be a code."""
    given = normalised(text)
    readings = misreadings(given)
    code = codes.first_code(event, [reading.meant for reading in readings]) if readings else None
    for reading in readings:
        if reading.meant == code:
            return _members(reading.sentence, "It would be a code of this event on the right keyboard.")
    if hint := codes.hint_of(event, text, shown=shown):
        return {"hint": hint}
    looks = looks_misread(given, readings)
    return _members(looks.sentence, "It looks like a code typed on a wrong keyboard.") if looks else {}


def _members(keyboard: str, why: str) -> dict[str, str]:
    return {"hint": f"{why} {keyboard}", "keyboard": keyboard}
