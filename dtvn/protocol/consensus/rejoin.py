"""Gives a replica that lost its ledger its vote back under its old key (R11; decision 0051).

The ledger notices the loss when it opens (validators/ledger/open.py): it is empty, and a stamp beside the key
says that the node has voted.

The replica does not know its earlier statements. But it could vote at most one span (`Config.watermark_span`)
above its stable checkpoint, which q members had signed. Among any q other members that answer, an honest one
had executed that far, and has itself a stable checkpoint at most one span lower. So if H is the highest
checkpoint that q others *prove* to have, the replica voted for nothing above H + 2 spans. Once it has a
stable checkpoint there, all slots in which it could contradict itself are below its low mark.

It is also bound by its earlier VIEW-CHANGEs and NEW-VIEWs, and a single liar may be the only member that
received one (decision 0164). But the replica left for a view v only when q members wanted v, and an honest
member wants no view but the next. So among any q others at least one is honest and was in v - 1 by then. The
vote therefore comes back only above the views of q members that proved their checkpoints, as of their
answers, and above the view of every statement that was shown. In v itself a forgotten VIEW-CHANGE for v
contradicts nothing. The replica asks the other members to move to such a view (`rejoin_views`).

A liar cannot raise H: a proof cannot claim a checkpoint that does not exist, and only the first proof of each
member counts. The honest members among q compensate for a proof that is too low. But silence delays the
return: at n = 4 and 5 all other members must prove their checkpoints, at n = 7 five of six. So one liar, or
two at n = 7, that proves nothing (or names an `executed` far above its checkpoint) delays the return as long
as it likes. The way out is a new key for this member by reconfiguration (R11, R35).
"""

from __future__ import annotations

from dtvn.protocol.consensus.certificate import read_checkpoint
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.messages import Commit, NewView, Pong, Prepare, PrePrepare, ViewChange
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.consensus.voting import Voting

VOTES = (PrePrepare, Prepare, Commit)
"""Statements that bind their sender in a slot. A SUSPECT does not bind, and its view may never be reached."""


class Rejoin:
    """Owns what the other members have shown since this replica lost its vote."""

    def __init__(
        self,
        state: State,
        checkpoints: Checkpoints,
        voting: Voting,
        *,
        in_any_view: bool = False,
    ) -> None:
        """`in_any_view`: n - q + 1 others must prove their checkpoint, one of which knows of each entry that
        this member acknowledged; the view does not matter (R44)."""
        self.state = state
        self._in_any_view = in_any_view
        self.checkpoints = checkpoints
        self.voting = voting
        self._proved: dict[int, int] = {}
        """Member -> the stable checkpoint in the first proof it sent after the vote was lost."""
        self._views: dict[int, int] = {}
        """Member that proved a checkpoint -> the view it was in or bound to at that time."""
        self._shown_view = -1
        """Highest view of an own statement that members showed."""
        self._shown_sequence = 0
        """Highest sequence of an own vote that members showed."""

    def begin(self) -> None:
        """Starts over: the vote is lost, and answers received before do not count."""
        self._proved.clear()
        self._views.clear()
        self._shown_view, self._shown_sequence = -1, 0

    def asks(self, member: int) -> bool:
        """Whether this member has not yet proved its checkpoint."""
        return member not in self._proved

    @property
    def _enough(self) -> int:
        """Number of other members that must prove their checkpoint."""
        n, q = self.state.n, self.state.q
        return n - q + 1 if self._in_any_view else min(q, n - 1)

    def waits_for(self) -> int | None:
        """The sequence at which a stable checkpoint gives the vote back; None while too few members have
        answered."""
        state = self.state
        if len(self._proved) < self._enough:
            return None
        highest = max(self._proved.values(), default=0)
        return max(highest + 2 * state.log.watermark_span, self._shown_sequence)

    def view_due(self) -> int:
        """The lowest view in which the vote may come back."""
        if self._in_any_view:
            return 0
        lowest = sorted(self._views.values())[: self._enough]
        return max(self._shown_view, *lowest, -1) + 1

    def requested_view(self) -> int:
        """The view that this replica waits for, if nothing else is missing for its vote; else 0."""
        state = self.state
        due = None if state.voting or state.n == 1 else self.waits_for()
        if due is None or state.log.stable < due:
            return 0
        wanted = self.view_due()
        return wanted if state.views.view < wanted else 0

    def on_pong(self, member: int, verified: Verified[Pong]) -> None:
        """Handles a member's answer: the own statements that it holds, and the proof of its checkpoint."""
        state = self.state
        message = verified.message
        for frame in message.frames:
            found = verified.nested.get(frame)
            own = None if found is None else found.message
            # Statements of an ended epoch do not bind, and this index may have been another member's then.
            if own is not None and own.sender == state.index and own.epoch == state.config.epoch:
                if isinstance(own, (*VOTES, ViewChange, NewView)):
                    self._shown_view = max(self._shown_view, own.view)
                if isinstance(own, VOTES):
                    self._shown_sequence = max(self._shown_sequence, own.sequence)
        certificate = read_checkpoint(message.checkpoint, verified.nested, state.config)
        if message.checkpoint and certificate is None:
            return
        # All members know the checkpoint that ended the epoch before; members of that epoch signed it.
        stable = state.config.base if certificate is None else certificate.sequence
        if message.epoch != state.config.epoch:
            return  # its view belongs to another epoch
        if not message.remembers:
            return  # it lost its own ledger
        if message.executed > stable + state.log.watermark_span:
            return  # the member itself catches up: its checkpoint does not show its progress
        self._views.setdefault(member, message.view)
        # Only the first proof of a member counts: a liar's later ones would delay the return for ever.
        self._proved.setdefault(member, stable)
        if certificate is not None:
            self.checkpoints.adopt(certificate)
        self.try_regain_vote()

    def progress(self) -> str:
        """What this replica still waits for before it votes again, for operators; "" while it votes."""
        state = self.state
        if state.voting:
            return ""
        due = self.waits_for()
        if due is None:
            return f"{len(self._proved)} of {self._enough} other members have shown it their checkpoint"
        if state.log.stable < due:
            return f"it votes again above checkpoint {due}, and the newest is {state.log.stable}"
        return f"it votes again in view {self.view_due()}, and this is view {state.views.view}"

    def try_regain_vote(self) -> None:
        """Votes again if no new vote can contradict an earlier statement any more."""
        state = self.state
        if state.voting or state.n == 1:
            return
        due = self.waits_for()
        if due is None or state.log.stable < due:
            return
        if self._in_any_view or (not state.views.changing and state.views.view >= self.view_due()):
            self.voting.regain()
