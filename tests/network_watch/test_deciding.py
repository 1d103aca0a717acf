"""Who is known to have a quorum, and what is said while it is not known."""

from __future__ import annotations

from dtvn.protocol.quorum import Mode
from tests.network_watch.seen import NAMES, look
from tests.network_watch.test_cuts import cut
from validators.network_watch.deciding import outlook
from validators.network_watch.hearing import Hearing

FIVE = tuple("abcde")
FROZEN = [("auditor", other) for other in NAMES[:3]]
"""What the last one says of the others."""


def test_members_that_report_nothing_have_no_quorum_for_sure() -> None:
    found = cut(*FROZEN, unseen=NAMES[:3])
    assert (found.decides, found.may_decide) == ((), NAMES[:3])
    assert found.consequence == (
        "If venue, promoter and seller run and reach each other, they have a quorum "
        "(3 of 4 members, and 3 are needed) and go on; "
        "auditor decides nothing until the cut heals, and nothing diverges."
    )


def test_members_that_hang_here_are_in_no_quorum() -> None:
    found = cut(*FROZEN, unseen=NAMES[:3], hanging=NAMES[:3])
    assert (found.decides, found.may_decide) == ((), ())
    assert found.statements[0].also == "venue, promoter and seller hang"
    assert found.consequence == (
        "Too few members run for a quorum (1 of 4, and 3 are needed): nothing is decided until more run."
    )


def test_with_nothing_cut_too_few_that_run_decide_nothing() -> None:
    """Three of five were stopped by their party."""
    gone = {"stopped": ["a", "b", "c"], "unseen": ["a", "b", "c"]}
    told = "Too few members run for a quorum (2 of 5, and 3 are needed): nothing is decided until more run."
    assert outlook(look(1.0, names=FIVE, mode=Mode.RAFT, **gone)) == told
    hang = {"hanging": ["a", "b", "c"], "unseen": ["a", "b", "c"]}
    assert outlook(look(1.0, names=FIVE, mode=Mode.RAFT, **hang)) == told
    one = {"stopped": ["a"], "unseen": ["a"]}
    told = "3 of 5 members are a quorum, and decide together."
    assert outlook(look(1.0, names=FIVE, mode=Mode.RAFT, **one)) == told


def test_with_nothing_cut_and_too_few_reports_nothing_is_said_of_decisions() -> None:
    told = "3 of 4 members are a quorum; whether that many reach each other is not known here."
    assert outlook(look(1.0, unseen=["venue", "seller"])) == told
    assert outlook(look(1.0, unseen=["venue"])) == "3 of 4 members are a quorum, and decide together."
    assert outlook(look(1.0, names=("venue",))) == outlook(Hearing(at=1.0, members=())) == ""
