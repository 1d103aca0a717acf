"""A gateway follows the membership by epoch change proofs, never by claims (R16, R35)."""

from __future__ import annotations

import base64

import msgspec
import pytest
from msgspec.structs import replace

from dtvn.gateway import Collector
from dtvn.gateway.calls import Queue, Result
from dtvn.gateway.identity import GenesisKeys
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now, Reason
from dtvn.protocol.consensus.epoch_change_proof import EpochChangeProof
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.epochs.proofs import EPOCH_CHANGES, PAGE
from dtvn.protocol.wire import Door, Envelope, FrameSigner, decode_envelope, link_frame
from tests.epochs.world import World
from tests.host.support import operation

SECOND = 1_000_000_000


class Town:
    """A small world that went through three epochs, and what its members keep of them."""

    def __init__(self, members: int = 4, **parameters: int) -> None:
        self.world = World("gateway", members=members)
        self.world.open_session()
        for name in ("n3", "n2", "n1"):
            self.world.reconfigure(leaves=name, allow_small=True)
        if parameters:
            self.world.reconfigure(parameters=(replace(self.world.now.parameters, **parameters),))
        self.world.run(5 * SECOND)
        host = self.world.boxes["n0"].host
        assert host is not None
        self.told = [self._page(number) for number in range(4)]
        self.epoch_changes = [base64.b64decode(each) for each in self.told[0]]

    def _page(self, first: int) -> list[str]:
        host = self.world.boxes["n0"].host
        assert host is not None
        return msgspec.json.decode(host.epoch_changes.answer(m.Query(0, EPOCH_CHANGES, (str(first),))).text)


class Desk:
    """A collector whose members give the answers of the test."""

    def __init__(self, town: Town, *, connected: int = 4) -> None:
        world = town.world
        self.cluster, self.keyring = world.cluster, world.keyring
        self.keys = GenesisKeys(world.genesis)
        scheme = world.keyring.scheme
        self.collector = Collector(
            world.genesis,
            principal="gateway",
            client=b"12345678",
            signer=FrameSigner(world.cluster, world.keyring.pair("gateway")[1], self.keys, scheme=scheme),
            door=Door(world.cluster, self.keys, scheme=scheme),
        )
        self.time = SECOND
        self.collector.connected(frozenset(range(connected)), self.now)

    @property
    def now(self) -> Now:
        return Now(self.time, 1_700_000_000 * SECOND + self.time)

    def asked(self, what: str) -> dict[int, m.Query]:
        """Questions of one kind to each member since the last call."""
        frames = [(to, decode_envelope(frame)[1]) for to, frame in self.collector.take(self.now).send]
        return {to: each for to, each in frames if isinstance(each, m.Query) and each.what == what}

    def bundle(self) -> bytes:
        """Body of the first bundle that is sent now."""
        frames = [frame for _to, frame in self.collector.take(self.now).send]
        return next(
            canonical.decode(Envelope, frame).body for frame in frames if frame[1] == m.KIND_OF[m.Bundle]
        )

    def repeat(self, body: bytes, sender: int, epoch: int, code: str) -> None:
        """A member's signed repeat of a bundle's outcome at sequence 4."""
        bundle, keyring = canonical.decode(m.Bundle, body), self.keyring
        place = (bundle.session, bundle.number)
        said = m.Repeat(epoch, sender, *place, m.bundle_digest(body), 4, 0, (code,))
        secret = keyring.pair(f"n{sender}")[1]
        frame = FrameSigner(self.cluster, secret, self.keys, scheme=keyring.scheme).sign(said)
        self.collector.receive(sender, frame, self.now)

    def answer(self, member: int, query: m.Query, told: object) -> None:
        text = msgspec.json.encode(told).decode()
        self.collector.receive(member, link_frame(m.Answer(query.number, "", text)), self.now)

    def claim(self, epoch: object, *members: int) -> dict[int, m.Query]:
        """These members say that they live in `epoch`; what the collector asks them then."""
        self.time += 2 * SECOND
        self.collector.tick(self.now)
        for member, query in self.asked("status").items():
            if member in members:
                self.answer(member, query, {"view": 0, "sequence": 9, "epoch": epoch})
        return self.asked(EPOCH_CHANGES)

    def show(self, pages: list[str], *members: int) -> Membership | None:
        """These members claim a later epoch and show this; whom the collector believes then."""
        for member, query in self.claim(3, *members).items():
            self.answer(member, query, pages)
        return self.collector.take(self.now).successor


@pytest.fixture(scope="module")
def town() -> Town:
    return Town()


@pytest.fixture
def desk(town: Town) -> Desk:
    return Desk(town)


def packed(*epoch_changes: bytes) -> list[str]:
    return [base64.b64encode(each).decode() for each in epoch_changes]


def test_r16_proofs_of_one_member_suffice_for_all_epochs(town: Town, desk: Desk) -> None:
    assert desk.show(town.told[0], 2) == town.world.now
    assert len(desk.collector.epochs.certificates) == 3
    assert [member.id for member in desk.collector.epochs.present.members] == ["n0"]


def test_r16_claims_of_all_members_alone_start_no_new_epoch(desk: Desk) -> None:
    asked = desk.claim(1, 0, 1, 2, 3)
    assert {query.arguments for query in asked.values()} == {("0",)}
    for member, query in asked.items():
        desk.answer(member, query, [])
    assert desk.collector.take(desk.now).successor is None
    assert desk.collector.epochs.present.epoch == 0


def test_r16_an_epoch_is_not_skipped_nor_begun_by_another_epochs_proof(town: Town, desk: Desk) -> None:
    first, second, third = town.epoch_changes
    for wrong in ((second,), (third, first), (first[:-1],)):
        assert desk.show(packed(*wrong), 1) is None
    assert desk.collector.refused()[1] == 3
    half = desk.show(packed(first, third), 1)
    assert half is not None
    assert half.epoch == 1
    assert len(desk.collector.epochs.certificates) == 1, "what leads there is kept for the next process"


@pytest.mark.parametrize("part", ["members", "checkpoint", "peaks", "unsealed"])
def test_r16_a_proof_with_one_part_changed_proves_nothing(town: Town, desk: Desk, part: str) -> None:
    found = msgspec.msgpack.decode(town.epoch_changes[0], type=EpochChangeProof)
    changed = {
        "members": {"leaf": found.leaf.replace(b"n1", b"n9")},
        "checkpoint": {"checkpoint": found.checkpoint[:-1]},
        "peaks": {"peaks": found.peaks[1:]},
        "unsealed": {"checkpoint": ()},
    }[part]
    forged = msgspec.msgpack.encode(msgspec.structs.replace(found, **changed))
    assert forged != town.epoch_changes[0]
    assert desk.show(packed(forged), 0, 1, 2, 3) is None


def test_r16_a_silent_liar_blocks_no_other_member(town: Town, desk: Desk) -> None:
    asked = desk.claim(9, 0, 2)
    assert set(asked) == {0, 2}
    desk.answer(2, asked[2], town.told[0])
    assert desk.collector.take(desk.now).successor == town.world.now


def test_r16_a_client_never_goes_back_to_an_earlier_epoch(town: Town, desk: Desk) -> None:
    assert desk.show(town.told[0], 0) is not None
    desk.collector.connected(frozenset({0}), desk.now)
    assert desk.claim(1, 0) == {}
    assert desk.show(town.told[0], 0) is None  # nothing of it is asked for, and nothing follows from it


@pytest.mark.parametrize("epoch", ["2", None, -1, 1.5, True, [1]])
def test_a_malformed_epoch_is_skipped(desk: Desk, epoch: object) -> None:
    asked = desk.claim(epoch, 0, 1, 2, 3)
    assert asked == {}


@pytest.mark.parametrize("told", [[""], ["zz"], [1], {}, ["AAAA"] * 100, "x" * 2_000_000])
def test_malformed_proofs_are_counted_and_skipped(desk: Desk, told: object) -> None:
    for member, query in desk.claim(1, 1).items():
        desk.answer(member, query, told)
    assert desk.collector.take(desk.now).successor is None
    assert desk.collector.refused()[1] == 1


def test_a_member_gets_one_question_at_a_time_and_only_in_a_later_epoch(desk: Desk) -> None:
    assert desk.claim(0, 0, 1, 2, 3) == {}
    (asked,) = desk.claim(1, 1).values()
    desk.answer(1, m.Query(asked.number + 99, EPOCH_CHANGES, ()), [])  # nobody asked
    assert desk.asked(EPOCH_CHANGES) == {}


def test_an_answer_with_a_code_is_a_refusal_and_shows_nothing(town: Town, desk: Desk) -> None:
    (asked,) = desk.claim(1, 1).values()
    text = msgspec.json.encode(town.told[0]).decode()
    desk.collector.receive(1, link_frame(m.Answer(asked.number, "unavailable", text)), desk.now)
    assert desk.collector.take(desk.now).successor is None
    assert desk.collector.refused()[1] == 0


def test_a_missing_answer_about_epochs_reaches_no_caller(desk: Desk) -> None:
    assert set(desk.claim(1, 3)) == {3}
    desk.time += 2 * SECOND
    desk.collector.tick(desk.now)
    assert desk.collector.take(desk.now).answered == []
    assert set(desk.claim(1, 3)) == {3}
    desk.collector.connected(frozenset({0, 1, 2}), desk.now)
    assert desk.collector.take(desk.now).answered == []


def test_pending_calls_are_sent_to_the_new_members(town: Town, desk: Desk) -> None:
    call = desk.collector.submit((operation(),), desk.now, wait=60 * SECOND)
    first = [decode_envelope(frame)[1] for _member, frame in desk.collector.take(desk.now).send]
    bundle = next(message for message in first if isinstance(message, m.Bundle))
    assert call >= 0
    following = desk.show(town.told[0][:1], 0)
    assert following is not None
    desk.keys.follow(following)
    desk.collector.connected(frozenset(range(3)), desk.now)
    desk.time += SECOND
    desk.collector.tick(desk.now)
    again = {
        member for member, frame in desk.collector.take(desk.now).send if decode_envelope(frame)[1] == bundle
    }
    assert again == {0, 1, 2}


def test_r16_a_claim_of_the_old_epoch_does_not_count_in_the_new_one() -> None:
    """f + 1 is a number of members of one epoch: a liar in each of two epochs are not two of one."""
    town = Town(5)
    desk = Desk(town, connected=5)
    desk.collector.submit((operation(),), desk.now, wait=60 * SECOND)
    body = desk.bundle()

    def says(sender: int, epoch: int, code: str) -> None:
        desk.repeat(body, sender, epoch, code)

    says(1, 0, "lie")
    following = desk.show(town.told[0][:1], 0)
    assert following is not None
    desk.keys.follow(following)
    assert [member.id for member in following.members] == ["n0", "n1", "n2", "n4"]
    says(2, 1, "lie")
    assert desk.collector.acknowledged == 0
    says(0, 0, "lie")
    assert desk.collector.acknowledged == 0, "said in the new epoch of the old one"
    says(0, 1, "ok")
    says(1, 1, "ok")
    assert desk.collector.acknowledged == 4
    assert desk.collector.refused() == (1, 0, 0, 0)


def test_r16_a_frame_that_was_read_before_the_proof_counts_for_nobody() -> None:
    """It was read from the link of a former member, whose index is another one's now: with one liar of the
    present epoch it would be two, and these end a call."""
    town = Town(5)
    desk = Desk(town, connected=5)
    desk.collector.submit((operation(),), desk.now, wait=60 * SECOND)
    opening = desk.bundle()
    for member in (0, 1):
        desk.repeat(opening, member, 0, "ok")
    body = desk.bundle()
    bundle, request = canonical.decode(m.Bundle, body), m.bundle_digest(body)
    place, late = (bundle.session, bundle.number, request), bundle.operations[0].valid_until + 1
    busy = link_frame(m.Busy(*place, Reason.EXPIRED.value, 0, late))
    question = desk.claim(1, 2)[2]
    desk.collector.receive(3, link_frame(m.Judged(b"before the proof")), desk.now)
    desk.answer(2, question, town.told[0][:1])
    desk.collector.receive(3, busy, desk.now)  # n3, which has left
    desk.collector.receive(3, link_frame(m.Judged(b"after it")), desk.now)
    actions = desk.collector.take(desk.now)
    following = actions.successor
    assert following is not None
    assert actions.judged == []
    assert [member.id for member in following.members] == ["n0", "n1", "n2", "n4"]
    desk.collector.connected(frozenset(range(4)), desk.now)

    def told_by(member: int) -> list[tuple[Result, ...]]:
        desk.collector.receive(member, busy, desk.now)
        desk.time += 2 * SECOND
        desk.collector.tick(desk.now)
        return [each.results for each in desk.collector.take(desk.now).completed]

    assert told_by(2) == []
    assert told_by(3) == [(Result(Reason.EXPIRED.value),)], "n4 is the second one"


def test_r16_a_reply_of_a_later_epoch_is_followed_at_once(town: Town, desk: Desk) -> None:
    """The reply itself proves nothing: a liar that invents epochs has one open question."""
    desk.collector.submit((operation(),), desk.now, wait=60 * SECOND)
    first = [decode_envelope(frame) for _member, frame in desk.collector.take(desk.now).send]
    [request] = [m.bundle_digest(head.body) for head, message in first if isinstance(message, m.Bundle)]

    def reply(epoch: int) -> dict[int, m.Query]:
        entry = m.Entry(epoch, 9, bytes(32), bytes(32), 1, bytes(32))
        frame = link_frame(m.Reply((0, 0), 0, request, entry, 0, (), (), b""))
        desk.collector.receive(2, frame, desk.now)
        return desk.asked(EPOCH_CHANGES)

    assert reply(0) == {}
    asked = reply(1)
    assert set(asked) == {2}
    assert reply(7) == {}
    desk.answer(2, asked[2], [])
    assert desk.collector.epochs.present.epoch == 0
    asked = reply(7)
    desk.answer(2, asked[2], town.told[0])
    assert desk.collector.take(desk.now).successor == town.world.now


def test_a_question_of_the_new_epoch_has_no_number_of_the_old_one(town: Town, desk: Desk) -> None:
    """A caller learns only at the end of the turn that its question is lost; one asked meanwhile had the
    same number, and two answers to one caller ended the gateway's thread."""
    old = {desk.collector.ask(member, "alive", (), desk.now, wait=60 * SECOND) for member in range(4)}
    asked = desk.claim(3, 0)
    desk.answer(0, asked[0], town.told[0])
    new = {desk.collector.ask(0, "alive", (), desk.now, wait=60 * SECOND) for _ in range(4)}
    actions = desk.collector.take(desk.now)
    assert actions.successor == town.world.now
    assert not old & new
    desk.collector.connected(frozenset(), desk.now)
    answered = [*actions.answered, *desk.collector.take(desk.now).answered]
    assert {(each.question, each.code) for each in answered} <= {(number, "down") for number in old | new}
    assert sorted(each.question for each in answered if each.question in old) == sorted(old)


def test_proofs_come_in_pages_and_a_malformed_question_is_refused(town: Town) -> None:
    host = town.world.boxes["n0"].host
    assert host is not None
    assert [len(page) for page in town.told] == [3, 2, 1, 0]
    assert PAGE == 64
    for arguments in ((), ("x",), ("-1",), ("0", "1"), ("1" * 12,), ("²",)):
        assert host.epoch_changes.answer(m.Query(7, EPOCH_CHANGES, arguments)).code == "bad_arguments"


def test_r20_bundles_are_as_large_as_the_newest_epoch_allows() -> None:
    """A bundle over the bound is never ordered, however often it is sent."""
    town = Town(batch_operations_max=5, batch_bytes_max=6_000)
    desk = Desk(town)
    large = replace(operation("T-0"), payload=bytes(5_500))
    desk.collector.submit((large,), desk.now, wait=60 * SECOND)
    desk.collector.submit(tuple(operation(f"T-{n}") for n in range(12)), desk.now, wait=60 * SECOND)
    desk.collector.submit((replace(operation("T-12"), payload=bytes(2_000)),) * 3, desk.now, wait=60 * SECOND)
    assert desk.show(town.told[0], 0, 1, 2, 3) == town.world.now
    desk.collector.connected(frozenset(range(4)), desk.now)
    queue = desk.collector._queue
    sizes = []
    while len(queue):
        parts = queue.gather(desk.collector._operations_max)
        sizes.append(sum(part.count for part in parts))
        for part in parts:
            queue.settle(part, [Result("ok")] * part.count)
    assert sizes == [1, 5, 5, 3, 1, 1], "the large one holds nobody up, the rest fits"


def test_r35_a_membership_change_shares_no_bundle_with_other_operations() -> None:
    """Under load the next bundle takes all that waits; there the change would be refused `not_alone`."""
    queue = Queue(operations_max=100, bytes_max=1 << 20)
    change = operation("T-3", kind="reconfigure")
    for one in (operation("T-1"), operation("T-2"), change, operation("T-4"), operation("T-5")):
        queue.add((one,), 0, SECOND)
    bundles = [[each.kind for part in queue.gather(100) for each in part.operations] for _ in range(3)]
    assert [len(kinds) for kinds in bundles] == [2, 1, 2]
    assert bundles[1] == ["reconfigure"]
