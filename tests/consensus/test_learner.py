"""The learner follows, verifies, and stops when its state is not the certified one (R28)."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest

from dtvn.overlay.tree import Tree
from dtvn.protocol import canonical
from dtvn.protocol.consensus import InvariantBreach, Learner
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.consensus.contradiction import read
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.learner import NEW, NEW_MAX
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.wire import Envelope
from tests.consensus.doubles import MemoryJournal
from tests.consensus.helpers import Cluster, Node, open_frame
from tests.support.table import table


class Following(Cluster):
    """A cluster with one learner; members push new entries or announce them, as a host's log server does."""

    def __init__(self, members: int = 4) -> None:
        self.follows: dict[int, int] = {}
        self.lazy: set[int] = set()
        """Members that are asked to announce only."""
        self.telling = True
        """Whether certificates arrive."""
        super().__init__(members, learners=1)
        self.learner = self.learners[0]

    def push(self) -> None:
        """What the followed member executed since, and its newest certificate."""
        for index, following in list(self.follows.items()):
            node = self.nodes[index]
            if not node.up:
                continue
            entries = node.journal.range(following, following + 63)
            if entries is not None:
                self.post(node, self.learner, node.signer.link(entries))
                self.follows[index] = entries.entries[-1][0].sequence + 1
            if node.journal.checkpoints and self.telling:
                frames = node.journal.checkpoints[-1].frames
                self.post(node, self.learner, node.signer.link(m.Entries((), frames)))
        self.stabilize()

    def post(self, source: Node, target: Node, frame: bytes) -> None:
        message = open_frame(frame)
        if isinstance(message, m.Follow) and message.lazy:
            self.lazy.add(target.index or 0)
            self.follows.pop(target.index or 0, None)
        elif isinstance(message, m.Follow):
            self.lazy.discard(target.index or 0)
            self.follows[target.index or 0] = message.first
        super().post(source, target, frame)

    def advance(self, milliseconds: float, *, deliver: bool = True) -> None:
        """As of a cluster; members announce every 100 ms."""
        end = self.time + int(milliseconds * 1_000_000)
        while self.time < end:
            super().advance(min(100, (end - self.time) / 1_000_000), deliver=deliver)
            for index in sorted(self.lazy):
                node = self.nodes[index]
                if node.up and node.journal.log:
                    told = m.Announce(0, len(node.journal.log), ())
                    self.post(node, self.learner, node.signer.link(told))
        if deliver:
            self.stabilize()

    def work(self, count: int, to: list[int] | None = None) -> None:
        for number in range(count):
            self.request(f"T-{self.time}-{number}", to=to)
            self.advance(5)
            self.push()


def test_r28_a_checkpoint_that_was_lost_on_the_way_is_asked_for() -> None:
    """A member sends each certificate to a learner once, and an idle cluster makes no later one."""
    cluster = Following()
    cluster.telling = False
    cluster.work(12)
    assert cluster.learner.core.snapshot().executed == 12
    assert cluster.learner.core.snapshot().stable == 0
    cluster.advance(2_000)
    assert cluster.learner.core.snapshot().stable == 10
    asked = cluster.messages(m.FetchEntries)
    assert 1 <= len([each for each in asked if each.first == each.last == 10]) <= 4


@pytest.mark.parametrize("what", ["a row", "an entry"])
def test_r9_a_learner_whose_ledger_differs_from_its_checkpoint_does_not_start(what: str) -> None:
    cluster = Following()
    cluster.work(10)
    cluster.advance(2_000)
    node = cluster.learner
    assert (node.core.executor.executed, node.core.stable) == (10, 10)
    node.journal.materialise(node.application.changes())
    node.crash()
    if what == "a row":
        key = next(key for key in node.journal.rows if key[0] == "value")
        node.journal.rows[key] = msgspec.structs.replace(node.journal.rows[key], row=b"rot")
    else:
        node.journal.log[4] = msgspec.structs.replace(node.journal.log[4], entry_hash=b"r" * 32)
    with pytest.raises(InvariantBreach, match="not the state of checkpoint 10"):
        node.restart()


def test_a_learner_leaves_a_silent_source() -> None:
    cluster = Following()
    cluster.work(2)
    assert cluster.learner.core.source == 0
    cluster.advance(300)
    cluster[0].crash()
    cluster.advance(2_000)
    cluster.work(3, to=[1, 2, 3])
    cluster.advance(1_500)
    cluster.push()
    assert cluster.learner.core.source != 0
    assert cluster.learner.log == cluster[1].log


def test_r28_a_learner_with_slow_answers_still_leaves_a_silent_source() -> None:
    cluster = Following()
    cluster.work(2)
    cluster[0].crash()
    cluster.request("T-after", to=[1, 2, 3])
    cluster.drop(lambda _source, target, _message: target == -1)
    cluster.advance(3_000)
    cluster.heal()
    assert len(cluster.learner.log) == 2
    cluster.advance_far(8, 350)
    assert len(cluster.learner.log) == 3


def test_r28_a_race_won_by_others_changes_no_source() -> None:
    """Under load another member sometimes answers first: no reason to change the source."""
    cluster = Following()
    for number in range(30):
        cluster.work(3)
        cluster.request(f"T-race-{number}")
        cluster.advance(300)  # another member is asked, and has it before the source's word comes
        cluster.push()
    assert cluster.learner.core.source == 0
    assert cluster.learner.told("source_changed") == []
    assert cluster.learner.log == cluster[0].log


def test_r28_a_source_that_holds_entries_back_is_left() -> None:
    """It brings some, to seem alive, while others have many more."""
    cluster = Following()
    cluster.work(2)
    for number in range(12):
        for more in range(10):
            cluster.request(f"T-{number}-{more}")
        cluster.advance(5)
        held = cluster.follows.get(0)
        if held is not None:
            one = cluster[0].journal.range(held, held)
            cluster.post(cluster[0], cluster.learner, cluster[0].signer.link(one))
            cluster.follows[0] = held + 1
            cluster.stabilize()
        cluster.advance(300)
        if cluster.learner.core.source != 0:
            break
    assert len(cluster.learner.told("source_changed")) == 1
    cluster.advance(1_100)
    cluster.push()
    assert cluster.learner.log == cluster[1].log


def test_a_gap_is_asked_for_at_once() -> None:
    """A push was lost; the next one shows it, and the learner follows again from where it is."""
    cluster = Following()
    cluster.work(2)
    cluster.advance(300)
    cluster.request("T-lost")
    cluster.advance(5)
    cluster.follows[0] += 1
    asked = len(cluster.messages(m.Follow))
    cluster.work(1)
    assert len(cluster.messages(m.Follow)) == asked + 1
    assert cluster.learner.log == cluster[0].log


def test_a_learner_takes_only_answers_to_its_own_questions() -> None:
    cluster = Following()
    cluster.work(2)
    entries = cluster[2].journal.range(1, 2)
    core = cluster.learner.core
    frame = cluster[2].signer.link(entries)
    assert core.wants(cluster.header(frame, 2)) == "not_asked"
    assert core.wants(cluster.header(frame, 0)) == "already_decided", "it is checked no more"
    core._fetch_proof(2, 10)
    assert core.wants(cluster.header(frame, 2)) == "already_decided"
    cluster.learner.hear(cluster[2], frame)
    assert core.wants(cluster.header(frame, 2)) == "not_asked", "one answer for one question"
    assert core.wants(cluster.header(cluster.sign(m.Commit(0, 0, 0, 9, b"d" * 32)), 0)) == "wrong_kind"


def test_r28_a_learner_with_a_deviating_state_stops_with_an_alarm() -> None:
    cluster = Following()
    cluster.work(9)
    cluster.learner.application.values["T-wrong"] = b"w"
    cluster.work(1)
    alarms = cluster.learner.told("alarm")
    assert len(alarms) == 1
    assert "another state" in alarms[0]["reason"]
    length = len(cluster.learner.log)
    cluster.work(3)
    assert len(cluster.learner.log) == length, "it executes no more"
    assert cluster.learner.core.deadline() is None
    cluster.learner.restart()
    assert cluster.learner.told("alarm")[1:] == alarms, "nor after a restart"
    assert cluster.learner.core.deadline() is None


def test_r28_a_contradicting_certificate_stops_a_learner_for_good() -> None:
    cluster = Following()
    cluster.work(10)
    assert cluster.learner.core.stable == 10
    signed = [cluster.sign(m.Checkpoint(0, sender, 10, b"x" * 32, b"x" * 32, 1)) for sender in (0, 1, 2)]
    source = cluster[cluster.learner.core.source]
    cluster.learner.hear(source, source.signer.link(m.Entries((), tuple(signed))))
    kept = read(cluster.learner.journal.states.values())
    assert kept is not None
    assert (kept.kind, kept.theirs, len(kept.mine)) == ("checkpoint", tuple(signed), 3)
    cluster.learner.restart()
    assert cluster.learner.core.alarm == kept.sentence


def test_r28_f_plus_one_deviating_results_stop_a_learner_at_once() -> None:
    """One may lie about what COMMITs do not cover; two of four cannot both."""
    cluster = Following()
    cluster.work(3)
    wrong = cluster.learner.application.execute

    def execute(bundles: Any, *, sequence: int, timestamp: int) -> Any:
        return wrong(bundles, sequence=sequence, timestamp=timestamp + 1)

    cluster.learner.application.execute = execute
    for _ in range(5):
        cluster.work(1)
        cluster.advance(400)
        cluster.push()
    (alarm,) = cluster.learner.told("alarm")
    assert "f + 1 members say" in alarm["reason"]
    assert {told["source"] for told in cluster.learner.told("entry_differs")} == {0, 1}
    assert cluster.executed()[0] < 10, "no checkpoint helped"


def lie_about_results(node: Node) -> None:
    """It shows other results under the true COMMITs from now on."""
    honest = node.journal.range

    def lie(first: int, last: int) -> m.Entries | None:
        found = honest(first, last)
        if found is None:
            return None
        rows = tuple(
            (m.Entry(e.epoch, e.sequence, e.batch_digest, b"l" * 32, e.timestamp, e.previous), body, commits)
            for e, body, commits in found.entries
        )
        return m.Entries(rows, found.checkpoint)

    node.journal.range = lie  # type: ignore[method-assign]


def test_r28_what_was_claimed_before_a_checkpoint_does_not_count_after_it() -> None:
    """The checkpoint says that the results here are right: each of two liars was alone."""
    cluster = Following()
    honest = cluster[0].journal.range
    lie_about_results(cluster[0])
    cluster.work(3)
    cluster[0].journal.range = honest  # type: ignore[method-assign]
    cluster.work(8)
    cluster.advance(1_000)
    cluster.push()
    assert cluster.learner.core.snapshot().stable == 10
    source = cluster.learner.core.source
    assert source != 0
    lie_about_results(cluster[source])
    cluster.work(3)
    assert {told["source"] for told in cluster.learner.told("entry_differs")} == {0, source}
    assert cluster.learner.core.alarm == ""


def test_r28_one_lying_source_does_not_stop_a_learner() -> None:
    """Member 0 lies about results; the learner notes it, changes the source and goes on."""
    cluster = Following()
    lie_about_results(cluster[0])
    cluster.work(5)
    cluster.advance(1_000)
    cluster.work(20)
    cluster.advance(1_000)
    cluster.push()
    assert cluster.learner.told("entry_differs")
    assert not cluster.learner.told("alarm")
    assert cluster.learner.log == cluster[1].log


def alter_signatures(cluster: Following, members: list[int], sequence: int, *, commits: int = 3) -> None:
    """These members bring an entry whose request has a wrong signature, under so many of its COMMITs."""

    def altered(honest: Any, first: int, last: int) -> m.Entries | None:
        found: m.Entries | None = honest(first, last)
        if found is None:
            return None
        rows = list(found.entries)
        for place, (entry, body, frames) in enumerate(rows):
            if entry.sequence == sequence:
                batch = canonical.decode(m.Batch, body)
                request = canonical.decode(Envelope, batch.requests[0])
                forged = canonical.encode(msgspec.structs.replace(request, signature=b"f" * 64))
                body = canonical.encode(msgspec.structs.replace(batch, requests=(forged,)))
                rows[place] = (entry, body, frames[:commits])
        return m.Entries(tuple(rows), found.checkpoint)

    for index in members:
        journal = cluster[index].journal
        journal.range = partial(altered, journal.range)  # type: ignore[method-assign]


def test_r28_a_wrong_signature_in_too_many_logs_stops_a_learner_for_good() -> None:
    """Members committed a request that its principal never signed: more of them lie than are tolerated."""
    cluster = Following()
    cluster.learner.door.sampled = lambda _digest: True
    alter_signatures(cluster, [0, 1, 2, 3], sequence=4)
    cluster.work(6)
    cluster.advance(1_000)
    cluster.push()
    [alarm] = cluster.learner.told("alarm")
    assert "a request of gateway" in alarm["reason"]
    assert "sequence 4 " in alarm["reason"]
    assert cluster.learner.log == cluster[0].log[:3]
    assert cluster.learner.core.deadline() is None
    kept = read(cluster.learner.journal.states.values())
    assert kept is not None
    assert (kept.sequence, len(kept.theirs)) == (4, 3)
    cluster.learner.restart()
    assert cluster.learner.core.alarm == kept.sentence == alarm["reason"]


@pytest.mark.parametrize(("members", "commits"), [([0], 3), ([0, 1], 3), ([0], 2)])
def test_r28_altered_signatures_of_few_or_unproved_raise_no_alarm(members: list[int], commits: int) -> None:
    """A batch's digest leaves signatures out, so one liar can alter them, and its log may be copied."""
    cluster = Following()
    cluster.learner.door.sampled = lambda _digest: True
    alter_signatures(cluster, members, sequence=4, commits=commits)
    cluster.work(6)
    cluster.advance(1_000)
    cluster.push()
    assert cluster.learner.told("source_changed")
    assert not cluster.learner.told("alarm")
    assert cluster.learner.log == cluster[2].log


def test_r28_if_all_its_members_are_gone_a_later_member_brings_the_log() -> None:
    """All founders were replaced, or have other keys: the log proves itself, so any member may bring it."""
    cluster = Following()
    cluster.work(12)
    heir = cluster.learner
    newcomer = Newcomer(cluster, others=1)
    for member in cluster.nodes[:4]:
        member.crash()
    newcomer.core.links([4], cluster.time)
    for _ in range(200):
        newcomer.turn(heir)
        cluster.time += 100_000_000
    assert newcomer.log == cluster[0].log
    assert newcomer.application.root() == cluster[0].application.root()


def test_r28_results_signed_by_a_member_of_a_later_epoch_do_not_count() -> None:
    """It claims other results than were executed here: f + 1 members would stop the learner, it does not."""
    cluster = Following()
    cluster.work(3)
    newcomer = Newcomer(cluster, others=2)
    whole = cluster[0].journal.range(1, 3)
    assert whole is not None
    claimed = [(msgspec.structs.replace(e, results_root=b"\x07" * 32), b, c) for e, b, c in whole.entries]
    for liar, entry in zip((4, 5, 4), claimed, strict=True):
        newcomer.core.sources.links([liar], cluster.time)
        newcomer.hear(Peer(f"m{liar}", liar), newcomer.signer.link(m.Entries((entry,), ())))
    assert newcomer.log == cluster[0].log
    assert newcomer.core.alarm == ""
    assert len(newcomer.told("entry_differs")) == 3


def test_r28_a_learner_takes_no_invented_batch_under_true_commits() -> None:
    """COMMITs bind the batch that they name: one lying source cannot show another, or none, in its place."""
    cluster = Following()
    cluster.work(3)
    newcomer = Newcomer(cluster, others=2)
    whole = cluster[0].journal.range(1, 1)
    assert whole is not None
    ((entry, _body, commits),) = whole.entries
    empty = msgspec.structs.replace(entry, batch_digest=m.NULL_BATCH_DIGEST)
    newcomer.core.sources.links([1, 2], cluster.time)
    assert newcomer.core.source == 1
    newcomer.hear(cluster[1].peer, newcomer.signer.link(m.Entries(((empty, b"", commits),), ())))
    assert newcomer.log == []
    assert newcomer.core.source == 2, "it is left for another"


class Newcomer(Node):
    """A learner over an empty ledger that may also ask `others`; only they hear it."""

    def __init__(self, cluster: Following, *, others: int) -> None:
        self.others = others
        super().__init__(cluster, None)

    def build(self, *, voting: bool) -> None:
        super().build(voting=voting)
        self.application = self.cluster.state()
        config = self.core.config
        sources = Tree(range(config.n + self.others), self.cluster.time)
        self.core = Learner(config, self.signer, self.application, sources, others=self.others, archive=True)
        self.asked = self.core.restore(self.journal.load(), self.now())

    def hear(self, source: Any, frame: bytes) -> None:
        header = self.door.peek(Inbound(source, frame))
        assert self.core.wants(header) is None
        self.take(self.core.receive(self.door.verify(header), self.now()))

    def turn(self, heir: Node) -> None:
        """What it asks member 4 is answered out of the heir's log."""
        effects = self.core.tick(self.now())
        for send in effects.send:
            question = open_frame(send.frame)
            if send.to == 4 and isinstance(question, m.FetchEntries | m.Follow):
                last = getattr(question, "last", question.first + 4)
                found = heir.journal.range(question.first, last)
                if found is not None:
                    self.hear(Peer("m4", 4), self.signer.link(found))


# --- each field of a certificate ----------------------------------------------------------------------


def certified(cluster: Following, sequence: int, **changes: Any) -> CheckpointCertificate:
    """What q members sign of this sequence, with changes."""
    state_root, log_root, timestamp = cluster.learner.core._contents[sequence]
    return msgspec.structs.replace(
        CheckpointCertificate(sequence, state_root, log_root, timestamp, frames=()), **changes
    )


OTHERS: list[dict[str, Any]] = [
    {"state_root": bytes(32)},
    {"state_root": b"\xff" * 32},
    {"log_root": bytes(32)},
    {"log_root": b"\xff" * 32},
    {"timestamp": 1},
    {"timestamp": 1 << 62},
]


@table("other", OTHERS, count=6)
def test_r28_a_certificate_that_differs_in_one_field_stops_a_learner(other: dict[str, Any]) -> None:
    cluster = Following()
    cluster.telling = False
    cluster.work(12)
    core = cluster.learner.core
    assert (core.stable, list(core._contents)) == (0, [10])
    core.check_state(certified(cluster, 10, **other))
    assert core.alarm
    assert core.stable == 0


@table("other", OTHERS, count=6)
def test_r28_a_second_certificate_of_a_stable_sequence_must_be_the_same(other: dict[str, Any]) -> None:
    cluster = Following()
    cluster.telling = False
    cluster.work(22)
    core = cluster.learner.core
    assert list(core._contents) == [10, 20]
    first, second = certified(cluster, 10), certified(cluster, 20)
    core.check_state(first)
    assert (core.stable, list(core._contents)) == (10, [20]), "what lies above waits for its certificate"
    core.check_state(first)
    core.check_state(msgspec.structs.replace(second, sequence=15))
    assert (core.stable, core.alarm) == (10, ""), "nothing is known of 15"
    core.check_state(second)
    core.check_state(msgspec.structs.replace(first, **other))
    assert (core.stable, core.alarm) == (20, ""), "the newest one alone is compared"
    core.check_state(msgspec.structs.replace(second, **other))
    assert core.alarm


# --- the state of relays ------------------------------------------------------------------------------


def test_r45_a_new_learner_whose_transfer_ended_asks_for_a_state_again_for_a_minute_at_most() -> None:
    """Busy members are slow sources: it must not fall back to the log from its beginning. Liars, who offer
    states that never arrive, keep it from the log for no longer than that."""
    cluster = Following()
    cluster.work(11)
    learner = cluster.learner
    core = Learner(learner.core.config, learner.signer, cluster.state(), Tree(range(4)))
    core.restore(MemoryJournal().load(), learner.now())
    waits = 0
    for _ in range(2 * NEW_MAX // (5 * NEW)):
        core.transfer.sequence = 10  # the state of checkpoint 10 is on its way
        cluster.time += 4 * NEW + 1
        core.tick(learner.now())
        assert core.is_new
        core.transfer.sequence = 0  # no source is left
        cluster.time += NEW - 1
        core.tick(learner.now())
        if not core.is_new:
            break
        waits += 1
        assert core.receives.wanted()
    assert waits == NEW_MAX // (5 * NEW) - 1
    assert not core.receives.wanted()


class Told(Tree):
    """Sources that write down who lied."""

    def __init__(self, up: range) -> None:
        super().__init__(up)
        self.liars: list[int] = []

    def lied(self, peer: int, now: int) -> None:
        self.liars.append(peer)
        super().lied(peer, now)


def test_r45_marks_of_a_relay_go_with_its_link_and_the_liar_is_reported() -> None:
    """Its index is given to another relay, which never lied; a member's index is always the same member's."""
    cluster = Following()
    cluster.work(11)
    config, sources = cluster.learner.core.config, Told(range(6))
    core = Learner(config, cluster.learner.signer, cluster.state(), sources, others=2)
    core.restore(MemoryJournal().load(), cluster.learner.now())
    core.links((0, 1, 4, 5), cluster.time)
    entry = cluster[0].journal.log[0].entry
    false = cluster[0].signer.link(m.Snapshot((), entry, (), b""))
    for peer in (0, 5):
        header = cluster.learner.door.peek(Inbound(Peer("p", peer), false))
        assert core.wants(header) is None
        core.receive(cluster.learner.door.verify(header), cluster.learner.now())
    assert sources.liars == [0, 5]
    asked = [core.receives.refuse_snapshot(peer) for peer in (0, 4, 5)]
    assert asked == [Reason.NOT_ASKED, None, Reason.NOT_ASKED]
    core.receives._slow |= {0, 4, 5}
    core.links((1, 4), cluster.time)
    core.links((0, 1, 4, 5), cluster.time)
    assert core.receives._slow == {0, 4}
    assert [core.receives.refuse_snapshot(peer) for peer in (0, 5)] == [Reason.NOT_ASKED, None]
