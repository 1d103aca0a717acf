"""Random worlds: which features a world has, and how much of everything, drawn from its seed.

Swarm testing (Groce et al., ISSTA 2012): each feature is on in a third to a half of the worlds, because those
that are always on hide each other, and those that are rarely on never meet. Each feature draws from a random
stream of its own.
"""

from __future__ import annotations

import msgspec

from dtvn.events.config import algorithms_of
from dtvn.protocol import quorum
from dtvn.protocol.genesis import CAPABILITIES, Parameters
from dtvn.protocol.quorum import Mode
from simulator.adversary import LATER, SIMPLE
from simulator.clock import MICROSECOND, MILLISECOND, SECOND
from simulator.clock_steps import ClockStep, draw_clock_steps
from simulator.dice import Dice
from simulator.faults import FaultPlan
from simulator.membership_changes import LEAST, MembershipChanges
from simulator.names import RELAY_LIES
from simulator.network import LinkQuality
from simulator.node import Costs
from simulator.recoverable import is_recoverable
from simulator.run_plan import FIRST_MESSAGE_TIMEOUTS, MessageLoss, Partition, RunPlan
from simulator.workload import Traffic
from simulator.world import Settings

FEATURES: dict[str, float] = {
    "doors": 0.4,
    "lists": 0.5,
    "readers": 0.35,
    "changes": 0.45,
    "raft": 0.5,
    "recovery": 0.6,
    "followers": 0.45,
    "overlay": 0.35,
    "transfers": 0.4,
    "partitions": 0.4,
    "versions": 0.45,
    "clocks": 0.5,
    "disks": 0.4,
    "crashes": 0.5,
    "links": 0.5,
    "events": 0.45,
    "locks": 0.5,
    "liars": 0.5,
    "knobs": 0.4,
}
"""Feature -> share of the worlds that want it."""
APART: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "raft",
        ("liars", "recovery", "versions"),
        "members that order by Raft tolerate no liar (R44), their lost "
        "votes return by the operator's word (R11), and the version before had no Raft",
    ),
    ("recovery", ("changes",), "the plan of a recovery is of one epoch"),
    (
        "recovery",
        ("versions",),
        "followers are served by neither the version before nor those who lost their disks",
    ),
    ("locks", ("clocks",), "where log time stands, no lease ends"),
    ("locks", ("events",), "the locks of both have the same names, and are judged by other rules"),
    ("followers", ("changes",), "who is linked to whom is set by the members of genesis"),
)
"""A feature, those that cannot stand beside it, and why. A world that wants both gets one side, drawn."""

REAL_EVERY = 50
"""Every so many-th world signs with real Ed25519 (R39), and is shorter: a signature costs twenty times as
much."""
EVENTS_MAX = 3_500
"""Most events of a safety phase, so that large and busy clusters are played for a shorter time."""
LIARS_OF: dict[str, tuple[str, ...]] = {
    "events": ("false-voter", "equivocating-voter", "late-voter"),
    "locks": ("tickless-primary", "empty-batcher"),
    "followers": ("old-head-signer",),
    "transfers": ("bad-archive-server", "bad-state-server/another log"),
    "clocks": ("false-refuser",),
}
"""Liars that are harmless without a feature."""


def draw_run(seed: int) -> RunPlan:
    """The random world of a seed."""
    return draw(seed)


def draw_small_run(seed: int) -> RunPlan:
    """The same with few members, and shorter."""
    return draw(seed, members_max=4, events_max=EVENTS_MAX // 2)


def draw_raft_run(seed: int) -> RunPlan:
    """The same, ordered by Raft."""
    return draw(seed, always="raft")


def draw_features(dice: Dice, always: str = "") -> frozenset[str]:
    """Those of one world. `always`: a feature that it has in any case."""
    on = {name for name, share in FEATURES.items() if dice.hit(share)} | ({always} if always else set())
    for one, others, _why in APART:
        if one in on and on & {*others}:
            keeps = dice.hit(0.5) if always not in (one, *others) else always == one
            on -= {*others} if keeps else {one}
    return frozenset(on)


def draw(seed: int, *, always: str = "", members_max: int = 13, events_max: int = EVENTS_MAX) -> RunPlan:
    """A world with this many members at most; it depends on all arguments."""
    return _Drawing(seed, always, members_max, events_max).plan()


class _Drawing:
    """Draws one world."""

    def __init__(self, seed: int, always: str, members_max: int, events_max: int) -> None:
        self._seed = seed
        self._on = draw_features(self._dice("features"), always)
        self._real = seed % REAL_EVERY == 0
        self._events_max = events_max // 4 if self._real else events_max
        dice = self._dice("size")
        self._mode = Mode.RAFT if "raft" in self._on else Mode.PBFT
        largest = dice.pick((4, 4, 5, 7, members_max)) if self._mode is Mode.PBFT else 7
        self._members = dice.between(1 if dice.hit(0.2) else 4, largest)
        if self._mode is Mode.RAFT:
            self._members = dice.between(1 if dice.hit(0.2) else 2, dice.pick((4, 5, 7)))
        self._members = min(self._members, members_max)
        self._duration = dice.between(SECOND, 6 * SECOND)
        self._gateways = dice.between(1, 3)
        self._liars = self._draw_liars()
        self._changes = self._draw_changes()
        self._recovers = "recovery" in self._on and is_recoverable(
            self._members, len(self._liars), self._mode
        )

    def _dice(self, name: str) -> Dice:
        return Dice(self._seed).fork(f"swarm {name}")

    def _has(self, feature: str) -> bool:
        return feature in self._on

    def plan(self) -> RunPlan:
        """The whole plan."""
        on, dice = self._on, self._dice("rest")
        faults, forgetful = self._faults()
        events = "events" in on and self._members >= LEAST - 1
        recovers_at = dice.between(SECOND // 2, SECOND) if self._recovers else 0
        return RunPlan(
            settings=self._settings(),
            traffic=self._traffic(),
            plan=faults,
            adversaries=self._liars,
            duration=self._duration,
            events_max=self._events_max,
            changes=self._changes,
            rogue="liars" in on and dice.hit(0.25),
            event_runs=events,
            algorithms=algorithms_of(self._mode) if events and dice.hit(0.5) else (),
            lock_queues="locks" in on,
            doors="doors" in on,
            lists="lists" in on,
            midnight="lists" in on and dice.hit(0.3),
            readers="readers" in on,
            clock_steps=self._clock_steps(),
            message_losses=self._message_losses(),
            partitions=self._partitions(),
            recovers_at=recovers_at,
            old_speaker=self._old_speaker(dice),
            forgetful=forgetful,
            overlay="overlay" in on,
            partition_watches="partitions" in on,
            knobs="knobs" in on,
        )

    def _old_speaker(self, dice: Dice) -> int | None:
        """One of several: the version before refuses what followers ask since, and says no log time with its
        refusals, so that gates and copies need another member."""
        speaks = "versions" in self._on and quorum.faults(self._members, self._mode) > 0
        return dice.below(self._members) if speaks else None

    # --- the cluster -------------------------------------------------------------------------------

    def _settings(self) -> Settings:
        dice, on = self._dice("settings"), self._on
        follows = "followers" in on
        relays = dice.between(1, 3) if follows else 0
        transfers, changes = "transfers" in on, self._changes is not None
        return Settings(
            members=self._members,
            mode=self._mode,
            learners=max(dice.below(3), int("readers" in on)),
            one_platform=dice.hit(0.5),
            relays=relays,
            followers=dice.between(1, 3) if follows else 0,
            relay_lies=dice.pick(self._relay_lies(relays)) if follows and dice.hit(0.5) else "",
            gateways=self._gateways,
            capabilities=CAPABILITIES,
            real_signatures=self._real,
            quality=self._quality(),
            costs=self._costs(),
            skew_max=dice.spread(MILLISECOND, 200 * MILLISECOND),
            rate_ppm_max=dice.below(101),
            parameters=Parameters(
                checkpoint_interval=dice.spread(1, 20),
                view_timeout=dice.spread(100_000, 800_000),
                sessions_max=dice.spread(4, 64),
                batch_operations_max=dice.spread(4, 1_000),
            ),
            spares=dice.between(1, 4) if changes else 0,
            transfer_lag=dice.spread(4, 40) if transfers else 0,
            archives=transfers and dice.hit(0.5) and (self._changes is None or self._changes.least >= LEAST),
            resend_bytes_max=dice.spread(1, 1 << 20) if dice.hit(0.2) else 0,
            node_reads=dice.hit(0.2),
            epoch_catch_up=changes and dice.hit(0.5),
            unlike_rules=int("events" in on and dice.hit(0.2)),
            first_message_timeouts=FIRST_MESSAGE_TIMEOUTS if dice.hit(0.5) else 0,
        )

    def _relay_lies(self, relays: int) -> tuple[str, ...]:
        return tuple(lie for lie in RELAY_LIES if lie != "loop" or relays > 1)

    def _quality(self) -> LinkQuality:
        """Latencies are drawn of all worlds, what is lost and late of those with poor links."""
        dice = self._dice("links")
        low = dice.spread(50 * MICROSECOND, MILLISECOND)
        high = dice.spread(MILLISECOND, 20 * MILLISECOND)
        if not self._has("links"):
            return LinkQuality(latency_min=low, latency_max=high)
        return LinkQuality(
            latency_min=low,
            latency_max=high,
            slow_share=dice.below(50) / 1_000 if dice.hit(0.5) else 0.0,
            slow_max=dice.spread(50 * MILLISECOND, 4 * SECOND),
            loss=dice.below(200) / 1_000 if dice.hit(0.5) else 0.0,
            duplication=dice.below(200) / 1_000 if dice.hit(0.5) else 0.0,
            reorder=dice.below(500) / 1_000 if dice.hit(0.5) else 0.0,
        )

    def _costs(self) -> Costs:
        """How fast processors and disks are, and how often a crash damages all that was being written."""
        dice = self._dice("costs")
        fastest = dice.spread(10 * MICROSECOND, MILLISECOND)
        costs = Costs(
            turn=dice.spread(5 * MICROSECOND, 100 * MICROSECOND),
            frame=dice.spread(5 * MICROSECOND, 50 * MICROSECOND),
            sync_min=fastest,
            sync_max=fastest * dice.between(1, 10),
        )
        if not self._has("disks"):
            return costs
        return msgspec.structs.replace(
            costs,
            read_min=fastest // 2,
            read_max=fastest * dice.between(1, 10),
            torn=dice.between(800, 1_000) / 1_000,
        )

    def _traffic(self) -> Traffic:
        dice = self._dice("traffic")
        # An answer takes n x n messages, and each kind of work beside the gates has as many calls as they.
        calm = max(1, self._members // 2) + len(self._on & {"doors", "lists", "readers"})
        return Traffic(
            tickets=dice.spread(1, 40),
            pause_max=dice.spread(20 * MILLISECOND, 200 * MILLISECOND) * calm,
            operations_max=dice.between(1, 6),
            repeats=dice.below(400) / 1_000,
            without_nonce=dice.below(300) / 1_000,
            valid_min=dice.spread(20 * MILLISECOND, 2 * SECOND),
            valid_max=dice.spread(2 * SECOND, 20 * SECOND),
            odd=dice.between(50, 500) / 1_000 if dice.hit(0.8) else 0.0,
            undated=self._has("clocks") or dice.hit(0.3),
        )

    # --- what goes wrong ---------------------------------------------------------------------------

    def _draw_liars(self) -> tuple[str, ...]:
        """f at most, of all kinds that can do harm here."""
        dice, tolerated = self._dice("liars"), quorum.faults(self._members, self._mode)
        if not tolerated or not self._has("liars"):
            return ()
        kinds = (*SIMPLE, "twin", *LATER)
        special = tuple(kind for name, found in LIARS_OF.items() if self._has(name) for kind in found)
        return tuple(
            dice.pick(special) if special and dice.hit(0.3) else dice.pick(kinds)
            for _ in range(dice.between(1, tolerated))
        )

    def _draw_changes(self) -> MembershipChanges | None:
        dice = self._dice("changes")
        if not self._has("changes") or self._members > 7:
            return None
        few = self._mode is Mode.RAFT or self._members < LEAST or dice.hit(0.3)
        return MembershipChanges(
            pause_max=dice.spread(SECOND // 4, 2 * SECOND),
            joins=dice.between(1, 4),
            leaves=dice.between(0, 4),
            replaces=dice.between(0, 4),
            rotates=dice.between(0, 3),
            parameters=dice.between(0, 2),
            unready=dice.below(500) / 1_000,
            least=min(self._members, dice.between(1, 3)) if few else LEAST,
            small=0.8 if few else 0.0,
            undated=self._has("clocks"),
        )

    def _faults(self) -> tuple[FaultPlan, bool]:
        """Weights of the faults, and whether one disk more may be lost than is tolerated."""
        dice, least = self._dice("faults"), self._members if self._changes is None else self._changes.least

        def weights(feature: str, *names: str) -> dict[str, int]:
            drawn = {name: dice.between(1, 4) if dice.hit(0.5) else 0 for name in names}
            return drawn if self._has(feature) else {}

        crashes = weights("crashes", "crash", "crash_in_turn", "suspend", "client_restart", "take_over")
        if not quorum.faults(least, self._mode):
            crashes.pop("take_over", None)  # f = 0: a follower believes the head that an old process signs
        links = weights("links", "one_way", "slow_link", "lose_kind", "clog", "narrow")
        parts = weights("partitions", "part")
        disks = weights("disks", "disk_full", "power_cut", "disk_lost", "byte_flipped", "write_misdirected")
        clocks = weights("clocks", "wall_jump") if least > 1 else {}
        if "crashes" in self._on and dice.hit(0.3):
            crashes["crash_all"] = 1
        needs_all = self._mode is Mode.RAFT and (self._changes is not None or self._has("readers"))
        if self._recovers or needs_all:
            disks |= dict.fromkeys(("disk_lost", "byte_flipped", "write_misdirected"), 0)
        forgetful = False
        if disks.get("disk_lost") and self._members >= LEAST and self._changes is None and dice.hit(0.3):
            forgetful = not self._recovers
        return (
            FaultPlan(
                pause_max=dice.spread(200 * MILLISECOND, 2 * SECOND),
                away_max=dice.spread(200 * MILLISECOND, 4 * SECOND),
                heal=dice.between(1, 4),
                **crashes,
                **links,
                **parts,
                **disks,
                **clocks,
            ),
            forgetful,
        )

    def _message_losses(self) -> tuple[MessageLoss, ...]:
        """Most pages of the log are lost for a while, so that who is behind fetches the state."""
        dice = self._dice("transfers")
        if not self._has("transfers"):
            return ()
        start = dice.below(self._duration)
        return (MessageLoss("Entries", start=start, end=start + dice.below(5 * SECOND), share=0.9),)

    def _partitions(self) -> tuple[Partition, ...]:
        """The members fall into two groups, gateways on both sides or on one, and meet again."""
        dice = self._dice("partitions")
        if not self._has("partitions") or self._members < 2:
            return ()
        found: list[Partition] = []
        time = dice.below(SECOND)
        for _ in range(dice.between(1, 3)):
            names = [f"r{index}" for index in range(self._members)]
            names += [f"client-{number}" for number in range(self._gateways)]
            here = dice.sample(names, dice.between(1, max(1, len(names) - 1)))
            there = tuple(name for name in names if name not in here)
            found.append(Partition(time, (tuple(here), there)))
            time += dice.spread(100 * MILLISECOND, 2 * SECOND)
            found.append(Partition(time, ()))
            time += dice.spread(100 * MILLISECOND, 2 * SECOND)
        return tuple(found)

    def _clock_steps(self) -> tuple[ClockStep, ...]:
        if not self._has("clocks"):
            return ()
        return draw_clock_steps(self._dice("clocks"), self._members, self._gateways, self._duration)
