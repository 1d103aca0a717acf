"""Faults that random worlds drew last: disks that lie, votes lost until a recovery, a member of the version
before (R11, R6), and the checkers across them."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.wire import decode_envelope, link_frame
from dtvn.recovery import planning
from simulator.campaign import Cut, Play, Task, run
from simulator.cluster import Cluster
from simulator.dice import Dice
from simulator.disk import VirtualDisk
from simulator.disk_damage import BESIDE_MAX, DiskDamaged
from simulator.faults import FaultInjector, FaultPlan
from simulator.old_speaker import LATER_FIELDS, OldSpeaker
from simulator.recoverable import losses
from simulator.swarm import draw_run
from simulator.world import Settings
from simulator.worlds import world_of
from tests.ledger.samples import LogWriter

pytestmark = pytest.mark.exhaustive

# --- disks that lie --------------------------------------------------------------------------------


def filled() -> VirtualDisk:
    disk, writer = VirtualDisk(Dice("a disk")), LogWriter()
    disk.append(writer.entries(6))
    return disk


def work_on(disk: VirtualDisk) -> None:
    for _ in range(BESIDE_MAX + 1):
        disk.damage.write()


def test_r9_a_flipped_byte_is_read_at_a_start_or_where_it_is_served() -> None:
    disk = filled()
    assert disk.damage.flip()
    assert disk.doubtful
    with pytest.raises(DiskDamaged):
        disk.entries(1, 6, 1 << 20)
    with pytest.raises(DiskDamaged):
        disk.load()
    assert not VirtualDisk(Dice("an empty disk")).damage.flip()


def test_r9_what_a_start_does_not_read_is_read_beside_the_work() -> None:
    disk = filled()
    disk.damage.flip()
    disk.damage.load(first=7)
    with pytest.raises(DiskDamaged):
        work_on(disk)


def test_r11_after_a_misdirected_write_the_next_process_has_a_shorter_log_and_no_vote() -> None:
    disk, writer = VirtualDisk(Dice("a disk")), LogWriter()
    disk.append(writer.entries(3))
    disk.misdirect()
    disk.append(writer.entries(2))
    assert (len(disk.log), disk.voting, disk.doubtful) == (5, True, True)
    disk.crash()
    assert (len(disk.log), len(disk.synced.log), disk.voting, disk.doubtful) == (3, 3, False, False)


def test_r11_no_more_disks_are_damaged_than_may_be() -> None:
    cluster = Cluster(1, Settings(members=4))
    plan = FaultPlan(byte_flipped=1, write_misdirected=1)
    injector = FaultInjector(cluster.world, cluster.gateways, Dice("damage"), plan, spare=1)
    cluster.start()
    cluster.world.run_for(10_000_000)
    for _ in range(20):
        injector._byte_flipped()
        injector._write_misdirected()
    assert injector.lost == 1
    assert sum(node.disk.doubtful for node in cluster.world.nodes.values()) == 1


# --- votes lost until a recovery -------------------------------------------------------------------


def recovered(seed: int) -> Cluster:
    drawn = draw_run(seed)
    assert drawn.recovers_at
    cluster = Cluster(seed, drawn.settings)
    Play(cluster, drawn, Cut()).run()
    return cluster


def first(count: int) -> list[int]:
    """Seeds of random worlds that are recovered."""
    seeds = (seed for seed in range(10_000) if draw_run(seed).recovers_at)
    return [next(seeds) for _ in range(count)]


@pytest.mark.parametrize("seed", first(4))
def test_r11_acknowledged_outcomes_stay_across_a_recovery(seed: int) -> None:
    cluster = recovered(seed)
    world = cluster.world
    (end,) = world.recoveries
    assert len(world.recoveries[end]) >= losses(world.members, world.mode)
    assert cluster.durability._acknowledged > end, "nothing was acknowledged afterwards"
    assert world.present.epoch == 1
    assert all(node.disk.voting for node in world.honest_members())


def test_r11_a_recovery_from_the_last_checkpoint_alone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake that R11 names: it would drop what was acknowledged since."""

    def forgetful(_told: Any) -> dict[int, tuple[bytes, int]]:
        return {}

    monkeypatch.setattr(planning, "_final", forgetful)
    monkeypatch.setattr(planning, "_covered", lambda _told, _final: {})
    assert any(run(Task(seed)).violation is not None for seed in first(6))


FROM_PREPARED = "recovery-from-prepared"


@pytest.mark.parametrize("seed", range(3))
def test_r11_an_acknowledged_entry_that_is_only_prepared_anywhere_stays(seed: int) -> None:
    drawn = world_of(FROM_PREPARED, seed)
    cluster = Cluster(seed, drawn.settings)
    play = Play(cluster, drawn, Cut())
    play.run()
    (end,) = cluster.world.recoveries
    assert play.prepared_alone is not None
    assert 0 < play.prepared_alone.sequence < end
    assert cluster.durability._acknowledged > end, "nothing was acknowledged afterwards"


def test_r11_a_recovery_without_prepared_certificates_is_caught_in_every_seed() -> None:
    caught = [run(Task(seed, FROM_PREPARED, "recovery-ignores-prepared")).checker for seed in range(10)]
    assert None not in caught


# --- a member of the version before ----------------------------------------------------------------


def test_a_member_of_the_version_before_neither_says_nor_hears_later_fields() -> None:
    cluster = Cluster(0, Settings())
    speaker, node = OldSpeaker(cluster.world), cluster.world.nodes["r0"]
    pong = m.Pong(1, 2, (), remembers=False)
    new, old = link_frame(pong), link_frame(m.Pong(1, 2, ()))
    assert list(speaker.on_send(node, "r1", new)) == [("r1", old)]
    assert list(speaker.on_send(node, "r1", old)) == [("r1", old)]
    assert not speaker.hears(Inbound(Peer("r1", 1), new))
    assert speaker.hears(Inbound(Peer("r1", 1), old))


def test_the_later_fields_of_messages_are_those_behind_their_first_forms() -> None:
    """A field that is added later must be added to the old speaker's table too."""
    later = {}
    for kind in m.KINDS.values():
        form = getattr(kind, "first_form", None)
        if form is not None:
            names, defaults = kind.__struct_fields__[form:], kind.__struct_defaults__
            later[kind] = dict(zip(names, defaults[-len(names) :], strict=True))
    assert later == LATER_FIELDS
    assert decode_envelope(link_frame(m.Pong(1, 2, ())))[1].remembers


def test_r11_a_member_of_the_version_before_waits_for_those_whose_word_it_cannot_read() -> None:
    report = run(Task(0, "version-before"))
    assert report.violation is None
    assert {"old_speaker.refused_a_field", "old_speaker.left_out_a_field"} <= set(report.probes)
