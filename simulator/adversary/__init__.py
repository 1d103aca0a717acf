"""Liars with real keys, one a file; `corrupt` turns an honest member into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.adversary.base import Liar
from simulator.adversary.equivocator import Equivocator
from simulator.adversary.forger import Forger
from simulator.adversary.impostor import Impostor
from simulator.adversary.librarian import Librarian
from simulator.adversary.mutator import Mutator
from simulator.adversary.mute import Mute
from simulator.adversary.parrot import Parrot
from simulator.adversary.twin import Split, Twin
from simulator.adversary.usurper import Usurper
from simulator.adversary.vandal import Vandal

if TYPE_CHECKING:
    from simulator.cluster import Cluster

__all__ = ["ADVERSARIES", "Liar", "corrupt"]

SIMPLE: dict[str, type[Liar]] = {
    "equivocator": Equivocator,
    "forger": Forger,
    "impostor": Impostor,
    "librarian": Librarian,
    "mutator": Mutator,
    "mute": Mute,
    "parrot": Parrot,
    "usurper": Usurper,
    "vandal": Vandal,
}
ADVERSARIES = (*SIMPLE, "twin")


def corrupt(cluster: Cluster, name: str, kind: str) -> None:
    """Make member `name` a liar of this kind, before the world begins. `usurper/omit` and its like
    fix the forgery."""
    world = cluster.world
    node = world.nodes[name]
    node.honest = False
    dice = world.dice.fork(f"liar {name}")
    kind, _, forgery = kind.partition("/")
    if forgery:
        node.speech = Usurper(cluster, node, dice, forgery=forgery)
        return
    if kind != "twin":
        node.speech = SIMPLE[kind](cluster, node, dice)
        return
    twin = cluster.add_twin(name)
    twin.honest = False
    split = Split(dice, [other for other in world.member_names if other != name])
    node.speech = Twin(cluster, node, dice, split=split)
    twin.speech = Twin(cluster, twin, dice, split=split)
