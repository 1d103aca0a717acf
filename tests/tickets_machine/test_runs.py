"""The operation `record`: the log knows how far a run was judged, and no run has two histories."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dtvn.machine import Acquire, Record, build, runs
from dtvn.machine.fields import CommandError
from dtvn.machine.rows import RunRow, change_from
from dtvn.protocol import canonical
from dtvn.protocol.versions import FIRST
from dtvn.recovery.ending import final_batch
from tests.events.judging.support import lie
from tests.tickets_machine.recording import PRINCIPALS, Recorder, Run, changed
from tests.tickets_machine.support import HOUR, genesis, public
from tests.tickets_machine.test_snapshot import frozen, gather


@pytest.fixture
def machine() -> Recorder:
    return Recorder()


def test_a_run_is_recorded_chunk_by_chunk_to_its_end(machine: Recorder) -> None:
    run = machine.run()
    code, begun = machine.record(run.next("a", "!NOT_JSON"))
    assert begun is not None
    assert (code, begun.position, begun.refused, begun.ended) == ("ok", 2, 1, False)
    code, ended = machine.record(run.next("b", ends=True))
    assert ended == RunRow(
        "gateway", begun.began, machine.sequence, 0, machine.now, 3, 1, run.head, run.point.state, True
    )
    assert machine.record(run.next("c")) == ("not_next", ended)


def test_a_second_history_of_a_run_is_refused_and_learns_of_the_first(machine: Recorder) -> None:
    run = machine.run()
    assert machine.record(run.next("a"))[0] == "ok"
    late = run.copy()
    code, first = machine.record(run.next("b"))
    assert code == "ok"
    assert machine.record(late.copy().next("other")) == ("not_next", first)
    assert machine.record(late.copy().next("b", "c")) == ("not_next", first)
    assert machine.record(machine.run().next("other")) == ("not_next", first)


def test_a_gap_another_state_or_another_chunk_before_is_refused(machine: Recorder) -> None:
    run = machine.run()
    assert machine.record(run.next("a"))[0] == "ok"
    question = run.vote("b").question
    for wrong in ({"position": 2}, {"before": b"\x01" * 32}, {"run": "r2"}):
        vote = msgspec.structs.replace(run.vote("b"), question=msgspec.structs.replace(question, **wrong))
        assert machine.record(run.signed(vote))[0] == "not_next"
    alike = machine.run()
    alike.next("!NOT_JSON")
    alike.point = run.point
    assert machine.record(alike.next("b"))[0] == "not_next", (
        "position and state fit, the chunks before do not"
    )
    assert machine.record(run.next("b"))[0] == "ok"


def of_two_members(machine: Recorder) -> Record:
    return machine.run().next("a", signers=(0, 1))


def of_another_cluster(machine: Recorder) -> Record:
    return changed(machine.run().next("a"), cluster=bytes(32))


def of_a_member_twice(machine: Recorder) -> Record:
    record = machine.run().next("a")
    first, second, _third = record.certificate.ballots
    return changed(record, ballots=(first, second, second))


def of_other_votes(machine: Recorder) -> Record:
    record, run = machine.run().next("a"), machine.run()
    return changed(record, vote=canonical.encode(lie(run.vote("a"), (0, "LIE"))))


@pytest.mark.parametrize("forged", [of_two_members, of_another_cluster, of_a_member_twice, of_other_votes])
def test_a_certificate_that_does_not_hold_records_nothing(
    machine: Recorder, forged: Callable[[Recorder], Record]
) -> None:
    assert machine.record(forged(machine)) == ("not_permitted", None)
    assert machine.record(machine.run().next("a"))[0] == "ok"


def test_a_run_goes_on_in_the_next_epoch_with_its_votes_alone(machine: Recorder) -> None:
    """Members of an old epoch, whose keys may be lost, can record nothing any more."""
    run = machine.run()
    assert machine.record(run.next("a"))[0] == "ok"
    late = run.copy().next("b")
    machine.execute(list(final_batch(0, tuple(public(f"next{n}") for n in range(4))).bundles))
    code, stands = machine.record(late)
    assert (code, stands and stands.position) == ("wrong_epoch", 1)
    machine.follow()
    run.voters = msgspec.structs.replace(machine.voters, members=machine.genesis.members)
    assert machine.record(run.copy().next("b"))[0] == "not_permitted", "the old keys do not sign for it"
    run.voters = machine.voters
    assert machine.record(run.next("b"))[0] == "ok"


def test_only_who_began_a_run_continues_it_and_each_event_has_its_own(machine: Recorder) -> None:
    run = machine.run()
    assert machine.record(run.next("a"), principal="other")[0] == "ok"
    assert machine.record(run.copy().next("b"), principal="gateway") == ("not_permitted", None)
    assert machine.record(machine.run().next("x"), principal="reader") == ("not_permitted", None)
    assert machine.record(machine.run().next("x"), principal="other", event="tickets")[0] == "not_permitted"
    assert machine.record(machine.run().next("x"), event="tickets")[0] == "ok"
    assert machine.record(run.next("b"), principal="other")[0] == "ok"


def test_r13_a_late_retry_of_the_last_record_is_recognised(machine: Recorder) -> None:
    run = machine.run()
    first, second = run.next("a"), run.next("b")
    assert machine.record(first)[0] == "ok"
    again = machine.record(second, nonce=b"n")
    machine.now += 2 * HOUR
    assert machine.record(second, nonce=b"n") == again
    ends = msgspec.structs.replace(second, ends=True)
    assert machine.record(ends)[0] == "not_next", "it ended at no record that the log holds"
    assert machine.record(first) == ("not_next", again[1])


def test_a_batch_checks_a_bounded_number_of_signatures(
    machine: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CHECKS_MAX", 6)
    records = [machine.run(name=name).next("a") for name in ("r1", "r2", "r3")]
    operations = [machine.operation(record, event="agents") for record in records]
    assert [each.code for each in machine.order(*operations)] == ["ok", "ok", "busy"]
    assert machine.record(records[2])[0] == "ok"


def test_the_oldest_run_that_ended_gives_way_then_the_oldest_idle_one(
    machine: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RUNS_MAX", 2)
    idle, ended = machine.run(name="idle"), machine.run(name="ended")
    assert machine.record(idle.next("a"))[0] == "ok"
    assert machine.record(ended.next("a", ends=True))[0] == "ok"
    assert machine.record(machine.run(name="new").next("a")) == ("full", None)
    machine.now += HOUR
    assert machine.record(machine.run(name="new").next("a"))[0] == "ok"
    assert machine.record(machine.run(name="newer").next("a")) == ("full", None)
    assert machine.record(idle.next("b"))[0] == "ok"
    machine.save()
    machine.application = machine.reload()
    machine.now += 24 * HOUR
    code, newer = machine.record(machine.run(name="newer").next("a"))
    assert newer is not None
    assert (code, newer.began) == ("ok", machine.sequence)
    assert machine.record(idle.next("c"))[0] == "ok", "the run named new was recorded before it"
    machine.save()
    assert len([key for key in machine.rows if key[0] == "run"]) == 2


def test_a_record_that_no_client_can_build_is_malformed(machine: Recorder) -> None:
    good = machine.run().next("a")
    for bad in (changed(good, version=2), changed(good, vote=good.certificate.vote[:-1])):
        with pytest.raises(CommandError, match="certificate: "):
            machine.operation(bad, event="agents")
        operation = machine.operation(good, event="agents")
        operation = msgspec.structs.replace(operation, payload=canonical.encode(bad))
        assert machine.order(operation)[0].code == "malformed"


def test_the_row_of_a_run_is_stored_and_loaded(machine: Recorder) -> None:
    machine.record(machine.run().next("a"))
    machine.save()
    (row,) = [change for (table, _key), change in machine.rows.items() if table == "run"]
    assert change_from("run", canonical.encode(row.key), canonical.encode(row.row)) == row
    assert machine.reload().root() == machine.application.root()


def test_a_fetched_state_includes_runs_and_locks(machine: Recorder) -> None:
    run = machine.run()
    begun, older = machine.record(run.next("a")), run.copy()
    code, last = machine.record(run.next("b"))
    assert (begun[0], code) == ("ok", "ok")
    assert machine.do(Acquire("leader", b"a", HOUR // 60), event="agents") == "ok"
    root, manifest = frozen(machine)
    staging = gather(machine.application, manifest, root)
    machine.application = machine._fresh()
    machine.application.load(staging.rows())
    assert machine.application.root() == root
    assert machine.record(older.next("other")) == ("not_next", last)
    assert machine.do(Acquire("leader", b"b", 1), event="agents") == "lock_held"
    assert machine.record(run.next("c"))[0] == "ok"


def test_payload_outcome_and_root_of_a_record_never_change() -> None:
    """Replicas of every version compute these; the story's transcript shows that a state without runs has
    the root that it had before there were any."""
    machine = Recorder(genesis(demo=False, principals=PRINCIPALS, version=FIRST))
    run = machine.run()
    operation = build(
        run.next("a", "!NOT_JSON", ends=True),
        event="agents",
        actor="proxy",
        entry="node0",
        valid_until=machine.now + HOUR // 60,
    )
    assert canonical.digest(operation.payload).hex() == (
        "6679f4cd9ba56094c222a9badca99327d88acf5df744a22ba67f918ffc09ec46"
    )
    (outcome,) = machine.order(operation)
    assert outcome.state.hex() == (
        "9aa767617465776179020200cf00060a24181e40020201c4201f2f728545ba6a7001751d9aa556e610a73ca0b1194bdc"
        "3850838160cff4617ec42041a0370c3d9f42773a59e8e01651911cf43b1e3f66944cbb690029debc4eb647c3"
    )
    assert machine.application.root().hex() == (
        "3877f11e1012d6be29765d48babb1aa2e3d63f528ee6d8567101f8a068920189"
    )


class Histories(RuleBasedStateMachine):
    """Writers that follow, fork, repeat and restart, against a model: what was recorded of each run."""

    @initialize()
    def begin(self) -> None:
        self.machine = Recorder()
        self.runs: dict[str, list[Run]] = {name: [self.machine.run(name=name)] for name in ("r1", "r2")}
        """Run -> its gateway after each record, the last being the newest."""
        self.shown: dict[str, RunRow] = {}
        self.sent: dict[str, list[Record]] = {"r1": [], "r2": []}

    @rule(
        name=st.sampled_from(["r1", "r2"]), text=st.sampled_from(["a", "b", "!NOT_JSON"]), ends=st.booleans()
    )
    def goes_on(self, name: str, text: str, ends: bool) -> None:
        run = self.runs[name][-1].copy()
        record = run.next(text, ends=ends)
        before = self.shown.get(name)
        code, after = self.machine.record(record)
        if before is not None and before.ended:
            assert (code, after) == ("not_next", before)
            return
        assert (code, after and after.head) == ("ok", run.head)
        assert after is not None
        self.shown[name] = after
        self.runs[name].append(run)
        self.sent[name].append(record)

    @rule(name=st.sampled_from(["r1", "r2"]), data=st.data(), text=st.sampled_from(["a", "z"]))
    def forks(self, name: str, data: st.DataObject, text: str) -> None:
        """Another writer goes on from an earlier place, or repeats what was recorded there."""
        if len(self.runs[name]) < 2:
            return
        at = data.draw(st.integers(0, len(self.runs[name]) - 2))
        record = self.runs[name][at].copy().next(text)
        same = record == self.sent[name][-1] and at == len(self.runs[name]) - 2
        code, after = self.machine.record(record)
        assert (code, after) == ("ok" if same else "not_next", self.shown[name])

    @rule(name=st.sampled_from(["r1", "r2"]))
    def another_principal_tries(self, name: str) -> None:
        if name in self.shown:
            record = self.runs[name][-1].copy().next("a")
            assert self.machine.record(record, principal="other") == ("not_permitted", None)

    @rule(backwards=st.booleans())
    def restarts(self, backwards: bool) -> None:
        self.machine.restart(backwards=backwards)

    @invariant()
    def each_run_has_one_history(self) -> None:
        self.machine.save()
        rows = [change.row for (table, _), change in self.machine.rows.items() if table == "run"]
        assert sorted(rows, key=lambda row: row.head) == sorted(self.shown.values(), key=lambda row: row.head)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=30,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
