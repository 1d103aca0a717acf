"""Phase: how a replica that lost its ledger gets its vote back, under the old key (R11; decision 0051).

It does not know what it said before. But it could vote at most `reach` above its stable checkpoint, which q
members had signed; of any q others who answer, an honest one had executed that far, and has itself a stable
checkpoint at most `reach` lower. So with H the highest checkpoint that q others *prove* to have, nothing
was said above H + 2 reach. Once a checkpoint there is stable here, all slots that it could contradict are
below its low mark.

What binds it beyond slots are its VIEW-CHANGEs and NEW-VIEWs, and a liar alone may have heard one (decision
0164). But it left for a view v only with q members that wanted v, and an honest one wants no view but the
next: of any q others one at least is honest and was in v - 1 by then. So the vote comes back above every view
in which some q of those who proved their checkpoint were when asked, and above every view of a statement that
was shown. In v itself a forgotten VIEW-CHANGE for v contradicts nothing. So that this view comes, it asks for
it (`wishes`).

A proof cannot be inflated, and the first one of each counts, so no liar can raise H; one that is too low is
made good by the honest ones among q. But silence is not answered by anybody else: at n = 4 and 5 all others
must prove, at n = 7 five of six. So one liar there, or two at n = 7, that proves nothing (or names an
`executed` far above its checkpoint) puts the return off as long as it likes. The way out is a new key for
this member by reconfiguration (R11, R35).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from validators.consensus.certificate import read_checkpoint
from validators.consensus.messages import Commit, NewView, Pong, Prepare, PrePrepare, ViewChange
from validators.consensus.verified import Verified

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["Returning"]

VOTES = (PrePrepare, Prepare, Commit)
"""What binds in a slot. A SUSPECT binds to nothing, and names a view that nobody may ever reach."""


class Returning:
    """Owns what members showed since this replica lost its vote."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self._proved: dict[int, int] = {}
        """Member -> its stable checkpoint, proved, asked for after the vote was lost."""
        self._views: dict[int, int] = {}
        """Member that proved one -> the view it was in or bound to then."""
        self._shown_view = -1
        """Highest view of an own statement that members showed."""
        self._shown_sequence = 0

    def begin(self) -> None:
        """The vote is lost: what was heard before counts no more."""
        self._proved.clear()
        self._views.clear()
        self._shown_view, self._shown_sequence = -1, 0

    def asks(self, member: int) -> bool:
        """Whether this member has yet to show what it holds."""
        return member not in self._proved

    @property
    def _enough(self) -> int:
        """How many others must prove their checkpoint."""
        return min(self.core.q, self.core.n - 1)

    def waits_for(self) -> int | None:
        """The sequence at which a stable checkpoint gives the vote back; None while too few answered."""
        core = self.core
        if len(self._proved) < self._enough:
            return None
        highest = max(self._proved.values(), default=0)
        return max(highest + 2 * core.log.reach, self._shown_sequence)

    def view_due(self) -> int:
        """The lowest view in which the vote may come back."""
        lowest = sorted(self._views.values())[: self._enough]
        return max(self._shown_view, *lowest, -1) + 1

    def wished_view(self) -> int:
        """The view that it waits for, when nothing else is missing; else 0."""
        core = self.core
        due = None if core.voting or core.n == 1 else self.waits_for()
        if due is None or core.log.stable < due:
            return 0
        wanted = self.view_due()
        return wanted if core.views.view < wanted else 0

    def on_pong(self, member: int, verified: Verified[Pong]) -> None:
        """A member shows what it holds of the own word, and how far a checkpoint is stable there."""
        core = self.core
        message = verified.message
        for frame in message.frames:
            found = verified.nested.get(frame)
            own = None if found is None else found.message
            # Of an epoch that ended nothing binds, and this index may have been another member's in it.
            if own is not None and own.sender == core.index and own.epoch == core.config.epoch:
                if isinstance(own, (*VOTES, ViewChange, NewView)):
                    self._shown_view = max(self._shown_view, own.view)
                if isinstance(own, VOTES):
                    self._shown_sequence = max(self._shown_sequence, own.sequence)
        certificate = read_checkpoint(message.checkpoint, verified.nested, core.config)
        if message.checkpoint and certificate is None:
            return
        # What ended the epoch before is known to all members of this one, and signed by others.
        stable = core.config.base if certificate is None else certificate.sequence
        if message.epoch != core.config.epoch:
            return  # its view is one of another epoch
        if message.executed > stable + core.log.reach:
            return  # it catches up itself: its checkpoint does not tell how far it is
        self._views.setdefault(member, message.view)
        # Later checkpoints say nothing of what was said before: a liar's would put the return off for ever.
        self._proved.setdefault(member, stable)
        if certificate is not None:
            core.checkpoints.adopt(certificate)
        self.look()

    def look(self) -> None:
        """Vote again if nothing said before can be contradicted any more."""
        core = self.core
        if core.voting or core.n == 1:
            return
        due = self.waits_for()
        if due is None or core.log.stable < due:
            return
        if not core.views.changing and core.views.view >= self.view_due():
            core.vote_again()
