"""A validator's life told whole: verdicts, nodes, health, breakers, partitions, and what is owed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.events.config import (
    Algorithm,
    CircuitBreakerConfig,
    ConsensusConfig,
    DetectionMethod,
    DistributedValidatorConfig,
    PartitionHandlerConfig,
    RecoveryStrategy,
    from_profile,
)
from dtvn.gateway import (
    DistributedValidator,
    PartitionInfo,
    ValidationResult,
    steps,
    validator,
    validator_local,
    validator_meter,
    validator_nodes,
    validator_parts,
    validator_runs,
)
from dtvn.gateway.validator_partitions import Partitions
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.genesis import CAPABILITIES
from tests.events.rules.samples import event
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.gateway.wording import SECOND, WALL, Wording, fixed_clock
from tests.golden import Compare, Telling
from tests.host.support import make_genesis
from tests.waiting import wait_until

GOLDEN = Path(__file__).parent / "golden"
PATCHED = (
    steps,
    validator,
    validator_local,
    validator_meter,
    validator_nodes,
    validator_parts,
    validator_runs,
)
FOLDER = re.compile(r"/\S+/test_what_is_owed\d+")
UNTOLD = ("timestamp=", "pieces=", "memory_usage=", "thread_count=", "last_heartbeat=", "made=", "settled=")


def run_of(name: str, middle: str = "TC:m") -> list[bytes]:
    edges = (event(f"RS:{name}", threadId="t"), event(f"RF:{name}", threadId="t"))
    return [edges[0], event("TS:m"), event(middle), event("TE:m"), edges[1]]


class Story(Telling):
    """A validator over a gateway without a network. Its watch takes its turns when the story says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, members: int = 4) -> None:
        self.clock = fixed_clock(monkeypatch, *PATCHED)
        self.gateway = FakeGateway(make_genesis(members, capabilities=CAPABILITIES), principal="gateway")
        self.words = Wording()
        super().__init__()
        monkeypatch.setattr(Partitions, "start", _started)
        drawn = count(1)
        names = SimpleNamespace(token_hex=lambda size: f"{next(drawn):0{2 * size}x}")
        monkeypatch.setattr(validator_runs, "secrets", names)

    def made(self, **more: Any) -> DistributedValidator:
        """A validator with the story's clock."""
        return self.watched(DistributedValidator(self.gateway, **{"wait": 0.2} | more))

    def watched(self, made: DistributedValidator) -> DistributedValidator:
        made.get_partition_handler()._now = self.now
        return made

    def now(self) -> Now:
        return Now(monotonic=self.clock.monotonic_ns(), wall=WALL + self.clock.elapsed)

    def cut(self, *members: int) -> None:
        self.say(f"cut {list(members)}")
        self.gateway.down = self.gateway.events.down = frozenset(members)

    def tell(self, name: str, value: Any) -> None:
        """A value; of a Struct all fields but those that nobody can know beforehand."""
        if hasattr(value, "__struct_fields__"):
            told = ", ".join(each for each in self.words.fields(value) if not each.startswith(UNTOLD))
            self.say(f"  {name}: {told}")
        else:
            self.say(f"  {name}: {self.words(value)}")

    def result(self, what: str, result: ValidationResult) -> None:
        self.say(f"{what}: {'valid' if result.is_valid else 'INVALID'}")
        self.tell("result", result)

    def raises(self, what: Callable[..., Any], *given: Any, **more: Any) -> None:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - its name and sentence are told
            what(*given, **more)
        self.say(f"  raises {FOLDER.sub('FOLDER', self.words(raised.value))}")

    def turn(self, made: DistributedValidator, seconds: float = 0.0) -> None:
        """Time goes by, and the watch takes a turn."""
        self.clock.elapsed += round(seconds * SECOND)
        self.say(f"{self.clock.elapsed / SECOND:g} s")
        made.get_partition_handler().turn()

    def standing(self, made: DistributedValidator) -> None:
        """All that can be asked."""
        self.tell("state", made.get_state().name)
        self.tell("metrics", made.get_metrics())
        self.tell("health", made.get_health())
        self.tell("status", made.get_health().status.name)
        for node in made.get_nodes():
            self.tell(f"node {node.id}", node)
        self.tell("active", made.get_active_nodes())
        balancer, manager = made.get_load_balancer(), made.get_consensus_manager()
        self.tell("balancer", balancer.get_metrics())
        for name in balancer.nodes:
            self.tell(f"  {name}", balancer.get_circuit_breaker(name).get_state())
        self.tell("consensus", manager.get_metrics())
        self.tell("consensus issues", manager.get_health().issues)
        self.tell("required", manager.get_required_nodes())
        transport = made.get_transport()
        self.tell("links", transport.get_stats())
        self.tell("link states", [transport.get_status(name).name for name in ("r0", "r3", "r9")])
        self.tell("link issues", transport.get_health().issues)
        for stats in made.get_circuit_breakers():
            self.tell("breaker", stats)


def _started(partitions: Partitions) -> None:
    """In place of a thread: the story's own."""
    partitions.look()
    partitions._thread = threading.current_thread()


def test_verdicts(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start to the stop: results of events and sequences, wrong ones, nodes and breakers."""
    story = Story(monkeypatch)
    made = story.made(actor="worker", allow_local_validation=False)
    story.result("before the start", made.validate_sequence(run_of("r")))
    made.start()
    story.raises(made.start)
    story.tell("configuration", made.get_config())
    _sequences(story, made)
    _events(story, made)
    story.standing(made)
    _nodes(story, made)
    _breakers(story, made)
    _stops(story, made)
    golden(GOLDEN / "validator.txt", story.text)


def _sequences(story: Story, made: DistributedValidator) -> None:
    story.chapter("Sequences")
    story.result("good", made.validate_sequence(run_of("good")))
    story.result("bad", made.validate_sequence(run_of("bad", "TC:other")))
    story.result("again", made.validate_sequence(run_of("good")))
    story.result("none", made.validate_sequence([]))
    story.result("wrong", made.validate_sequence([None, 7, b"x" * 1_048_577, "text", b"{}"]))  # type: ignore[list-item]
    story.result("half a surrogate", made.validate_sequence(["\ud800"], thread="t", run="half"))
    for algorithm in (Algorithm.MAJORITY, Algorithm.UNANIMOUS, Algorithm.RAFT):
        named = made.validate_sequence(run_of(algorithm.value), algorithm=algorithm)
        story.result(algorithm.value, named)
    story.result("other names", made.validate_sequence(run_of("r"), thread="mine", run="other"))
    story.result("not a run", made.validate_sequence([event("TC:m"), b"[]"], thread="t", run="no run"))
    falsely(story.gateway, 0, 1)
    story.result("two lie", made.validate_sequence(run_of("lied")))
    falsely(story.gateway, 0, 1, 2)
    story.result("three lie", made.validate_sequence(run_of("overruled")))
    story.gateway.events.changed = lambda _member, body: [body]


def _events(story: Story, made: DistributedValidator) -> None:
    story.chapter("Events one by one")
    for text in [*run_of("single"), *run_of("second", "TC:other")]:
        story.result(text.decode()[:50], made.validate_event(text))
    story.result("null", made.validate_event(None))


def _nodes(story: Story, made: DistributedValidator) -> None:
    story.chapter("Nodes")
    for name in ("r1", "r7"):
        story.tell("node", made.get_node_info(name))
    made.register_node("r1", "host.test", 4_567)
    story.tell("dialled", story.gateway.dialled)
    story.tell("node", made.get_node_info("r1"))
    for name in ("r1", "r1", "r9"):
        made.unregister_node(name)
    story.tell("dialled", story.gateway.dialled)
    story.raises(made.register_node, "r9", "host.test", 1)
    story.raises(made.ping, "r9")
    story.tell("ping", made.ping("r2"))
    story.tell("health", made.get_node_health("r2"))
    story.gateway.down = frozenset({2})
    story.tell("ping", made.ping("r2"))
    story.tell("health", made.get_node_health("r2"))
    story.standing(made)
    story.gateway.down = frozenset()


def _breakers(story: Story, made: DistributedValidator) -> None:
    story.chapter("The breaker around questions")
    breaker = made.get_circuit_breaker("consensus")
    story.raises(made.get_circuit_breaker, "other")
    story.gateway.events.down = frozenset({2, 3})
    for number in range(6):
        story.result(f"silent {number}", made.validate_sequence(run_of(f"s{number}")))
        story.tell("breaker", breaker.get_state())
    story.gateway.events.down = frozenset()
    for seconds in (59, 2):
        story.clock.elapsed += seconds * SECOND
        story.result("later", made.validate_sequence(run_of("later")))
        story.tell("breaker", breaker.get_stats())
    breaker.trip()
    story.tell("tripped", breaker.get_state())
    story.tell("health", made.get_health())
    story.result("tripped", made.validate_sequence(run_of("t")))
    breaker.reset()
    story.result("reset", made.validate_sequence(run_of("t")))


def _stops(story: Story, made: DistributedValidator) -> None:
    story.chapter("It stops")
    ran: list[str] = []

    def fails() -> None:
        ran.append("first")
        raise ValueError("so")

    made.register_cleanup_func(fails)
    made.register_cleanup_func(lambda: ran.append("second"))
    story.raises(made.stop)
    story.tell("ran", ran)
    story.tell("state", made.get_state().name)
    story.result("stopped", made.validate_event(run_of("r")[0]))
    story.tell("owed", made.get_owed())
    story.tell("health", made.get_health())
    made.start()
    story.result("again", made.validate_event(run_of("r")[0]))


def test_configurations(
    golden: Compare, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Which configurations start, what they say, and what they decide by."""
    story = Story(monkeypatch)
    story.raises(DistributedValidator, None)
    story.raises(DistributedValidator.from_config, story.gateway, None)
    strict = ConsensusConfig(quorum_size=4)
    for name, config in (
        ("high_security", from_profile("high_security", "n0")),
        ("large", from_profile("large", "n0")),
        ("strict", DistributedValidatorConfig(node_id="n1", consensus_config=strict)),
        (
            "unanimous",
            DistributedValidatorConfig(
                node_id="n2", consensus_config=ConsensusConfig(algorithm=Algorithm.UNANIMOUS)
            ),
        ),
        ("usual", DistributedValidatorConfig(node_id="n3")),
    ):
        story.chapter(name)
        made = story.watched(DistributedValidator.from_config(story.gateway, config))
        try:
            made.start()
        except Exception as error:  # noqa: BLE001 - told
            story.say(f"  {story.words(error)}")
        story.tell("state", made.get_state().name)
        story.tell("configuration", made.get_config())
        story.result("good", made.validate_sequence(run_of(name)))
        story.tell("health", made.get_health())
        story.tell("required", made.get_consensus_manager().get_required_nodes())
    for record in caplog.records:
        story.say(f"log {record.levelname} {record.getMessage()}")
    golden(GOLDEN / "configurations.txt", story.text)


def test_partitions(
    golden: Compare, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Links that break, silence, reports of others, each strategy of recovery; callbacks and figures."""
    story = Story(monkeypatch)
    for strategy in RecoveryStrategy:
        story.chapter(f"Recovery by {strategy.value}")
        config = PartitionHandlerConfig(recovery_strategy=strategy, max_partition_duration=60.0)
        made = story.made(partitions=config)
        made.set_partition_callbacks(
            _heard(story, "detected"), _heard(story, "recovered"), _heard(story, "escalated")
        )
        made.start()
        _partition(story, made)
        made.stop()
    _reports(story)
    for record in caplog.records:
        story.say(f"log {record.levelname} {record.getMessage()}")
    golden(GOLDEN / "partitions.txt", story.text)


def _heard(story: Story, name: str) -> Callable[[PartitionInfo], None]:
    return lambda info: story.tell(name, info)


def _watch(story: Story, made: DistributedValidator) -> None:
    handler = made.get_partition_handler()
    story.tell("partitioned", made.is_partitioned())
    story.tell("current", made.get_current_partition())
    story.tell("figures", handler.get_metrics())
    story.tell("status", handler.get_status())
    story.tell("recovery", handler.get_recovery_status())
    story.tell("unreachable", handler.unreachable())
    story.tell("states", [f"{node.id} {node.state.name}" for node in made.get_nodes()])


def _partition(story: Story, made: DistributedValidator) -> None:
    story.turn(made)
    story.cut(3)
    story.turn(made, 1)
    _watch(story, made)
    story.cut(2, 3)
    story.turn(made, 1)
    if made.get_partition_handler().get_config().recovery_strategy is not RecoveryStrategy.MERGE:
        story.result("cut", made.validate_sequence(run_of("cut")))  # else a thread would settle it
    story.cut(1, 2, 3)
    story.turn(made, 61)
    _watch(story, made)
    story.cut()
    for seconds in (0, 1, 5, 30, 60):
        story.turn(made, seconds)
    _watch(story, made)
    if (found := made.get_current_partition()) is not None:
        story.raises(made.resolve_partition, "another", "olga")
        story.raises(made.resolve_partition, found.id, "")
        made.resolve_partition(found.id, "olga")
        story.turn(made, 1)
        _watch(story, made)
    for each in made.get_partition_history():
        story.tell("history", each)


def _reports(story: Story) -> None:
    story.chapter("What others report, and silence")
    for method in DetectionMethod:
        made = story.made(partitions=PartitionHandlerConfig(detection_method=method))
        made.start()
        story.say(f"by {method.value}")
        for _time in range(3):
            made.handle_node_failure("r2")
            made.update_node_health("r3", False)
        story.turn(made, 1)
        _watch(story, made)
        made.update_node_health("r3", True, 12.5)
        story.turn(made, 1)
        for name in ("r2", "r3", "r9"):
            story.tell(name, made.get_partition_handler().get_node_health(name))
        story.raises(made.handle_node_failure, "r9")
        story.gateway.missed = {1: 2}
        story.gateway.heard_at = dict.fromkeys((0, 1, 2), story.clock.monotonic_ns())
        for seconds in (2, 4, 20):
            story.turn(made, seconds)
        _watch(story, made)
        story.gateway.missed, story.gateway.heard_at = {}, {}
        made.stop()


def test_what_is_owed(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Judged here alone, by the members later, also after a restart; differences, limits, forgetting."""
    story = Story(monkeypatch)
    for folder in (None, tmp_path):
        story.chapter("Kept in memory" if folder is None else "Kept in a folder")
        made = story.made(owed_folder=folder)
        made.start()
        lies = () if folder is None else (0, 1, 2)
        if not lies:
            story.result("before", made.validate_event(run_of("single")[0]))
        _owes(story, made, lies)
        if folder is not None:
            made.stop()
            made = story.made(owed_folder=folder)
            made.start()
            story.raises(story.made(owed_folder=folder).start)
        _settles(story, made, lies)
        made.stop()
    story.chapter("Forbidden")
    made = story.made(allow_local_validation=False, breaker=CircuitBreakerConfig(name="b", max_failures=1))
    made.start()
    story.cut(2, 3)
    for number in range(3):
        story.result("forbidden", made.validate_event(run_of(f"f{number}")[0]))
    golden(GOLDEN / "owed.txt", story.text)


def _owes(story: Story, made: DistributedValidator, lies: tuple[int, ...]) -> None:
    story.cut(2, 3)
    story.result("good", made.validate_sequence(run_of("good"), thread="t", run="good"))
    story.result("bad", made.validate_sequence(run_of("bad", "TC:x"), algorithm=Algorithm.UNANIMOUS))
    for text in run_of("single")[1:3] if lies == () else ():
        story.result("single", made.validate_event(text))
    for waiting in made.get_owed():
        story.tell("owed", waiting)
    story.tell("metrics", made.get_metrics())


def _settles(story: Story, made: DistributedValidator, lies: tuple[int, ...]) -> None:
    falsely(story.gateway, *lies, errors=((0, "A_LIE"),))
    for waiting in made.get_owed():
        story.tell("still owed", waiting)
    story.cut()
    story.clock.elapsed += SECOND
    handler = made.get_partition_handler()
    wait_until(lambda: handler.turn() and not made.get_owed(), what="nothing is owed", timeout=10.0)
    settled = made.get_settled()
    for each in settled:
        story.tell("settled", each)
        story.tell("differs", each.differs)
        story.result("  with", each.result)
    story.gateway.events.changed = lambda _member, body: [body]
    story.tell("metrics", made.get_metrics())
    made.forget_settled(settled[0].id)
    story.tell("left", [each.run for each in made.get_settled()])
