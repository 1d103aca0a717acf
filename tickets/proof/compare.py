"""Two valid certificates that cannot both be true convict those who signed both (R27).

An honest replica signs one log and executes it by the rules, so it signs neither two entries at one
place nor a log in which a ticket changes after a state that is final (PITFALLS row 22).
"""

from __future__ import annotations

import msgspec

from tickets.machine.transitions import State
from tickets.proof.verify import Proved, shown
from validators import quorum

__all__ = ["FINAL", "Contradiction", "compare"]

FINAL = frozenset({State.CONSUMED, State.UPHELD})
"""No operation leads out of these (tickets.machine.transitions)."""


class Contradiction(msgspec.Struct, frozen=True):
    """Why two certificates cannot both be true, and who signed both."""

    why: str
    convicted: tuple[str, ...]
    needed: int
    """f + 1 of the epoch: within one epoch at least so many are convicted."""

    def sentences(self) -> list[str]:
        """For people; the same words in every verifier."""
        names = ", ".join(self.convicted) or "nobody"
        return [
            f"contradiction: {self.why}",
            f"convicted, having signed both: {names} (f + 1 = {self.needed})",
        ]


def compare(one: Proved, other: Proved) -> Contradiction | None:
    """None when both can be true. Both must be verified against the same chain."""
    why = _why(one, other) or _why(other, one)
    if not why:
        return None
    known = {key for key, _name in other.signers}
    return Contradiction(
        why=why,
        convicted=tuple(shown(name) for key, name in one.signers if key in known),
        needed=quorum.weak_quorum(min(one.members, other.members)),
    )


def _why(one: Proved, other: Proved) -> str:
    if one.sequence == other.sequence:
        return f"two entries at sequence {one.sequence}" if one.entry_hash != other.entry_hash else ""
    if one.sequence > other.sequence or (one.event, one.ticket) != (other.event, other.ticket):
        return ""
    before, after = one.ticket_state(), other.ticket_state()
    if before is None or before.state not in FINAL or not other.state:
        return ""
    if after is not None and one.state == other.state:
        return ""
    return (
        f"ticket {shown(one.ticket)} of event {shown(one.event)} was final at sequence {one.sequence} "
        f"and another one at sequence {other.sequence}"
    )
