"""Is a member that votes in two ways convicted by what a gateway keeps, and no honest one? (P22)"""

from __future__ import annotations

from dtvn.events.judging import convict, encode_evidence
from simulator.checkers.base import Checker
from simulator.event_runs import EventRuns


class VoteEvidence(Checker):
    """Compares what the gateways' inquiries keep with what arrived there."""

    name = "vote-evidence"

    def __init__(self, runs: EventRuns) -> None:
        super().__init__(runs.world)
        self._runs = runs

    def finish(self) -> None:
        """See Checker."""
        kept = set()
        for number, inquiry in enumerate(self._runs.inquiries):
            for one, other in inquiry.contradictions:
                found = convict(encode_evidence(one, other, self._runs.electorate), self._runs.electorate)
                if self.world.nodes[found.name].honest:
                    self.fail(f"{found.name} is honest, and is convicted")
                kept.add((number, found.member, found.question))
        for number, member, question in self._runs.in_two_ways - kept:
            name = self._runs.electorate.name(member)
            self.fail(
                f"{name} voted in two ways on {question.run} in inquiry {number}, and nothing proves it"
            )
