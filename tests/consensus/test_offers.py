"""The choice among offered states, and when a replica asks for one (R23, P17)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus import Replica, epoch_change_proof
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason, StateRecord
from tests.consensus.grouped import Grouped
from tests.consensus.helpers import MILLISECOND, config_for, is_kind, open_frame
from tests.consensus.test_transfer import ALL_SILENT, GROUP, LAG, SECOND, Far
from tests.support.table import table


class Offered(Far):
    """r3 hears no offer but those that a test makes; the others can make one of 10 and one of 20."""

    def __init__(self, *, known: int = 0) -> None:
        self.made: dict[tuple[int, int], bytes] = {}
        super().__init__(known=known, ahead=13 - known)
        self._make(10)
        self.late.crash()
        self.work(10)
        self.advance(200)
        self._make(20)
        self.drop(is_kind(m.Snapshot))
        self.waiting.clear()
        self.sent.clear()
        self.late.restart()
        self.pass_time(100)

    def _make(self, sequence: int) -> None:
        for member in (0, 1, 2):
            source = self[member]
            source.hear(self.late, self.late.signer.link(m.FetchSnapshot(0, sequence - 1)))
            frames = [frame for _, target, frame in self.waiting if target is self.late]
            (offer,) = {frame for frame in frames if type(open_frame(frame)) is m.Snapshot}
            self.made[member, sequence] = offer
            self.waiting.clear()

    def offers(self, member: int, sequence: int, **changes: Any) -> Reason | None:
        """A member offers its state, with changes."""
        message = msgspec.structs.replace(open_frame(self.made[member, sequence]), **changes)
        return self.late.hear(self[member], self[member].signer.link(message))

    def began(self) -> list[tuple[int, list[int]]]:
        return [(told["sequence"], told["sources"]) for told in self.late.told("transfer_began")]


@table(
    ("offers", "slow", "began"),
    [
        ({0: 10, 1: 10, 2: 20}, (), (10, [0, 1])),
        ({0: 10, 1: 20, 2: 20}, (), (20, [1, 2])),
        ({0: 20, 1: 20, 2: 10}, (0,), (20, [0, 1])),
        ({0: 20, 1: 20, 2: 10}, (0, 1), (10, [2])),
        ({0: 10, 1: 10, 2: 20}, (0,), (20, [2])),
    ],
    count=5,
)
def test_row_17_the_state_most_offered_is_taken_and_on_a_tie_the_higher(
    offers: dict[int, int], slow: tuple[int, ...], began: tuple[int, list[int]]
) -> None:
    """Most sources are the quickest, and those that were slow before count for none."""
    cluster = Offered()
    cluster.transfer._slow.update(slow)
    for member, sequence in offers.items():
        assert cluster.offers(member, sequence) is None
    assert cluster.began() == [began]
    assert cluster.late.core.state.lag.certified == began[0]


def test_row_17_one_liar_stays_excluded_and_more_than_f_are_asked_again() -> None:
    """Something else is wrong then: left out for ever, they would leave it without a state."""
    cluster = Offered()
    cluster.offers(0, 20, manifest=bytes(32))
    cluster.pass_time(1_200)
    assert cluster.offers(0, 20) is Reason.NOT_ASKED, "f is one"
    cluster.offers(1, 20, manifest=bytes(32))
    assert cluster.offers(0, 20) is Reason.NOT_ASKED, "it is not asked again yet"
    cluster.pass_time(1_200)
    for member in (0, 1, 2):
        assert cluster.offers(member, 20) is None
    assert cluster.began() == [(20, [0, 1, 2])]


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest": bytes(32)},
        {"peaks": ()},
        {"peaks": (bytes(32),) * 3},
        {"checkpoint": ()},
    ],
)
def test_row_17_an_offer_that_proves_nothing_bans_its_sender(changes: dict[str, Any]) -> None:
    cluster = Offered()
    assert cluster.offers(0, 20, **changes) is None
    assert cluster.late.told("poisoned") == [{"member": 0, "reason": "bad_proof"}]
    assert cluster.offers(0, 20) is Reason.NOT_ASKED
    cluster.offers(1, 20)
    cluster.pass_time(300)
    assert cluster.began() == [(20, [1])]


def test_row_17_the_certificate_of_one_state_covers_no_other() -> None:
    cluster = Offered()
    other = open_frame(cluster.made[0, 10])
    cluster.offers(0, 20, entry=other.entry, peaks=other.peaks)
    cluster.offers(1, 20, entry=msgspec.structs.replace(other.entry, sequence=20))
    cluster.offers(2, 20, checkpoint=other.checkpoint)
    assert [told["member"] for told in cluster.late.told("poisoned")] == [0, 1, 2]


@pytest.mark.parametrize(("known", "helps"), [(7, True), (8, False)])
def test_row_17_a_state_slightly_above_the_own_log_is_refused(known: int, helps: bool) -> None:
    """Half the lag must be gained, or the next state would be wanted at once. It is no lie of its sender."""
    assert known + LAG // 2 == 9 + (not helps)
    cluster = Offered(known=known)
    assert cluster.offers(0, 10) is None
    cluster.pass_time(300)
    assert bool(cluster.began()) is helps
    assert not cluster.late.told("poisoned")
    refused = [told["reason"] for told in cluster.late.told("refused") if told["text"] == "Snapshot"]
    assert refused == ([] if helps else ["outside_window"])


def test_r31_a_pause_does_not_count_as_a_stalled_log() -> None:
    cluster = Far(known=8, ahead=4)
    cluster.advance(1_000)
    catch_up = cluster.late.core.catch_up
    asked = len(cluster.messages(m.FetchEntries, source=3))
    assert asked >= 3, "in vain"
    assert catch_up.state.is_catching_up
    cluster.time += 10 * SECOND * MILLISECOND
    cluster.late.tick()
    assert cluster.late.told("paused")
    assert catch_up.state.is_catching_up, "nobody is suspected for it"
    assert len(cluster.messages(m.FetchEntries, source=3)) == asked, "the answer may still be on its way"
    cluster.advance(3_500)
    assert not cluster.messages(m.FetchSnapshot, source=3)
    cluster.advance(700)
    assert cluster.messages(m.FetchSnapshot, source=3)


# --- the state with which an epoch begins (R35) -----------------------------------------------------


class Crossed(Far):
    """20 was the end of epoch 0, and r3 slept through it: in epoch 1 its ledger has the proof, and no state.
    The others offer the state of 20 as those of an epoch do in which nothing is stable yet; r0 at once."""

    def __init__(self, *, of: int = 0, proved: bool = True, offered: bool = True) -> None:
        super().__init__()
        self[0].hear(self.late, self.late.signer.link(m.FetchSnapshot(0, 19)))
        (frame,) = {frame for *_, frame in self.waiting if type(open_frame(frame)) is m.Snapshot}
        offer = open_frame(frame)
        self.old, self.frames = frame, offer.checkpoint
        end = epoch_change_proof.EpochChangeProof(
            offer.entry, b"", offer.peaks, self.frames if proved else ()
        )
        self.late.journal.append([StateRecord(epoch_change_proof.record_name(of), canonical.encode(end))])
        self.drop(is_kind(m.Snapshot))
        self.waiting.clear()
        self.sent.clear()
        config = msgspec.structs.replace(config_for(3, 4, transfer_lag=LAG), epoch=1, base=20)
        self.late.core = Replica(config, self.late.signer, Grouped(), True)
        self.late.take(self.late.core.restore(self.late.journal.load(), self.late.now()))
        self.advance(20)
        self.bare = self[0].signer.link(msgspec.structs.replace(offer, checkpoint=()))
        if offered:
            assert self.late.hear(self[0], self.bare) is None


def test_r35_a_state_proved_by_the_epoch_before_is_kept_as_of_that_epoch() -> None:
    cluster = Crossed()
    assert {wish.above for wish in cluster.messages(m.FetchSnapshot, source=3)} == {19}
    cluster.pass_time(SECOND)
    assert cluster.late.told("transfer_began") == [{"sequence": 20, "sources": [0]}]
    record = cluster.installed().checkpoint
    assert (record.epoch, record.sequence, record.frames) == (0, 20, cluster.frames)
    assert not cluster.late.told("poisoned")


@pytest.mark.parametrize("ledger", [{"proved": False}, {"of": 1}], ids=["without CHECKPOINTs", "of epoch 1"])
def test_r35_a_first_state_unproved_by_the_own_ledger_is_refused(ledger: dict[str, Any]) -> None:
    """No member of this epoch signed it: without q of the one before it is only r0's claim."""
    cluster = Crossed(**ledger)
    cluster.pass_time(SECOND)
    assert cluster.late.told("poisoned") == [{"member": 0, "reason": "bad_proof"}]
    assert not cluster.late.installs


def test_r35_an_offer_that_was_under_way_at_an_epoch_change_is_no_lie() -> None:
    """It was asked for in epoch 0; its sender is not excluded in epoch 1, and is a source there."""
    cluster = Crossed(offered=False)
    for member in (0, 1, 2):
        assert cluster.late.hear(cluster[member], cluster.old) is None
        told = cluster.late.told("refused")[-1]
        assert (told["peer"], told["reason"]) == (f"m{member}", Reason.WRONG_EPOCH.value)
    assert not cluster.late.told("poisoned")
    for member in (0, 1, 2):
        assert cluster.late.hear(cluster[member], cluster.bare) is None
    assert cluster.late.told("transfer_began") == [{"sequence": 20, "sources": [0, 1, 2]}]


# --- answers to other questions ----------------------------------------------------------------------


@pytest.mark.parametrize("known", [10, 12])
def test_p17_the_certificate_of_a_useless_state_is_compared_with_the_own_log(
    known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state at or below the end of that log is of no use, but its certificate may contradict the log."""
    cluster = Offered(known=known)
    compared: list[int] = []
    monkeypatch.setattr(
        cluster.transfer.checkpoints, "adopt", lambda certificate: compared.append(certificate.sequence)
    )
    assert cluster.offers(0, 10) is None
    assert compared == [10]
    assert cluster.offers(1, 20) is None
    assert compared == [10], "that of a useful one is compared when the state is taken"


@pytest.mark.parametrize("sequence", [10, 30])
def test_row_17_groups_of_another_state_are_not_read_and_ban_nobody(sequence: int) -> None:
    """They may answer a question about a state that was given up since."""
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    group = cluster.asked(0)[0].groups[0]
    answer = m.Groups(sequence, ((group, GROUP),))
    assert cluster.late.hear(cluster[0], cluster[0].signer.link(answer)) is Reason.NOT_ASKED
    assert not cluster.late.told("poisoned")


def test_row_17_a_question_about_groups_has_one_answer() -> None:
    """Reading groups costs hashes, so that none is read that was not asked for."""
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    transfer = cluster.transfer
    source = transfer._sources[0]
    assert source.owing == 1
    assert transfer.refuse_groups(m.Groups(20, ()), 0) is None
    source.owing = 0
    assert transfer.refuse_groups(m.Groups(20, ()), 0) is Reason.NOT_ASKED
