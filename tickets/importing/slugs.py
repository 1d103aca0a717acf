"""Short names of events: the check of one, and a proposal made from a longer name."""

from __future__ import annotations

import re
import unicodedata

from dtvn.machine.fields import is_name
from tickets.importing.imported import EVENT_LENGTH_MAX
from tickets.importing.record import FileRefused

LETTERS = {"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l"}
"""Those that have no decomposition."""


def slug_of(name: str) -> str:
    """A slug for an event of this name, as in demo-night for "Démo Night!"; "" if it has no such letters."""
    spelled = "".join(LETTERS.get(letter, letter) for letter in name.lower())
    plain = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    return "-".join(re.findall("[a-z0-9]+", plain))[:EVENT_LENGTH_MAX].rstrip("-")


def is_slug(text: str) -> bool:
    """Whether an event may have this name."""
    return is_name(text) and len(text) <= EVENT_LENGTH_MAX


def check_event(event: str) -> None:
    """Raise FileRefused, with a proposal, if the text is not a valid event name."""
    if not is_slug(event):
        shown, proposed = event[: 2 * EVENT_LENGTH_MAX], slug_of(event)
        offer = f"; for example {proposed}" if proposed else ""
        raise FileRefused(f"The event {shown!r} is not 1 to {EVENT_LENGTH_MAX} of A-Z a-z 0-9 . _ : -{offer}")
