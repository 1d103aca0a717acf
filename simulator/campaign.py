"""Plays one seed: a random cluster under random faults, then healed. Is it safe, and does it recover?

Everything follows from the seed, the world and this code. The safety phase runs with all faults; then the
world heals, as many members as the cluster must tolerate stay dead (or go on lying), and new requests must be
decided within a bound (liveness phase).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dtvn.protocol import knobs, probes, quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.quorum import Mode
from simulator.adversary import corrupt
from simulator.adversary.client import add_rogue
from simulator.adversary.opening_flooder import add_opening_flooder
from simulator.checkers.decision_rules import DecisionRules
from simulator.checkers.honest_quorum import HonestQuorum
from simulator.checkers.lock_order import LockOrder
from simulator.checkers.never_two_holders import NeverTwoHolders
from simulator.checkers.one_history import OneHistory
from simulator.checkers.one_holder import OneHolder
from simulator.checkers.run_answers import RunAnswers
from simulator.checkers.vote_evidence import VoteEvidence
from simulator.clock import MILLISECOND, SECOND
from simulator.clock_steps import ClockStep
from simulator.cluster import Cluster
from simulator.dice import Dice
from simulator.disk import Mirror, VirtualDisk
from simulator.door_probes import DoorProbes
from simulator.door_work import DoorWork
from simulator.event_runs import EventRuns
from simulator.faults import FaultInjector
from simulator.gateway import Gateway, Request
from simulator.list_probes import ListProbes
from simulator.list_work import ListWork
from simulator.lock_queues import LockQueues
from simulator.lock_races import LockRaces
from simulator.membership_changes import MembershipChanger
from simulator.midnight_work import MidnightWork
from simulator.mutants.registry import planted
from simulator.node import Node
from simulator.observers import Observer
from simulator.old_speaker import make_old
from simulator.overlay_play import play_overlay
from simulator.partition_watches import PartitionWatches
from simulator.readers import Readers
from simulator.recoverable import disks_tolerated
from simulator.recovery import PreparedAlone, Recovery
from simulator.recurring import Recurring
from simulator.run_plan import MessageLoss, OperatorAction, Partition, RunPlan
from simulator.story import Story
from simulator.suspicions import Suspicions
from simulator.transcript import Fingerprint
from simulator.violation import Interrupted, Violation
from simulator.workload import UNDECIDED, Workload
from simulator.world import World
from simulator.worlds import world_of

LIVENESS_BOUND = 60 * SECOND
"""Virtual time within which a healed cluster must have decided new requests and all nodes have caught up."""

AFTERMATH = 5 * SECOND
"""Virtual time that a healed cluster runs on if it lost too much to promise more than safety."""
MISDATED = frozenset({"expired", "too_far_ahead"})
"""Codes of an operation that its gateway dated wrongly (R14)."""
RECONNECTED_AFTER = 100 * MILLISECOND
"""Time until gateways have their connections again; before that they answer `unavailable` at once."""


KINDS = {kind.__name__: kind for kind in m.KINDS.values()}


class Cut(msgspec.Struct, frozen=True, omit_defaults=True):
    """Parts left out of a world to see whether it still fails: the numbers of faults, calls and liars in
    the order in which they would come."""

    faults: frozenset[int] = frozenset()
    calls: frozenset[int] = frozenset()
    liars: frozenset[int] = frozenset()
    duration: int = 0
    """Virtual nanoseconds after which the safety phase ends; 0: as drawn."""


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run: its world, its seed, its mutant and what is left out."""

    seed: int
    world: str = "random"
    mutant: str = ""
    """A planted bug (simulator.mutants); "": the unchanged product."""
    cut: Cut = Cut()

    @property
    def command(self) -> str:
        """The command that plays it again."""
        words = ["manage.py simulator run", f"--seed {self.seed}", f"--world {self.world}"]
        if self.mutant:
            words.append(f"--mutant {self.mutant}")
        for name in ("faults", "calls", "liars"):
            numbers = getattr(self.cut, name)
            if numbers:
                words.append(f"--without-{name} {ranges(numbers)}")
        if self.cut.duration:
            words.append(f"--stop-after {self.cut.duration}ns")
        return " ".join(words)


def ranges(numbers: frozenset[int]) -> str:
    """Numbers as a command-line argument: `1-4,7`."""
    words: list[str] = []
    ordered = sorted(numbers)
    first = last = ordered[0]
    for number in [*ordered[1:], ordered[-1] + 2]:
        if number != last + 1:
            words.append(str(first) if first == last else f"{first}-{last}")
            first = number
        last = number
    return ",".join(words)


class Report(msgspec.Struct):
    """The outcome of one seed."""

    seed: int
    world: str
    members: int
    adversaries: tuple[str, ...]
    command: str
    events: int = 0
    virtual_time: int = 0
    executed: int = 0
    """Highest sequence that is durable on an honest node."""
    committed: int = 0
    """Operations in the agreed log."""
    outcomes: int = 0
    """Operations whose outcome was reported to a client."""
    epochs: int = 0
    """Number of membership changes."""
    view_changes: int = 0
    """Views above 0 that an honest member entered, each counted once in its epoch."""
    faults: int = 0
    calls: int = 0
    probes: dict[str, int] = {}
    """Dangerous moments that were reached, and how often each."""
    fingerprint: str = ""
    checker: str | None = None
    """Name of the checker that found the first broken promise; None: all promises were kept."""
    violation: str | None = None
    """The checker's description of it."""
    story: tuple[str, ...] = ()
    """What happened, in sentences, where a promise was broken (simulator.story)."""
    ended: str = "finished"
    """finished, interrupted or violation."""


def run(
    task: Task,
    *observers: Observer,
    drawn: RunPlan | None = None,
    mirror_of: Callable[[Node], Mirror] | None = None,
) -> Report:
    """Play one task; a broken promise is in the report, not raised. `observers` are notified of all events,
    `mirror_of` makes the ledger beside the disk of each node. An interrupted run raises an exception that
    carries the report of what was played."""
    drawn = drawn or world_of(task.world, task.seed)
    report = Report(task.seed, task.world, drawn.settings.members, drawn.adversaries, task.command)
    try:
        with planted(task.mutant):
            _run(task, drawn, report, observers, mirror_of)
    except Interrupted as interrupted:
        report.ended = "interrupted"
        interrupted.found = report
        raise
    return report


def _run(
    task: Task,
    drawn: RunPlan,
    report: Report,
    observers: tuple[Observer, ...],
    mirror_of: Callable[[Node], Mirror] | None,
) -> None:
    reached = report.probes = {}

    def count(name: str) -> None:
        reached[name] = reached.get(name, 0) + 1

    probes.listen(count)
    knobs.turn(drawn_knobs(Dice(task.seed).fork("knobs")) if drawn.knobs else None)
    cluster = Cluster(task.seed, drawn.settings)
    fingerprint = Fingerprint(cluster.world.clock)
    cluster.world.observers.add(fingerprint, _Notes(count), *observers)
    play = Play(cluster, drawn, task.cut)
    story = Story(cluster.world, drawn)
    cluster.world.observers.add(story)
    play.fault_injector.told = story.happened
    for gateway in cluster.gateways:
        gateway.observers.insert(0, story)
    if mirror_of is not None:
        for node in cluster.world.nodes.values():
            node.disk.mirror = mirror_of(node)
    try:
        play.run()
    except Violation as violation:
        report.violation, report.checker = str(violation), violation.checker
        report.ended, report.story = "violation", story.told(violation)
    finally:
        probes.listen(None)
        knobs.turn(None)
        world = cluster.world
        report.events, report.virtual_time = world.events, world.time
        report.fingerprint = fingerprint.hex()
        report.executed, report.view_changes = cluster.history.highest, len(cluster.history.entered)
        report.committed, report.outcomes = len(cluster.history.outcomes), cluster.durability.outcomes
        report.epochs = len(world.epochs) - 1
        report.faults, report.calls = play.fault_injector.happened, play.workload.called


def drawn_knobs(dice: Dice) -> Callable[[str], bool]:
    """Half of the knobs are hit now and then."""
    shares = {name: dice.below(300) / 1_000 if dice.hit(0.5) else 0.0 for name in knobs.KNOBS}
    return lambda name: dice.hit(shares[name])


class _Notes(Observer):
    """Counts the notes of honest nodes that are probes (dangerous moments) in themselves."""

    notes = frozenset(name.split(".")[1] for name in probes.PROBES if name.startswith("note."))

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Observer."""
        if not isinstance(note, Note) or not node.honest:
            return
        name = f"note.{note.kind}"
        if name not in probes.PROBES:
            name = f"{name}.{note.fields.get('reason')}"
        if name in probes.PROBES:
            self._count(name)


class Play:
    """One world from its beginning to the checkers' last questions."""

    def __init__(self, cluster: Cluster, drawn: RunPlan, cut: Cut) -> None:
        self.cluster = cluster
        self.drawn = drawn
        world = cluster.world
        dice = self._dice = world.dice.fork("campaign")
        names = world.member_names
        liars = [names[index] for index in drawn.liars] or dice.sample(names, len(drawn.adversaries))
        for number, (name, kind) in enumerate(zip(liars, drawn.adversaries, strict=True)):
            if number not in cut.liars:
                corrupt(cluster, name, kind)
        self.workload = Workload(
            world, cluster.gateways, dice.fork("crowd"), drawn.traffic, left_out=cut.calls
        )
        self._bearable = max(0, disks_tolerated(world.members, world.mode) - len(liars))
        self.fault_injector = FaultInjector(
            world,
            cluster.gateways,
            dice.fork("trouble"),
            drawn.plan,
            spare=self._bearable + drawn.forgetful,
            left_out=cut.faults,
        )
        self._rogue = add_rogue(cluster) if drawn.rogue else None
        self._flooder = add_opening_flooder(cluster) if drawn.opening_flood else None
        self.readers: Readers | None = None
        if drawn.readers:
            self.readers = Readers(world, cluster.gateways, dice.fork("readers"), drawn.traffic)
        self.event_runs: EventRuns | None = None
        self.lock_races: LockRaces | None = None
        if drawn.event_runs:
            self._add_event_runs()
        self.partition_watches: PartitionWatches | None = None
        if drawn.partition_watches:
            watched = dice.fork("partition watches")
            self.partition_watches = PartitionWatches(world, cluster.gateways, watched)
        self.lock_queues: LockQueues | None = None
        if drawn.lock_queues:
            self._add_lock_queues()
        self.door_work: DoorWork | None = None
        if drawn.doors:
            self._add_doors()
        self.list_work: ListWork | None = None
        self.midnight_work: MidnightWork | None = None
        if drawn.lists:
            self._add_lists()
        self._suspicions = Suspicions()
        if drawn.suspects_nobody:
            world.observers.add(self._suspicions)
        self._copies: dict[str, VirtualDisk] = {}
        self.prepared_alone: PreparedAlone | None = None
        self._plan_moments()
        self._duration = cut.duration or drawn.duration
        self._over = False
        """Whether the safety phase has ended."""
        self.membership_changer: MembershipChanger | None = None
        if drawn.changes is not None and cluster.operator is not None:
            self.membership_changer = MembershipChanger(
                world, cluster.operator, dice.fork("changes"), drawn.changes
            )

    def _add_lock_queues(self) -> None:
        cluster, world = self.cluster, self.cluster.world
        self.lock_queues = LockQueues(world, cluster.gateways, self._dice.fork("lock queues"))
        never_two = NeverTwoHolders(world)
        cluster.add_checkers(LockOrder(world, cluster.history), never_two)
        for gateway in cluster.gateways:
            gateway.observers.append(never_two)

    def _plan_moments(self) -> None:
        """What happens at times that the plan names."""
        drawn, world = self.drawn, self.cluster.world
        for message_loss in drawn.message_losses:
            world.at(message_loss.start, self._lose_messages, message_loss)
        for partition in drawn.partitions:
            world.at(partition.start, self._partition, partition)
        for step in drawn.clock_steps:
            if step.at:
                world.at(step.at, self._set_clock, step)
            else:
                self._set_clock(step)  # its first process starts so
        if drawn.recovers_at:
            recovery = Recovery(self.cluster, self._dice.fork("recovery"))
            world.at(drawn.recovers_at // 2, recovery.copy)
            if drawn.recovers_from_prepared:
                self.prepared_alone = PreparedAlone(recovery, drawn.recovers_at)
                for gateway in self.cluster.gateways:
                    gateway.observers.append(self.prepared_alone)
            else:
                world.at(drawn.recovers_at, recovery.happen)
        if drawn.old_speaker is not None:
            self._add_old_speaker(drawn.old_speaker)
        for action in drawn.operator_actions:
            world.at(action.at, self._operate, action)

    def _add_old_speaker(self, first: int) -> None:
        world = self.cluster.world
        names = [*world.member_names[first:], *world.member_names[:first]]
        honest = [world.nodes[name] for name in names if world.nodes[name].honest]
        if honest:
            make_old(world, honest[0])

    def _add_doors(self) -> None:
        cluster = self.cluster
        self.door_work = DoorWork(
            cluster.world, cluster.gateways, self._dice.fork("doors"), self.drawn.traffic
        )
        probes_of_doors = DoorProbes(cluster.world)
        cluster.add_checkers(probes_of_doors)
        for gateway in cluster.gateways:
            gateway.observers.append(probes_of_doors)

    def _add_lists(self) -> None:
        cluster = self.cluster
        traffic = self.drawn.traffic
        self.list_work = ListWork(cluster.world, cluster.gateways, self._dice.fork("lists"), traffic)
        if self.drawn.midnight:
            dice = self._dice.fork("midnight")
            self.midnight_work = MidnightWork(cluster.world, cluster.gateways, dice, traffic.pause_max)
        probes_of_lists = ListProbes(cluster.world)
        cluster.add_checkers(probes_of_lists)
        for gateway in cluster.gateways:
            gateway.observers.append(probes_of_lists)

    def _add_event_runs(self) -> None:
        cluster, dice = self.cluster, self._dice
        world = cluster.world
        runs = self.event_runs = EventRuns(
            world, cluster.gateways, dice.fork("event runs"), self.drawn.algorithms
        )
        self.lock_races = LockRaces(world, cluster.gateways, dice.fork("lock races"))
        votes, evidence = HonestQuorum(world), VoteEvidence(world)
        decisions = DecisionRules(world, votes)
        for client in runs.clients:
            client.watchers += [votes, evidence, decisions]
        history = OneHistory(world, cluster.history, votes)
        answers = RunAnswers(world, runs.clients, history)
        for client in runs.clients:
            client.watchers.append(answers)
        holder = OneHolder(world, cluster.history)
        cluster.add_checkers(votes, evidence, decisions, history, answers, holder)

    def run(self) -> None:
        """Raise Violation if a promise is broken."""
        world = self.cluster.world
        if self.drawn.overlay:
            play_overlay(self._dice.fork("overlay"))
        self.cluster.start()
        busy = [
            (start, each)
            for start, each in (
                (100 * MILLISECOND, self.workload),
                (500 * MILLISECOND, self.fault_injector),
                (200 * MILLISECOND, self._rogue),
                (200 * MILLISECOND, self._flooder),
                (300 * MILLISECOND, self.membership_changer),
                (400 * MILLISECOND, self.readers),
                (400 * MILLISECOND, self.event_runs),
                (400 * MILLISECOND, self.lock_races),
                (400 * MILLISECOND, self.lock_queues),
                (50 * MILLISECOND, self.partition_watches),
                (100 * MILLISECOND, self.door_work),
                (100 * MILLISECOND, self.list_work),
                (100 * MILLISECOND, self.midnight_work),
            )
            if each is not None
        ]
        for start, each in busy:
            world.after(start, self._start, each)
        enough, recovered = self.drawn.events_max, self.drawn.recovers_at
        world.run(
            self._duration,
            done=(lambda: world.events >= enough and world.time > recovered) if enough else None,
        )
        self._work_went_on()
        self._over = True
        for _start, each in busy:
            each.stop()
        heal(self.cluster, self._dice if self.drawn.dead and self.membership_changer is None else None)
        if self.fault_injector.lost <= self._bearable and not self.drawn.settings.beyond:
            self._liveness()
            if self.lock_queues is not None:
                self.lock_queues.silence()
                settle(self.cluster)
            if self.partition_watches is not None:
                self.partition_watches.last()
            self.cluster.finish()
        else:
            world.run_for(AFTERMATH)
            self.cluster.finish(all_caught_up=self.cluster.settled())

    def _start(self, each: Recurring) -> None:
        if not self._over:
            each.start()

    def _lose_messages(self, loss: MessageLoss) -> None:
        network = self.cluster.world.network
        kind = KINDS[loss.kind] if loss.kind else None
        rule = network.when(
            kind=kind, sender=loss.sender, receiver=loss.receiver, view=loss.view, filled=loss.filled
        )
        rule.drop(loss.share)
        self.cluster.world.at(loss.end, network.forget, rule)

    def _partition(self, partition: Partition) -> None:
        network = self.cluster.world.network
        network.cuts.clear()
        network.part(*map(list, partition.groups))

    def _set_clock(self, step: ClockStep) -> None:
        node = self.cluster.world.nodes.get(step.name)
        clocks = {f"client-{gateway.number}": gateway.clock for gateway in self.cluster.gateways}
        (clocks[step.name] if node is None else node.clock).set(step.ahead, step.ppm)

    def _work_went_on(self) -> None:
        """Raises Violation if the faults of this world, which a cluster must bear, kept its gates waiting."""
        world, drawn = self.cluster.world, self.drawn
        for gateway in self.cluster.gateways if drawn.decided_within else ():
            for request in gateway.requests:
                self._decided_in_time(gateway, request)
        if drawn.suspects_nobody and self._suspicions.noted:
            raise Violation("suspects-nobody", self._suspicions.noted[0])
        highest, epochs = self.cluster.history.highest, len(world.epochs) - 1
        if highest < drawn.log_min:
            raise Violation("gates-admit", f"the log has {highest} entries of {drawn.log_min}")
        if epochs < drawn.epochs_min:
            raise Violation("gates-admit", f"the membership changed {epochs} times of {drawn.epochs_min}")

    def _decided_in_time(self, gateway: Gateway, request: Request) -> None:
        world, within = self.cluster.world, self.drawn.decided_within
        if not request.over and gateway.open.get(request.number) is not request:
            return  # its process ended before
        waited = (request.ended_at if request.over else world.time) - request.asked_at
        codes = {result.code for result in request.results or ()}
        if waited > within or codes & (UNDECIDED | MISDATED):
            raise Violation(
                "gates-admit",
                f"a call of client-{gateway.number} at {request.asked_at // MILLISECOND} ms: "
                f"{sorted(codes) or 'open'} after {waited // MILLISECOND} ms",
            )

    def _operate(self, action: OperatorAction) -> None:
        world = self.cluster.world
        node = world.nodes[action.node]
        if action.what == "start":
            world.start(node)
            return
        if action.what == "start copy":
            copy = node.disk.clone()
            node = self.cluster.add_twin(action.node)
            node.disk = copy
            world.start(node)
            return
        if action.what == "retire":
            node.retire()
            return
        if action.what == "copy":
            self._copies[action.node] = node.disk.clone()
            return
        if node.up:
            node.crash()
        if action.what in ("revert", "put back"):
            node.disk = self._copies[action.node]
            node.disk.older = True
            node.losses += 1
            if world.mode is Mode.RAFT and action.what == "revert":
                node.disk.distrust()
        elif action.what == "lose":
            node.lose_disk()
        elif action.what == "confirm":
            node.say_others_are_gone()

    def _liveness(self) -> None:
        world = self.cluster.world
        world.run_for(RECONNECTED_AFTER)
        requests = self.workload.probe()
        world.run_for(LIVENESS_BOUND, done=lambda: all(request.over for request in requests))
        for request in requests:
            codes = [result.code for result in request.results or ()]
            if not request.over or UNDECIDED & set(codes):
                raise Violation(
                    "liveness", f"a request of the healed cluster is not decided: {codes or 'open'}"
                )
        settle(self.cluster)
        if self.readers is not None:
            self.readers.last(LIVENESS_BOUND)
            settle(self.cluster)
        if self.drawn.votes_return:
            voteless = [node for node in world.honest_members() if not node.disk.voting]
            if not world.run_for(LIVENESS_BOUND, done=lambda: all(node.disk.voting for node in voteless)):
                raise Violation("liveness", f"no vote returns at rest: {[node.name for node in voteless]}")
            settle(self.cluster)


def settle(cluster: Cluster) -> None:
    """Let all live nodes catch up; raise Violation if that takes more than LIVENESS_BOUND."""
    if not cluster.world.run_for(LIVENESS_BOUND, done=cluster.settled):
        raise Violation("liveness", f"not all caught up: {cluster.ends()}")


def heal(cluster: Cluster, dice: Dice | None) -> None:
    """Repair everything, but keep as many members dead as the cluster must tolerate (`dice` None: none);
    liars, and members that ever lost their disks or may yet, count among these."""
    world = cluster.world
    world.network.heal()
    cluster.link_members()
    for node in world.nodes.values():
        node.disk.full = False
        node.disarm()
        node.clock.set(0)
        node.resume()
    dead = []
    no_liars = quorum.faults(world.members, world.mode) == 0
    if dice is not None:
        honest = world.honest_members()
        voteless = world.members - sum(not (node.losses or node.disk.doubtful) for node in honest)
        spare = quorum.crashes_tolerated(world.members, world.mode) - voteless
        voters = [node for node in honest if node.disk.voting and not node.disk.doubtful]
        dead = dice.sample(voters, dice.below(max(0, spare) + 1))
    for node in dead:
        if node.up:
            node.crash()
    for node in world.nodes.values():
        if node not in dead:
            if (dead or _needs_a_word(world, node)) and node.index is not None and no_liars:
                if node.up and node.core.state.voting_right.holding:
                    node.crash()
                if not node.up:
                    node.say_others_are_gone()
            world.start(node)


def _needs_a_word(world: World, node: Node) -> bool:
    """Whether a Raft member with a ledger of its own waits for one that lost its own, which can show it
    nothing any more: only the operator ends that (R11)."""
    if world.mode is not Mode.RAFT or node.losses or node.disk.doubtful:
        return False
    return any(member.losses for member in world.honest_members())
