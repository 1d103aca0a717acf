"""A real node that judges agent events falsely: `python -m tests.integration.lying_node validator FLAG...`.

It is `manage.py validator`, with its own key, ledger and links, and an honest member in all else. A run's
thread says who lies about it, and how: `2=lie,3=mute/anything`. Other threads are judged by the rules."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

import manage
from dtvn.events.asking import Asked, MemberJudge
from dtvn.events.asking.member import QUESTION_BYTES
from dtvn.events.judging import Vote
from dtvn.node import node

LIE, PRAISE, MUTE = "lie", "praise", "mute"
"""To refuse the first event of each chunk by a rule of its own, to find everything valid, to say nothing."""
A_LIE = "A_LIE"


def thread(name: str, **lies: str) -> str:
    """A thread about which members lie: `thread("t", n2=LIE)`."""
    return ",".join(f"{member[1:]}={lie}" for member, lie in lies.items()) + f"/{name}"


def lie_of(member: int, named: str) -> str:
    """How a member lies about runs of this thread; "" for not at all."""
    told = dict(each.split("=") for each in named.partition("/")[0].split(",") if "=" in each)
    return told.get(str(member), "")


class LyingJudge(MemberJudge):
    """Judges as each member does before it changes its vote."""

    def _answer(self, queue: object) -> int:
        _peer, asked = queue.begun[0]  # type: ignore[attr-defined]
        if lie_of(self._member.index, asked.question.thread) != MUTE:
            return super()._answer(queue)  # type: ignore[arg-type]
        queue.begun.popleft()  # type: ignore[attr-defined]
        return QUESTION_BYTES

    def _vote(self, asked: Asked) -> Vote:
        vote = super()._vote(asked)
        lies = {LIE: ((0, A_LIE),), PRAISE: ()}
        errors = lies.get(lie_of(self._member.index, asked.question.thread), vote.errors)
        return msgspec.structs.replace(vote, errors=errors)


if __name__ == "__main__":
    os.chdir(Path(manage.__file__).parent)
    node.MemberJudge = LyingJudge  # type: ignore[misc]
    sys.argv[0] = "manage.py"
    manage.main()
