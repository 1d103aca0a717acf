"""Two valid certificates that contradict each other convict the members that signed both (R27).

An honest replica signs one log and executes it by the rules, so it signs neither two entries at one
sequence nor a log in which a ticket's state changes after a final one (P22). Its terms may change then: it
can be blocked, or get another code. An upheld dispute is final. A consumed ticket is, as long as it did
nothing else: what takes an entry back, and every further movement, is kept in its terms, and an answer about
such a ticket never has 23 fields again (R41).
"""

from __future__ import annotations

import msgspec

from dtvn.machine import ANSWERED_HEAD, State, TicketState
from dtvn.proof.verify import Proved
from dtvn.protocol import quorum
from dtvn.protocol.proof_forms import shown

TWO_ENTRIES = "two_entries"
"""Code: different entries at one sequence."""
CHANGED_FINAL = "changed_final"
"""Code: a ticket changed after a final state."""


class Contradiction(msgspec.Struct, frozen=True):
    """Why two certificates contradict each other, and the members that signed both."""

    code: str
    """TWO_ENTRIES or CHANGED_FINAL."""
    sequence: int
    """Of the earlier certificate."""
    why: str
    """The sentence of the code."""
    convicted: tuple[str, ...]
    needed: int
    """f + 1 of the epoch, the least number of members convicted by two certificates of one epoch."""

    def sentences(self) -> list[str]:
        """Texts for the user; the same words in every verifier."""
        names = ", ".join(self.convicted) or "nobody"
        return [
            f"contradiction: {self.why}",
            f"convicted, having signed both: {names} (f + 1 = {self.needed})",
        ]


def compare(one: Proved, other: Proved) -> Contradiction | None:
    """The contradiction of two certificates, None if both can be true. Both must have been verified against
    the same chain."""
    first, second = sorted((one, other), key=lambda proved: proved.sequence)
    why = _why(first, second)
    if not why:
        return None
    known = {key for key, _name in other.signers}
    return Contradiction(
        code=TWO_ENTRIES if first.sequence == second.sequence else CHANGED_FINAL,
        sequence=first.sequence,
        why=why,
        convicted=tuple(shown(name) for key, name in one.signers if key in known),
        needed=quorum.weak_quorum(min(one.members, other.members), one.mode),
    )


def _why(one: Proved, other: Proved) -> str:
    """The contradiction of a certificate and a later one, or one of the same sequence; "" if both can be
    true."""
    if one.sequence == other.sequence:
        return f"two entries at sequence {one.sequence}" if one.entry_hash != other.entry_hash else ""
    if (one.event, one.ticket) != (other.event, other.ticket):
        return ""
    before = one.ticket_state()
    if before is None or not _final(before, other) or not other.state or one.life() == other.life():
        return ""
    return (
        f"ticket {shown(one.ticket)} of event {shown(one.event)} was final at sequence {one.sequence} "
        f"and another one at sequence {other.sequence}"
    )


def _final(before: TicketState, later: Proved) -> bool:
    """Whether no operation can have led from a ticket's state to that of a later certificate."""
    if before.state is State.CONSUMED:
        return later.state.startswith(ANSWERED_HEAD)
    return before.state is State.UPHELD
