"""The guarantee of a read is chosen per request; its answer names its sequence (R18, P19)."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dtvn.api.errors import TicketError
from dtvn.gateway import Answered, Result
from dtvn.gateway.identity import GenesisKeys
from dtvn.node.inspect import StateProof
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.wire import FrameSigner
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from tests.host.support import key_pair
from tests.waiting import PATIENCE, wait_until
from tickets.services import reading
from validators import feed
from validators.models import ApiKey
from validators.rest import http
from validators.services.epochs import known_chain

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


class Members:
    """Four members that answer `proof` from frozen states, with real signatures."""

    def __init__(self, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake = fake
        self.genesis = fake.genesis
        self.asked = 0
        self.answers: dict[int, str] = {}
        """By member; one without an answer is silent."""
        self.without: set[int] = set()
        """Members that answer that they have no proof."""
        self.restarted: dict[int, int] = {}
        """Members that started again, and the sequence above which their next checkpoint proves something."""
        monkeypatch.setattr(fake, "query", self.query)

    def query(self, member: int, what: str, arguments: Any = (), *, wait: float = 2.0) -> Future[Answered]:
        assert (what, wait) == ("proof", 1.0)
        self.asked += 1
        future: Future[Answered] = Future()
        text = self.answers.get(member)
        code = "unavailable" if member in self.without else "timeout"
        if member in self.restarted:
            found = self.after_restart(*arguments, above=self.restarted[member])
            code, text = ("not_frozen", None) if found is None else ("", found)
        future.set_result(Answered(0, code, "") if text is None else Answered(0, "", text))
        return future

    def after_restart(self, _event: str, ticket: str, *, above: int) -> str | None:
        """A proof only if the newest execution is a checkpoint: members freeze no other states."""
        sequence = self.fake._sequence
        due = sequence > above and sequence % self.genesis.parameters.checkpoint_interval == 0
        return self.proof(ticket) if due else None

    def proof(self, ticket: str, *, signers: tuple[int, ...] = (0, 1, 2), sequence: int = 0) -> str:
        """What an honest member shows of the state as it is now; `sequence`: claimed instead of its own."""
        application = self.fake.application
        at = sequence or self.fake._sequence
        root = application.freeze(at)
        proof = application.prove("default", ticket)
        assert proof is not None
        return self.shown(at, root, proof, signers)

    def shown(self, at: int, root: bytes, proof: Any, signers: tuple[int, ...]) -> str:
        frames = tuple(self.sign(m.Checkpoint(0, index, at, root, bytes(32), 1)) for index in signers)
        return msgspec.json.encode(StateProof(frames, proof)).decode()

    def sign(self, message: m.Checkpoint) -> bytes:
        signer = FrameSigner(
            cluster_id(self.genesis), key_pair(f"r{message.sender}")[1], GenesisKeys(self.genesis)
        )
        return signer.sign(message)


@pytest.fixture
def members(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> Members:
    return Members(fake, monkeypatch)


def issue(api: Api, ticket: str = "T-1") -> None:
    assert api.post("tickets", {"ticket_id": ticket, "metadata": {"row": "4"}}).status_code == 200


@pytest.mark.parametrize("word", ["", "Local", "eventual", "quorum,local", "\0"])
def test_a_read_of_an_unknown_kind_is_refused_by_name(api: Api, word: str) -> None:
    answer = api.get(f"tickets/T-1?read={word}")
    assert answer.status_code == 400
    assert "read must be one of local, quorum, linearizable" in read(answer)["error"]


def test_r18_a_local_read_is_the_platforms_own_copy(api: Api) -> None:
    issue(api)
    plain, local = api.get("tickets/T-1"), api.get("tickets/T-1?read=local")
    assert read(plain) == read(local)
    assert local.headers["X-DTVN-Read"] == "local"
    assert int(local.headers["X-DTVN-Sequence"]) >= 2


def test_r18_a_quorum_read_shows_what_q_members_signed(api: Api, members: Members) -> None:
    issue(api)
    proof = members.proof("T-1")
    at = members.fake._sequence
    members.answers = {1: proof, 3: proof}
    assert api.post("tickets/validate", {"ticket_id": "T-1"}).status_code == 200
    answer = api.get("tickets/T-1?read=quorum")
    assert answer.status_code == 200
    shown, local = read(answer)["data"], read(api.get("tickets/T-1"))["data"]
    assert (shown["State"], local["State"]) == ("ISSUED", "VALIDATED"), "as new as the checkpoint, no newer"
    assert list(shown) == list(local)
    assert shown["Metadata"] == local["Metadata"] == {"row": "4"}
    assert answer.headers["X-DTVN-Sequence"] == str(at)
    assert answer.headers["X-DTVN-Read"] == "quorum"


def test_r18_a_quorum_read_goes_on_with_each_answer(
    api: Api, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for no member that hangs once f + 1 proved the ticket."""
    issue(api)
    members.answers = dict.fromkeys(range(4), members.proof("T-1"))
    waited: list[dict[str, Any]] = []
    plain = reading.wait
    monkeypatch.setattr(reading, "wait", lambda given, **how: (waited.append(how), plain(given, **how))[1])
    assert api.get("tickets/T-1?read=quorum").status_code == 200
    assert waited == [{"timeout": 2.0, "return_when": FIRST_COMPLETED}]


def test_r18_absence_is_proved_too(api: Api, members: Members) -> None:
    issue(api)
    members.answers = dict.fromkeys(range(4), members.proof("NOBODY"))
    answer = api.get("tickets/NOBODY?read=quorum")
    assert (answer.status_code, read(answer)["code"]) == (404, "ticket_not_found")
    assert answer.headers["X-DTVN-Sequence"] == str(members.fake._sequence)


def test_p19_a_stale_replica_never_wins(api: Api, members: Members) -> None:
    """One honest member is behind: what it shows is proved, and another one shows more."""
    issue(api)
    stale = members.proof("T-1")
    assert api.post("tickets/validate", {"ticket_id": "T-1"}).status_code == 200
    newest = members.proof("T-1")
    at = members.fake._sequence
    for behind in range(4):
        members.answers = dict.fromkeys(range(4), newest) | {behind: stale}
        answer = api.get("tickets/T-1?read=quorum")
        assert read(answer)["data"]["State"] == "VALIDATED", behind
        assert answer.headers["X-DTVN-Sequence"] == str(at)


def test_p19_the_first_member_that_answers_does_not_decide_alone(
    api: Api, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lags, and is the quickest; the others answer once it has."""
    issue(api)
    stale = members.proof("T-1")
    assert api.post("tickets/validate", {"ticket_id": "T-1"}).status_code == 200
    newest = Answered(0, "", members.proof("T-1"))
    slower: list[Future[Answered]] = []
    real = reading.wait

    def query(member: int, _what: str, _arguments: Any = (), *, wait: float = 2.0) -> Future[Answered]:
        future: Future[Answered] = Future()
        if member == 2:
            future.set_result(Answered(0, "", stale))
        else:
            slower.append(future)
        return future

    def waited(asked: Any, **how: Any) -> Any:
        found = real(asked, **how)
        for future in slower:
            future.set_result(newest)
        slower.clear()
        return found

    monkeypatch.setattr(members.fake, "query", query)
    monkeypatch.setattr(reading, "wait", waited)
    answer = api.get("tickets/T-1?read=quorum")
    assert read(answer)["data"]["State"] == "VALIDATED"
    assert answer.headers["X-DTVN-Sequence"] == str(members.fake._sequence)


def test_p19_a_read_that_asks_again_never_goes_back(members: Members) -> None:
    """The member that showed the newest state is silent by then; the others lag."""
    members.answers = dict.fromkeys(range(4), members.proof("T-1", sequence=20))
    reader = reading._Reader(reading.gateway(), "default", "T-1", 30)
    assert [reader.ask()[0].sequence for _ in range(2)] == [20, 20]  # type: ignore[union-attr]
    members.answers = dict.fromkeys(range(3), members.proof("T-1", sequence=10))
    newest = reader.ask()[0]
    assert newest is not None
    assert newest.sequence == 20


def test_p19_lies_of_f_members_are_refused_and_the_read_ends(
    api: Api, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(api)
    honest = members.proof("T-1")
    at = members.fake._sequence
    found = msgspec.json.decode(honest, type=StateProof)
    other = members.fake.application.prove("default", "OTHER")
    root = members.fake.application.root()
    lies = [
        members.proof("T-1", signers=(3,)),
        members.proof("T-1", signers=(3, 3, 3)),
        members.proof("T-1", signers=()),
        members.shown(at + 100, root, found.proof, (0, 1, 2)),
        members.shown(at, bytes(32), found.proof, (0, 1, 2)),
        members.shown(at, root, other, (0, 1, 2)),
        members.shown(at, root, msgspec.structs.replace(found.proof, items=()), (0, 1, 2)),
        "{}",
        "[" * 5_000,
        "no JSON",
    ]
    for lie in lies:
        members.answers = {0: honest, 1: honest, 3: lie}
        answer = api.get("tickets/T-1?read=quorum")
        assert read(answer)["data"]["State"] == "ISSUED"
        assert answer.headers["X-DTVN-Sequence"] == str(at), lie[:200]
    monkeypatch.setattr(reading, "WAIT", 0.2)
    for lie in lies:
        members.answers = {3: lie}
        answer = api.get("tickets/T-1?read=quorum")
        assert (answer.status_code, read(answer)["code"]) == (503, "unavailable"), lie[:200]


def test_r18_a_quorum_read_before_the_first_checkpoint_says_so_at_once(
    api: Api, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(api)
    members.without = {1, 2}
    answer = api.get("tickets/T-1?read=quorum")
    assert (answer.status_code, read(answer)["code"]) == (503, "no_checkpoint_yet")
    assert "the first is at sequence 10: read=linearizable works" in read(answer)["error"]
    assert answer.headers["Retry-After"]
    assert members.asked == 4, "it asked once"
    monkeypatch.setattr(reading, "WAIT", 0.2)
    members.without = {1}  # one member alone may lie
    answer = api.get("tickets/T-1?read=quorum")
    assert (answer.status_code, read(answer)["code"]) == (503, "unavailable")


def test_r18_a_quorum_read_after_restarts_orders_barriers_to_a_checkpoint(
    api: Api, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WAIT", PATIENCE)
    interval = members.genesis.parameters.checkpoint_interval
    while members.fake._sequence < interval + 3:
        issue(api, f"T-{members.fake._sequence}")
    members.restarted = dict.fromkeys(range(3), members.fake._sequence)
    answer = api.get("tickets/T-5?read=quorum")
    assert (answer.status_code, read(answer)["data"]["State"]) == (200, "ISSUED")
    assert answer.headers["X-DTVN-Sequence"] == str(2 * interval)
    assert members.fake._sequence == 2 * interval, "as many as it takes, and no more"
    assert members.asked == 8, "before and after"
    members.fake.acknowledged = 0  # another process of the platform acknowledged nothing yet
    members.restarted = dict.fromkeys(range(3), 2 * interval)
    assert api.get("tickets/NOBODY?read=quorum").status_code == 404
    assert members.fake._sequence == 3 * interval


def test_r18_readers_after_a_restart_share_barriers_ordered_one_at_a_time(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty at once order few more than one does alone, not twenty times as many."""
    interval = members.genesis.parameters.checkpoint_interval
    under_way, most, sequence = 0, 0, interval
    chain = known_chain()
    monkeypatch.setattr(reading, "known_chain", lambda: chain)
    monkeypatch.setattr(reading, "WAIT", PATIENCE)
    monkeypatch.setattr(reading, "_barriers", reading._Shared(reading._order))
    newest = members.proof("T-1", sequence=2 * interval)

    def ordered() -> tuple[Result, ...]:
        nonlocal under_way, sequence
        sequence += 1
        members.fake.acknowledged = sequence
        if sequence == 2 * interval:
            members.restarted, members.answers = {}, dict.fromkeys(range(4), newest)
        under_way -= 1
        return (Result("ok", b"", sequence, 0, 1),)

    with ThreadPoolExecutor(20) as readers, ThreadPoolExecutor(4) as cluster:

        def submit(_operations: Any, *, wait: float = 9.0) -> Future[tuple[Result, ...]]:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            return cluster.submit(ordered)

        monkeypatch.setattr(members.fake, "submit", submit)
        monkeypatch.setattr(members, "after_restart", lambda *_arguments, above: None)
        members.restarted = dict.fromkeys(range(4), interval)
        found = list(readers.map(lambda _: reading.quorum_read("default", "T-1"), range(20)))
    assert {each.sequence for each in found} == {2 * interval}
    assert most == 1
    # Who looked just before the checkpoint was there orders one more, shared like all others.
    assert sequence <= 2 * interval + len(found)


@pytest.fixture
def own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes only while a reader sleeps, so that the machine's speed changes nothing."""
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(reading, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))


@pytest.mark.usefixtures("own_time")
@pytest.mark.parametrize(
    ("how", "wait", "restarted", "submitted"),
    [
        ("no quorum", PATIENCE, (0, 1, 2, 3), 1),
        ("full", PATIENCE, (0, 1, 2, 3), 1),
        ("no answer", 1.5, (0, 1, 2, 3), 1),
        ("never frozen", 1.5, (0, 1, 2, 3), 10),
        ("one member's word", 0.5, (2,), 0),
    ],
)
def test_p19_a_read_after_a_restart_ends_within_one_interval_of_barriers(
    api: Api,
    members: Members,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    wait: float,
    restarted: tuple[int, ...],
    submitted: int,
) -> None:
    issue(api)
    sent: list[Any] = []
    real = members.fake.submit

    def submit(operations: Any, *, wait: float = 9.0) -> Future[tuple[Result, ...]]:
        sent.append(operations)
        return Future() if how == "no answer" else real(operations, wait=wait)

    monkeypatch.setattr(members.fake, "submit", submit)
    monkeypatch.setattr(reading, "_barriers", reading._Shared(reading._order))
    monkeypatch.setattr(reading, "WAIT", wait)
    monkeypatch.setattr(members, "after_restart", lambda *_arguments, above: None)
    members.restarted = dict.fromkeys(restarted, members.fake._sequence)
    members.fake.quorum, members.fake.full = how != "no quorum", how == "full"
    answer = api.get("tickets/T-1?read=quorum")
    assert (answer.status_code, read(answer)["code"]) == (503, "unavailable")
    assert "try again" in read(answer)["error"]
    assert min(1, submitted) <= len(sent) <= submitted


@pytest.mark.usefixtures("own_time")
def test_p19_a_barrier_has_what_is_left_of_its_readers_time(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    monkeypatch.setattr(reading, "barrier", lambda patience: given.append(patience) or 7)
    reader = reading._Reader(reading.gateway(), "default", "T-1", 0)
    for _ in range(3):
        assert reader.order() == 7
        reading.time.sleep(1.0)
    assert given == [reading.WAIT, reading.WAIT - 1, reading.WAIT - 2]


@pytest.mark.usefixtures("own_time")
def test_r17_a_quorum_read_waits_briefly_for_the_named_sequence(api: Api, members: Members) -> None:
    issue(api)
    members.answers = dict.fromkeys(range(4), members.proof("T-1"))
    at = members.fake._sequence
    answer = api.get("tickets/T-1?read=quorum", **{"X-DTVN-Min-Sequence": str(at + 5)})
    assert answer.headers["X-DTVN-Sequence"] == str(at), "it answers with what there is, and says so"
    assert members.asked > 8


def test_r18_a_linearizable_read_orders_a_barrier_first(api: Api, fake: FakeGateway) -> None:
    issue(api)
    before = fake._sequence
    answer = api.get("tickets/T-1?read=linearizable")
    assert read(answer)["data"]["State"] == "ISSUED"
    assert fake._sequence == before + 1
    assert answer.headers["X-DTVN-Sequence"] == str(before + 1)
    assert api.get("tickets/NOBODY?read=linearizable").status_code == 404


class CountedBarriers(reading._Shared[Result]):
    """Counts the readers that wait, or have waited, for a barrier."""

    waiting = 0

    def _begin(self) -> None:
        """Called by a reader once it has its place, and when one ends."""
        with self._lock:
            self.waiting += 1
        super()._begin()


def test_r18_waiting_readers_share_a_new_barrier_and_join_no_sent_one(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty readers come while one barrier is under way: one more serves them all."""
    sent: list[Future[tuple[Result, ...]]] = []
    lock = threading.Lock()

    def submit(operations: Any, *, wait: float = 9.0) -> Future[tuple[Result, ...]]:
        future: Future[tuple[Result, ...]] = Future()
        with lock:
            sent.append(future)
        return future

    barriers = CountedBarriers(reading._order)
    monkeypatch.setattr(fake, "submit", submit)
    monkeypatch.setattr(reading, "_barriers", barriers)
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(reading.barrier)
        wait_until(lambda: len(sent) == 1, what="the first barrier is under way")
        others = [pool.submit(reading.barrier) for _ in range(20)]
        wait_until(lambda: barriers.waiting == 21, what="all the others wait as well")
        sent[0].set_result((Result("ok", b"", 7, 0, 1),))
        wait_until(lambda: len(sent) == 2, what="the second barrier is under way")
        sent[1].set_result((Result("ok", b"", 9, 0, 1),))
        assert first.result(PATIENCE) == 7
        assert {other.result(PATIENCE) for other in others} == {9}
    assert len(sent) == 2


@pytest.mark.parametrize("how", ["closed", "full", "no quorum"])
def test_a_barrier_that_could_not_be_sent_holds_up_no_later_one(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A gateway is closed for a moment where its key changes."""
    monkeypatch.setattr(reading, "_barriers", reading._Shared(reading._order))
    fake._closed, fake.full, fake.quorum = how == "closed", how == "full", how != "no quorum"
    with pytest.raises(TicketError):
        reading.barrier(PATIENCE)
    fake._closed, fake.full, fake.quorum = False, False, True
    assert reading.barrier(PATIENCE) == fake._sequence


def test_r17_a_copy_that_has_caught_up_includes_what_the_caller_named(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for as the barrier is; where the copy does not reach it in time, it says how far it is."""
    waited: list[int] = []
    monkeypatch.setattr(feed, "wait_for", lambda sequence, _: waited.append(sequence) or fake._sequence)
    assert reading.caught_up() == fake._sequence
    assert reading.caught_up(fake._sequence + 9) == fake._sequence
    assert waited == [fake._sequence - 1, fake._sequence - 1 + 9]


@pytest.mark.parametrize(("how", "status"), [("quorum", 503), ("mute", 504), ("full", 503)])
def test_p19_a_linearizable_read_ends_if_the_cluster_is_silent(
    api: Api, fake: FakeGateway, how: str, status: int
) -> None:
    issue(api)
    setattr(fake, how, how != "quorum")
    assert api.get("tickets/T-1?read=linearizable").status_code == status


def test_waiting_reads_of_one_key_leave_threads_to_others(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(api)
    waited: list[int] = []
    monkeypatch.setattr(feed, "wait_for", lambda sequence, _: waited.append(sequence) or fake._sequence)
    far, actor = 10**18, f"key:{ApiKey.objects.get().pk}"
    with ExitStack() as held:
        for _ in range(http.WAITING_EACH):
            assert held.enter_context(http.may_wait(actor))
        read_far = api.get("tickets/T-1", **{"X-DTVN-Min-Sequence": str(far)})
        assert (read_far.status_code, waited) == (200, [fake.acknowledged])
        for kind in ("quorum", "linearizable"):
            refused = api.get(f"tickets/T-1?read={kind}")
            assert (refused.status_code, read(refused)["code"]) == (503, "busy")
    api.get("tickets/T-1", **{"X-DTVN-Min-Sequence": str(far)})
    assert waited[1:] == [far]


def test_a_certificate_waits_for_its_sequence_as_one_read(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It held a thread of its caller's twice, and waited for no sequence where others had theirs."""
    issue(api)
    waited: list[int] = []
    monkeypatch.setattr(feed, "wait_for", lambda sequence, _: waited.append(sequence) or fake._sequence)
    far = 10**18
    with ExitStack() as held:
        for _ in range(http.WAITING_EACH):
            assert held.enter_context(http.may_wait("key:others"))
        api.get("tickets/T-1/certificate", **{"X-DTVN-Min-Sequence": str(far)})
    assert waited == [far]


def test_a_search_by_code_waits_for_the_writes_of_its_caller(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that finds nothing waits too: both answers say how far the copy is."""
    issue(api)
    waited: list[int] = []
    monkeypatch.setattr(feed, "wait_for", lambda sequence, _: waited.append(sequence) or fake._sequence)
    for code, status in (("T-1", 200), ("nobody", 404)):
        for named, sequence in (({}, fake.acknowledged), ({"X-DTVN-Min-Sequence": "77"}, 77)):
            answer = api.post("tickets/find", {"event": "default", "barcode": code}, **named)
            assert (answer.status_code, waited) == (status, [sequence])
            assert answer.headers["X-DTVN-Sequence"] == str(fake._sequence)
            waited.clear()


@pytest.mark.parametrize(
    "path",
    [
        "stats", "peers", "config", "node/crypto", "storage/entries", "nodes/node0/stats",
        "nodes/node0/tickets/T-1", "tickets/T-1/certificate",
    ],
)  # fmt: skip
def test_reads_that_ask_members_are_among_the_waiting_ones(api: Api, path: str) -> None:
    """A member may hang: each would wait for it in a thread for seconds."""
    actor = f"key:{ApiKey.objects.get().pk}"
    with ExitStack() as held:
        while held.enter_context(http.may_wait(actor)):
            pass
        refused = api.get(path)
    assert (refused.status_code, read(refused)["code"]) == (503, "busy")


def test_p19_a_barrier_missing_from_the_platforms_copy_is_no_answer(
    api: Api, fake: FakeGateway, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lagging copy is never returned: the reader gets an error."""
    from tickets.services import reading

    issue(api)
    monkeypatch.setattr(reading, "BARRIER_WAIT", 0.2)
    tables.lagging = True
    assert api.get("tickets/T-1?read=linearizable").status_code == 503
    tables.lagging = False
    tables.catch_up()
    assert api.get("tickets/T-1?read=linearizable").status_code == 200
