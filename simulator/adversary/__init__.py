"""Liars (Byzantine members) with real keys, one per file; `corrupt` turns an honest member into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.adversary.alarmist import Alarmist
from simulator.adversary.amnesiac import Amnesiac
from simulator.adversary.base import Liar
from simulator.adversary.boaster import Boaster
from simulator.adversary.byzzfuzz import ByzzFuzz
from simulator.adversary.censor import Censor
from simulator.adversary.crammer import Crammer
from simulator.adversary.equivocator import Equivocator
from simulator.adversary.flooder import Flooder
from simulator.adversary.foreigner import Foreigner
from simulator.adversary.forger import Forger
from simulator.adversary.hasty import Hasty
from simulator.adversary.idler import Idler
from simulator.adversary.impostor import Impostor
from simulator.adversary.latecomer import Latecomer
from simulator.adversary.librarian import Librarian
from simulator.adversary.malleator import Malleator
from simulator.adversary.miser import Miser
from simulator.adversary.mutator import Mutator
from simulator.adversary.mute import Mute
from simulator.adversary.namesake import Namesake
from simulator.adversary.parrot import Parrot
from simulator.adversary.poisoner import Poisoner
from simulator.adversary.revenant import Revenant
from simulator.adversary.sluggard import Sluggard
from simulator.adversary.straggler import Straggler
from simulator.adversary.teaser import Teaser
from simulator.adversary.timekeeper import Timekeeper
from simulator.adversary.twin import Split, Twin
from simulator.adversary.usurper import Usurper
from simulator.adversary.vandal import Vandal

if TYPE_CHECKING:
    from simulator.cluster import Cluster

__all__ = ["ADVERSARIES", "APART", "LATER", "SIMPLE", "Liar", "corrupt"]

SIMPLE: dict[str, type[Liar]] = {
    "amnesiac": Amnesiac,
    "boaster": Boaster,
    "byzzfuzz": ByzzFuzz,
    "censor": Censor,
    "crammer": Crammer,
    "equivocator": Equivocator,
    "flooder": Flooder,
    "foreigner": Foreigner,
    "forger": Forger,
    "idler": Idler,
    "impostor": Impostor,
    "librarian": Librarian,
    "miser": Miser,
    "mutator": Mutator,
    "mute": Mute,
    "parrot": Parrot,
    "sluggard": Sluggard,
    "timekeeper": Timekeeper,
    "usurper": Usurper,
    "vandal": Vandal,
}
LATER: dict[str, type[Liar]] = {
    "alarmist": Alarmist,
    "hasty": Hasty,
    "namesake": Namesake,
    "poisoner": Poisoner,
    "revenant": Revenant,
    "straggler": Straggler,
    "teaser": Teaser,
}
"""Liars added later. They are drawn from a random stream of their own, so that kept seeds give the same
worlds."""
APART: dict[str, type[Liar]] = {"malleator": Malleator}
"""Never drawn at random: their worlds use another signature scheme."""
DIRECTED: dict[str, type[Liar]] = {"latecomer": Latecomer}
"""Never drawn at random: these liars are harmless outside of their own worlds."""
ADVERSARIES = (*SIMPLE, "twin", *LATER, *APART, *DIRECTED)


def corrupt(cluster: Cluster, name: str, kind: str) -> None:
    """Make member `name` a liar of this kind, before the world begins. A suffix after a slash selects one
    forgery: `usurper/omit`, `librarian/results`, `poisoner/another log`; with `twin/parted` the network
    decides which member hears which twin."""
    world = cluster.world
    node = world.nodes[name]
    node.honest = False
    dice = world.dice.fork(f"liar {name}")
    kind, _, forgery = kind.partition("/")
    if forgery and kind == "usurper":
        node.speech = Usurper(cluster, node, dice, forgery=forgery)
        return
    if kind != "twin":
        liar = node.speech = (SIMPLE | LATER | APART | DIRECTED)[kind](cluster, node, dice)
        if isinstance(liar, Librarian):
            liar.forger = bool(forgery)
        elif isinstance(liar, Poisoner):
            liar.lie = forgery or liar.lie
        return
    twin = cluster.add_twin(name)
    twin.honest = False
    if forgery:
        return
    split = Split(dice, [other for other in world.member_names if other != name])
    node.speech = Twin(cluster, node, dice, split=split)
    twin.speech = Twin(cluster, twin, dice, split=split)
