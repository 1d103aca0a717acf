"""A member far behind, or without a ledger, takes the state of a stable checkpoint while the cluster works
(R11, R23; P17). The product's own host, core and ticket machine over virtual disks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.genesis import Parameters
from simulator import campaign
from simulator.adversary.bad_state_server import GROUP_LIES, OFFER_LIES, BadStateServer
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.disk import CrashPoint
from simulator.faults import FaultPlan
from simulator.network import PERFECT, kind_of_frame
from simulator.node import Node
from simulator.observers import Observer
from simulator.run_plan import RunPlan
from simulator.workload import Traffic, Workload
from simulator.world import Settings, World

pytestmark = pytest.mark.exhaustive


class Told(Observer):
    """Notes of nodes, with actions that a test attaches to them."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, Any]]] = []
        self.at: dict[str, Any] = {}

    def noticed(self, node: Node, note: Executed | Note) -> None:
        if isinstance(note, Note):
            self.heard.append((node.name, note.kind, note.fields))
            if node.name == "r3" and note.kind in self.at:
                self.at.pop(note.kind)(node)

    def of(self, kind: str, name: str = "r3") -> list[dict[str, Any]]:
        return [fields for node, found, fields in self.heard if (node, found) == (name, kind)]


class Story:
    """Four members at work; r3 is down while the others go on for a while."""

    def __init__(
        self,
        seed: int = 7,
        *,
        lose: bool = True,
        lag: int = 20,
        tickets: int = 30,
        first: Any = None,
        **liars: str,
    ) -> None:
        parameters = Parameters(checkpoint_interval=5)
        settings = Settings(quality=PERFECT, transfer_lag=lag, parameters=parameters)
        cluster = self.cluster = Cluster(seed, settings)
        self.told = Told()
        cluster.world.observers.add(self.told)
        self.poisoners = [self._corrupt(name, lie) for name, lie in liars.items()]
        cluster.start()
        self.workload = Workload(
            cluster.world,
            cluster.gateways,
            cluster.world.dice.fork("crowd"),
            Traffic(tickets=tickets, pause_max=20 * MILLISECOND),
        )
        cluster.world.after(100 * MILLISECOND, self.workload.start)
        cluster.world.run_for(SECOND)
        if first is not None:
            first(cluster.world)
        self.node = cluster.world.nodes["r3"]
        self.node.crash()
        if lose:
            self.node.lose_disk()
        cluster.world.run_for(2 * SECOND)

    def _corrupt(self, name: str, lie: str) -> BadStateServer:
        node = self.cluster.world.nodes[name]
        node.honest = False
        node.send_hook = poisoner = BadStateServer(
            self.cluster, node, self.cluster.world.dice.fork(name), lie
        )
        return poisoner

    def back(self, seconds: int = 3) -> None:
        """r3 starts under load; then the cluster settles and every checker runs."""
        world = self.cluster.world
        world.start(self.node)
        world.run_for(seconds * SECOND)
        self.workload.stop()
        assert world.run_for(20 * SECOND, done=self.cluster.settled), self.cluster.ends()
        self.cluster.finish()

    @property
    def missing(self) -> int:
        """Entries that r3 never fetched."""
        return self.node.disk.log.count(None)


def test_r11_a_wiped_member_takes_a_state_and_votes_again_when_it_is_safe() -> None:
    story = Story()
    story.back()
    assert story.missing > 100
    (began,) = story.told.of("transfer_began")
    assert len(began["sources"]) >= 2
    (again,) = story.told.of("votes_again")
    highest = began["sequence"] - 5
    assert again["sequence"] >= highest + 2 * (32 + 5), "H + 2 reach"
    assert story.node.disk.voting
    story.node.crash()
    story.cluster.world.start(story.node)
    story.cluster.world.run_for(SECOND)
    assert story.node.look is not None
    assert story.node.look().voting, "restarts included"


def test_a_member_far_behind_takes_the_state_and_keeps_its_vote() -> None:
    story = Story(lose=False)
    story.back()
    assert 0 < story.missing < len(story.node.disk.log)
    assert story.told.of("follower") == []
    assert story.node.disk.log[0] is not None, "what it had stays"


def test_a_member_that_lags_a_little_fetches_the_log() -> None:
    story = Story(lag=100_000)
    story.back()
    assert story.missing == 0
    assert story.told.of("transfer_began") == []


@pytest.mark.parametrize("lie", GROUP_LIES)
def test_p17_a_poisoned_chunk_is_found_and_its_sender_avoided_and_recorded(lie: str) -> None:
    story = Story(r1=lie)
    story.back()
    assert story.missing > 0
    assert story.poisoners[0].told == 1, "not asked a second time"
    assert story.told.of("poisoned") == [{"member": 1, "reason": "bad_chunk"}]
    assert {"peer": "r1", "reason": "bad_chunk", "text": "Groups"} in story.told.of("refused")


@pytest.mark.parametrize("lie", OFFER_LIES)
def test_each_lie_of_an_offer_is_one(lie: str) -> None:
    entry = m.Entry(0, 10, bytes(32), bytes([1]) * 32, 7, bytes(32))
    true = m.Snapshot((b"a", b"b", b"c"), entry, (bytes(32),), b"manifest")
    told = OFFER_LIES[lie](true)
    assert told != true
    if lie == "one signature twice":
        assert told.checkpoint == (b"a", b"a", b"b")


@pytest.mark.parametrize("lie", OFFER_LIES)
def test_p17_an_offer_that_its_certificate_does_not_cover_is_no_target(lie: str) -> None:
    story = Story(r1=lie)
    story.back()
    assert story.missing > 0
    assert story.poisoners[0].told
    (began,) = story.told.of("transfer_began")
    assert 1 not in began["sources"]


def test_p17_a_claimed_height_without_a_proof_starts_nothing() -> None:
    """CVE-2025-24371: a peer reports a false height, and the node waits for it forever."""
    story = Story(lose=False)
    story.back()
    before = len(story.told.of("transfer_began"))
    liar = story.cluster.world.nodes["r1"]
    liar.honest = False
    signer = story.poisoners or [
        BadStateServer(story.cluster, liar, story.cluster.world.dice.fork("tall"), "none")
    ]
    tall = m.Status(0, 1, 0, False, 1 << 40, 1 << 40, 1 << 40, (), True)
    for _ in range(5):
        story.cluster.world.transmit("r1", "r3", signer[0].signer.sign(tall), story.cluster.world.time)
        story.cluster.world.run_for(SECOND)
    assert len(story.told.of("transfer_began")) == before
    assert story.node.look is not None
    assert story.node.look().catching_up_to == 0


def test_p17_a_stale_but_valid_certificate_is_refused() -> None:
    """r1 offers a certificate from before r3 went down: it is valid, and refused."""
    story = Story(lose=False)
    old = story.cluster.world.nodes["r1"].disk.checkpoints[2]
    entry = story.cluster.world.nodes["r1"].disk.entry(old.sequence)
    assert entry is not None
    world = story.cluster.world
    poisoner = story._corrupt("r1", "none")
    peaks = (bytes(32),) * (old.sequence - 1).bit_count()
    stale = poisoner.signer.link(m.Snapshot(old.frames, entry.entry, peaks, bytes(32 * 1024)))
    story.told.at["caught_up"] = lambda _node: world.transmit("r1", "r3", stale, world.time)
    story.back()
    assert all(fields["sequence"] > 100 for fields in story.told.of("transfer_began"))


def test_p17_a_source_that_dies_is_replaced_by_the_others() -> None:
    story = Story()
    story.told.at["transfer_began"] = lambda _node: story.cluster.world.nodes["r0"].crash()
    story.cluster.world.after(2 * SECOND, lambda: story.cluster.world.start(story.cluster.world.nodes["r0"]))
    story.back(6)
    assert story.missing > 0
    assert story.told.of("transfer_complete")


def test_p17_a_state_without_a_source_is_given_up_for_a_newer_one() -> None:
    story = Story()
    network = story.cluster.world.network
    rules = [network.when(kind=m.Groups, sender=name).drop() for name in ("r0", "r1", "r2")]
    story.cluster.world.after(15 * SECOND, lambda: [network.forget(rule) for rule in rules])
    story.back(20)
    assert {"reason": "no source is left"} in story.told.of("transfer_ended")
    assert story.missing > 0


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_PERSIST, CrashPoint.AFTER_PERSIST])
def test_p17_a_crash_in_the_middle_of_an_install_is_survived(point: CrashPoint) -> None:
    story = Story()
    world = story.cluster.world
    story.told.at["transfer_complete"] = lambda node: node.crash_in_next_write(point)
    world.after(1_500 * MILLISECOND, lambda: world.start(story.node))
    story.back()
    assert story.missing > 0
    assert len(story.told.of("transfer_complete")) > (point is CrashPoint.BEFORE_PERSIST)


def test_p17_a_disk_that_is_full_in_the_middle_of_an_install_is_survived() -> None:
    story = Story()

    def fill(node: Node) -> None:
        node.disk.full = True
        story.cluster.world.after(SECOND, lambda: setattr(node.disk, "full", False))

    story.told.at["transfer_complete"] = fill
    story.back(5)
    assert len(story.told.of("transfer_complete")) == 2
    assert story.missing > 0


def test_a_member_without_old_entries_serves_a_wiped_member_a_state() -> None:
    """r3 took a snapshot; then r2 is wiped too: r3 does not claim the entries that it lacks."""
    story = Story()
    story.back()
    world = story.cluster.world
    story.workload.start()
    world.nodes["r2"].crash()
    world.nodes["r2"].lose_disk()
    world.run_for(SECOND)
    world.start(world.nodes["r2"])
    world.run_for(3 * SECOND)
    story.workload.stop()
    assert world.run_for(20 * SECOND, done=story.cluster.settled), story.cluster.ends()
    story.cluster.finish()
    assert world.nodes["r2"].disk.log.count(None) > 0


def wiped_world(seed: int, members: int = 4) -> campaign.Report:
    """Disks are lost, members crash at every point of a turn, links part, and views change."""
    settings = Settings(
        members=members,
        learners=1,
        gateways=2,
        transfer_lag=10,
        parameters=Parameters(checkpoint_interval=2, view_timeout=200_000),
    )
    plan = FaultPlan(pause_max=SECOND, disk_lost=4, crash=1, crash_in_turn=1, part=1, lose_kind=1, heal=2)
    drawn = RunPlan(
        settings=settings,
        traffic=Traffic(tickets=10, pause_max=25 * MILLISECOND),
        plan=plan,
        adversaries=(),
        duration=15 * SECOND,
        dead=False,
    )
    return campaign.run(campaign.Task(seed), drawn=drawn)


@pytest.mark.parametrize(
    ("seed", "members"),
    [
        (0, 4),
        (1, 4),
        (0, 7),
        (501, 7),  # the log overtook the state while it was on its way
    ],
)
def test_r11_no_member_ever_contradicts_what_it_said_with_the_disk_it_lost(seed: int, members: int) -> None:
    """The durable-before-send checker remembers every vote of a key, across lost disks."""
    report = wiped_world(seed, members)
    assert report.violation is None, f"seed {seed}, {members} members: {report.checker}: {report.violation}"


class Answers(Observer):
    """When each member sent groups of its state."""

    def __init__(self, story: Story) -> None:
        self.at: dict[str, list[int]] = {}
        self._world = story.cluster.world

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        if kind_of_frame(frame) is m.Groups:
            self.at.setdefault(node.name, []).append(self._world.time)


def test_r25_serving_a_state_never_holds_up_the_source() -> None:
    """Answers are small and spaced for every client; several sources share the work."""
    story = Story(tickets=200)
    answers = Answers(story)
    story.cluster.world.observers.add(answers)
    story.back()
    assert story.missing > 0
    assert len(answers.at) > 1
    for times in answers.at.values():
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert min(gaps, default=10 * MILLISECOND) >= 9 * MILLISECOND


def test_r11_a_wiped_member_enters_a_view_based_on_its_own_view_change() -> None:
    """The NEW-VIEW of view 1 names r3's VIEW-CHANGE, since r0 was dead; then r3 loses its ledger."""

    def view_without_r0(world: World) -> None:
        world.nodes["r0"].crash()
        assert world.run_for(20 * SECOND, done=lambda: world.nodes["r3"].view() == 1)
        world.start(world.nodes["r0"])
        assert world.run_for(20 * SECOND, done=lambda: world.nodes["r0"].view() == 1)

    story = Story(first=view_without_r0)
    world = story.cluster.world
    story.back(6)
    assert story.node.look is not None
    assert story.node.look().view == world.nodes["r1"].view() > 0
    assert story.told.of("votes_again")
