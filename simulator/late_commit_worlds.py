"""Worlds in which COMMITs arrive after their view is over (R21; P3): the messages lost in each
view.

r3 commits late. From START to END votes are lost by view and receiver, so that views 0, 1 and 2 decide
nothing; none of these views lasts longer than half a second.
"""

from __future__ import annotations

from simulator.clock import SECOND
from simulator.run_plan import MessageLoss

START, END = SECOND // 2, 2 * SECOND
MEMBERS = ("r0", "r1", "r2", "r3")


def lost(
    kind: str, *, sender: str = "", but_at: str = "", view: int | None = None
) -> tuple[MessageLoss, ...]:
    """Loses messages of a kind, of one sender or all, for all members but `but_at`."""
    return tuple(
        MessageLoss(kind, sender=sender or None, receiver=name, view=view, start=START, end=END)
        for name in MEMBERS
        if name != but_at
    )


NO_WAY_ROUND = (*lost("SupplyFrames"), *lost("Entries"))

COMMITS_OF_OTHER_VIEWS = (
    *(message_loss for sender in MEMBERS[:3] for message_loss in lost("Commit", sender=sender, but_at="r3")),
    *NO_WAY_ROUND,
)
"""Only r3 receives COMMITs of others. In view 2 it sends those of view 0: each of the others decides by them,
in a view in which it has a COMMIT of its own for view 1."""

TWO_BATCHES_IN_TURN = (
    *(lost("Prepare", but_at="r0", view=0)),
    *(lost("ViewChange", sender="r0", view=1)),
    *(lost("Prepare", but_at="r1", view=1)),
    *(lost("ViewChange", sender="r1", view=2)),
    *(lost("Prepare", but_at="r2", view=2)),
    *(lost("ViewChange", sender="r2", view=3)),
    *(lost("Commit", sender="r3", but_at="r1")),
    *NO_WAY_ROUND,
)
"""Each of the first three primaries alone is prepared in its view, and the next view begins without its
VIEW-CHANGE. So r0 has a COMMIT for one batch in view 0, r1 for another in view 1, r2 for the first again in
view 2; view 3 has to take the second, whose certificate is of a higher view than that of r0. r1 has received
two COMMITs of honest members for the first batch, and r3 sends one more to r1 alone: q in all, not of one
view."""
