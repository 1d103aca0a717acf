"""The log is served from what is durable, in bounded pieces, with its proof (PROTOCOL R23, R28)."""

from __future__ import annotations

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.canonical import decode
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.config import build
from dtvn.protocol.consensus.effects import CheckpointRecord
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.host import log_server
from dtvn.protocol.host.log_server import LogServer
from dtvn.protocol.host.time_share import SAVED_MAX, SHARE
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import Envelope
from tests.host.doubles import Tape, TapeJournal, TapeTransport, entry_record
from tests.host.support import Paper, make_genesis
from tests.support.clock import SetClock
from tests.support.table import table

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND


class Shop:
    """A log server with `count` entries behind it, certified by COMMITs from `commits_from` on."""

    def __init__(self, count: int = 0, *, commits_from: int = 1, body: bytes = b"") -> None:
        self.tape = Tape()
        self.journal = TapeJournal(self.tape)
        self.clock = SetClock()
        for sequence in range(1, count + 1):
            self.journal.log[sequence] = entry_record(sequence, body=body, certified=sequence >= commits_from)
        self.server = LogServer(self.journal, TapeTransport(self.tape), Paper().signer("r0"))
        self.server.begin(count)

    def ask(self, message: m.FetchEntries | m.Follow, peer: Peer | None = None) -> None:
        self.server.on_request(peer or Peer("r1", 1), message, self.clock.now())

    def execute(self, sequence: int) -> None:
        record = entry_record(sequence)
        self.journal.log[sequence] = record
        self.server.on_entry(record)

    def wait(self) -> None:
        """Until the next range is due."""
        due = self.server.deadline()
        assert due is not None
        self.clock.monotonic = max(self.clock.monotonic, due)

    def push(self) -> list[tuple[str, list[int], int]]:
        """(peer, sequences, frames of the certificate) of each answer of this turn."""
        self.tape.said.clear()
        self.server.push(self.clock.now())
        answers = []
        for what, value in self.tape.said:
            if what == "answer" and decode(Envelope, value[1]).kind == m.KIND_OF[m.Entries]:
                peer, frame = value
                message = decode(m.Entries, decode(Envelope, frame).body)
                sequences = [entry.sequence for entry, _body, _commits in message.entries]
                answers.append((peer.name, sequences, len(message.checkpoint)))
        return answers


def checkpoint(sequence: int) -> CheckpointRecord:
    return CheckpointRecord(0, sequence, b"s" * 32, b"l" * 32, 1, (b"c1", b"c2", b"c3"))


def test_requests_for_missing_entries_get_no_answer() -> None:
    shop = Shop(3)
    for first, last in ((4, 9), (0, 2), (3, 2), (2**63, 2**64 - 1)):
        shop.ask(m.FetchEntries(0, first, last))
        assert shop.push() == []
        assert "entries" not in shop.tape.words(), "nor a look into the ledger"


@table("members", range(1, 32), count=31)
def test_r35_a_newcomer_in_a_smaller_epoch_accepts_each_answer(members: int) -> None:
    """A full range of a cluster of seven was `too_large`, an accusation of an honest member, for a newcomer
    that still walked through the epoch of four."""
    parameters = msgspec.structs.replace(make_genesis(members).parameters, checkpoint_interval=1)
    genesis = msgspec.structs.replace(make_genesis(members), parameters=parameters)
    taken = build(genesis, b"c" * 32, None).statements_max
    assert taken >= log_server.COMMITS_MAX + quorum.quorum(quorum.MEMBERS_MAX, Mode.PBFT)


def test_r35_no_answer_has_more_commits_than_all_members_accept() -> None:
    many = tuple(b"%d" % number for number in range(21))

    def shop(commits_from: int) -> Shop:
        made = Shop(40, commits_from=commits_from)
        for sequence, record in made.journal.log.items():
            if record.commits:
                made.journal.log[sequence] = msgspec.structs.replace(record, commits=many)
        return made

    asked = shop(1)
    asked.ask(m.FetchEntries(0, 1, 40))
    assert asked.push()[0][1] == list(range(1, 13)), "12 times 21 COMMITs"
    mixed = shop(5)
    mixed.journal.checkpoints = [checkpoint(30)]
    mixed.ask(m.FetchEntries(0, 1, 40))
    mixed.tape.said.clear()
    mixed.server.push(mixed.clock.now())
    message = decode(m.Entries, decode(Envelope, mixed.tape.said[-1][1][1]).body)
    assert [entry.sequence for entry, _body, _commits in message.entries] == list(range(1, 31))
    assert {commits for _entry, _body, commits in message.entries} == {()}, "its certificate covers them"
    burst = shop(1)
    burst.ask(m.Follow(0, 41))
    burst.push()
    for sequence in range(41, 61):
        record = msgspec.structs.replace(entry_record(sequence), commits=many)
        burst.journal.log[sequence] = record
        burst.server.on_entry(record)
    assert [answers[0][1] for answers in iter(burst.push, [])] == [list(range(41, 53)), list(range(53, 61))]


def test_r23_entries_up_to_a_checkpoint_travel_with_its_certificate() -> None:
    shop = Shop(25, commits_from=21)
    shop.journal.checkpoints = [checkpoint(10), checkpoint(20)]
    shop.ask(m.FetchEntries(0, 3, 5))
    assert shop.push() == [("r1", list(range(3, 11)), 3)], "the chain is verified backwards from it"
    shop.ask(m.FetchEntries(0, 15, 25))
    assert shop.push() == [("r1", list(range(15, 21)), 3)]
    shop.ask(m.FetchEntries(0, 21, 25))
    assert shop.push() == [("r1", list(range(21, 26)), 0)]


def test_r23_unproved_entries_are_not_sent() -> None:
    shop = Shop(5, commits_from=6)
    shop.ask(m.FetchEntries(0, 1, 5))
    assert shop.push() == []


def test_r23_a_range_that_a_snapshot_cut_below_its_certificate_is_not_sent() -> None:
    shop = Shop(10, commits_from=11)
    shop.journal.checkpoints = [checkpoint(10)]
    del shop.journal.log[9]
    shop.ask(m.FetchEntries(0, 5, 10))
    assert shop.push() == []


def test_r35_a_range_ends_with_its_epoch() -> None:
    """The peer has no keys for the rest yet."""
    shop = Shop(9)
    for sequence in range(6, 10):
        record = shop.journal.log[sequence]
        later = msgspec.structs.replace(record.entry, epoch=1)
        shop.journal.log[sequence] = msgspec.structs.replace(record, entry=later)
    shop.ask(m.FetchEntries(0, 4, 9))
    assert shop.push() == [("r1", [4, 5], 0)]
    shop.ask(m.FetchEntries(0, 6, 9))
    assert shop.push() == [("r1", [6, 7, 8, 9], 0)]


def test_r28_who_asks_for_one_entry_gets_the_certificate_at_it() -> None:
    shop = Shop(10)
    shop.journal.checkpoints = [checkpoint(10)]
    shop.execute(11)
    for first, last, certified in ((10, 10, 3), (9, 9, 0), (9, 10, 0), (10, 11, 0)):
        shop.ask(m.FetchEntries(0, first, last))
        assert shop.push() == [("r1", list(range(first, last + 1)), certified)]


def test_r28_a_follower_gets_what_it_lacks_and_then_each_new_entry() -> None:
    shop = Shop(2)
    shop.ask(m.Follow(0, 1))
    assert shop.push() == [("r1", [1, 2], 0)]
    shop.execute(3)
    shop.execute(4)
    assert shop.push() == [("r1", [3, 4], 0)]
    assert shop.push() == []


def test_a_follower_that_does_not_renew_is_forgotten() -> None:
    shop = Shop(0)
    shop.ask(m.Follow(0, 1))
    shop.clock.monotonic += log_server.FOLLOW_TIME + 1
    shop.execute(1)
    assert shop.push() == []


def test_r23_followers_that_cannot_be_served_do_not_keep_the_node_awake() -> None:
    shop = Shop(30)
    for sequence in range(1, 21):
        del shop.journal.log[sequence]  # a snapshot was installed at 20
    lagging = [Peer(f"r{number}", number) for number in range(1, log_server.RANGES_PER_TURN + 3)]
    for peer in lagging:
        shop.ask(m.Follow(0, 5), peer)
    for _turn in lagging:  # each is looked for once
        assert shop.push() == []
    assert shop.server.deadline() is None, "nothing can be done for them"
    shop.execute(31)
    assert shop.push() == []
    assert shop.server.deadline() is None
    shop.ask(m.Follow(0, 21), lagging[0])
    assert shop.push() == [("r1", list(range(21, 32)), 0)], "who asks for what is here gets it at once"


def test_r23_a_follower_gets_uncertified_entries_with_the_checkpoint() -> None:
    shop = Shop(12, commits_from=11)
    shop.ask(m.Follow(0, 8))
    assert shop.push() == []
    shop.journal.checkpoints = [checkpoint(10)]
    shop.server.on_checkpoint(checkpoint(10))
    assert shop.push() == [("r1", [8, 9, 10], 3), ("r1", [], 3)]


def served(shop: Shop) -> list[str]:
    """The peers in the order served until none waits, a bounded number in each turn."""
    names: list[str] = []
    while True:
        pushed = shop.push()
        assert len(pushed) <= log_server.RANGES_PER_TURN
        names += [name for name, _sequences, _certificate in pushed]
        if shop.server.deadline() is None:
            return names
        shop.wait()


def test_row_15_followers_and_requests_are_bounded() -> None:
    shop = Shop(1)
    for index in range(log_server.SUBSCRIBERS_MAX + 10):
        shop.ask(m.Follow(0, 1), Peer(f"learner-{index}", None))
    assert served(shop) == [f"learner-{index}" for index in range(log_server.SUBSCRIBERS_MAX)]
    for index in range(log_server.REQUESTS_MAX + 10):
        shop.ask(m.FetchEntries(0, 1, 1), Peer(f"learner-{index}", None))
    assert served(shop) == [f"learner-{index}" for index in range(log_server.REQUESTS_MAX)]


def test_row_15_one_key_with_many_connections_has_one_share() -> None:
    """A client that opens a hundred connections delays no other peer's log."""
    shop = Shop(1)
    for index in range(100):
        shop.ask(m.FetchEntries(0, 1, 1), Peer("greedy", None, index.to_bytes(2, "big")))
        shop.ask(m.Follow(0, 1), Peer("greedy", None, index.to_bytes(2, "big")))
    shop.ask(m.FetchEntries(0, 1, 1), Peer("learner", None))
    names = served(shop)
    assert names.count("greedy") == log_server.CONNECTIONS_MAX + log_server.REQUESTS_SHARE
    assert names.index("learner") == 1


def test_row_15_one_peer_has_one_request_waiting() -> None:
    shop = Shop(9)
    for first in range(1, 9):
        shop.ask(m.FetchEntries(0, first, 9))
    assert shop.push() == [("r1", [8, 9], 0)]


def test_row_15_a_connection_may_change_its_request_when_the_table_is_full() -> None:
    shop = Shop(2)
    for index in range(log_server.REQUESTS_SHARE):
        shop.ask(m.FetchEntries(0, 1, 1), Peer("learner", None, bytes([index])))
    shop.ask(m.FetchEntries(0, 1, 1), Peer("learner", None, b"one too many"))
    shop.ask(m.FetchEntries(0, 2, 2), Peer("learner", None, bytes([0])))
    answers: list[list[int]] = []
    while pushed := shop.push():
        answers += [sequences for _name, sequences, _certificate in pushed]
    assert sorted(answers) == [[1]] * (log_server.REQUESTS_SHARE - 1) + [[2]]


def test_r28_an_up_to_date_follower_gets_each_checkpoint_certificate() -> None:
    """Its entries came with COMMITs, which do not bind the state; the certificate does."""
    shop = Shop(9)
    shop.ask(m.Follow(0, 1), Peer("learner", None))
    shop.push()
    shop.execute(10)
    shop.server.on_checkpoint(checkpoint(10))
    assert shop.push() == [("learner", [10], 0), ("learner", [], 3)]
    assert shop.push() == []


def test_r28_a_follower_that_is_behind_gets_no_certificate_it_cannot_use() -> None:
    shop = Shop(log_server.RANGE_ENTRIES_MAX + 10)
    shop.ask(m.Follow(0, 1), Peer("learner", None))
    shop.server.on_checkpoint(checkpoint(log_server.RANGE_ENTRIES_MAX + 10))
    assert [frames for _peer, _sequences, frames in shop.push()] == [0]


def test_r28_a_follower_that_lacks_the_entry_of_a_checkpoint_gets_no_certificate_alone() -> None:
    shop = Shop(9)
    shop.ask(m.Follow(0, 10))
    shop.server.on_checkpoint(checkpoint(10))
    assert shop.push() == []
    assert shop.push() == []
    shop.ask(m.Follow(0, 11), Peer("r2", 2))
    shop.server.on_checkpoint(checkpoint(10))
    assert shop.push() == [("r2", [], 3)]


def test_r23_a_fresh_entry_without_its_proof_waits_for_a_checkpoint() -> None:
    """It was executed below a checkpoint, and its COMMITs are not here."""
    shop = Shop(9)
    shop.ask(m.Follow(0, 10))
    record = entry_record(10, certified=False)
    shop.journal.log[10] = record
    shop.server.on_entry(record)
    assert shop.push() == []
    shop.journal.checkpoints = [checkpoint(10)]
    shop.server.on_checkpoint(checkpoint(10))
    assert shop.push()[0] == ("r1", [10], 3)


def test_row_15_serving_the_log_takes_a_small_share_of_the_time() -> None:
    """A member that asks for the longest range at every turn, as a flooder does, gets few of them, after
    an idle hour too; other peers are served meanwhile.
    """
    shop = Shop(log_server.RANGE_ENTRIES_MAX)
    shop.clock.monotonic += 3_600 * SECOND
    begun = shop.clock.monotonic
    names: list[str] = []
    while shop.clock.monotonic < begun + SECOND:
        shop.ask(m.FetchEntries(0, 1, log_server.RANGE_ENTRIES_MAX), Peer("flooder", 3))
        shop.ask(m.FetchEntries(0, 1, log_server.RANGE_ENTRIES_MAX), Peer("r1", 1))
        names += [name for name, _sequences, _certificate in shop.push()]
        shop.clock.monotonic += MILLISECOND
    cost = len(names) * log_server.RANGE_ENTRIES_MAX * log_server.ENTRY_COST
    assert cost <= (SECOND + SAVED_MAX) // SHARE + 4 * MILLISECOND
    assert abs(names.count("flooder") - names.count("r1")) <= 1
    assert len(names) > 50, "and it is answered all the time"


def test_r35_a_lagging_peer_gets_one_proof_over_all_its_connections() -> None:
    """However many it has, and whoever else asks: each proof is a read of the ledger."""
    shop = Shop(10)
    shop.journal.checkpoints = [checkpoint(10)]
    insider, honest = ([Peer(name, None, route=b"%d" % at) for at in range(300)] for name in "ab")

    def told(peers: list[Peer]) -> list[str]:
        shop.tape.said.clear()
        for peer in peers:
            shop.server.on_lagging(peer, 10, shop.clock.now())
        return [value[0].name for what, value in shop.tape.said if what == "answer"]

    assert told(insider) == ["a"]
    assert told([*honest[:1], *insider, *honest]) == ["b"]
    shop.clock.monotonic += log_server.PROOF_EVERY
    assert told([*insider, *honest]) == ["a", "b"]
    shop.clock.monotonic += log_server.PROOF_EVERY + 1
    assert told([*insider, *honest]) == ["a", "b"]


def test_r35_a_peer_of_a_past_epoch_gets_the_end_of_that_epoch_and_no_later_one() -> None:
    shop = Shop(12)
    shop.journal.checkpoints = [checkpoint(12)]
    for sequence in (10, 13):  # of the latter there is no certificate at all
        shop.server.on_lagging(Peer("a", None), sequence, shop.clock.now())
    assert "answer" not in shop.tape.words()


def test_connections_that_are_turned_away_are_told_so_at_a_limited_rate() -> None:
    shop = Shop(10)
    for at in range(log_server.SUBSCRIBERS_MAX):
        shop.ask(m.Follow(0, 1), Peer(f"learner-{at}", None))
    shop.tape.said.clear()
    for _ in range(3):
        for at in range(300):
            shop.ask(m.Follow(0, 1), Peer("insider", None, route=b"%d" % at))
        shop.ask(m.Follow(0, 1), Peer("late", None))
        shop.ask(m.Follow(0, 1), Peer("early", None))
    told = [value[0].name for what, value in shop.tape.said if what == "answer"]
    assert told == ["insider"] * (log_server.REQUESTS_MAX // 2) + ["late", "early"]
    for at in range(2 * log_server.REQUESTS_MAX):
        shop.ask(m.Follow(0, 1), Peer(f"other-{at}", None))
    told = [value[0].name for what, value in shop.tape.said if what == "answer"]
    assert len(told) == log_server.REQUESTS_MAX
