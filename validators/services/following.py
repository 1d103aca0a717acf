"""What a platform that only follows says of itself: how old its copy is, and that it changes nothing.

The age is the time since f + 1 members said that their logs were no longer than this copy (R45). It is
computed when it is shown, so it grows also while the follower's process is away.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec
from django.conf import settings
from django.db import DatabaseError

from dtvn.node.following import report_in
from dtvn.watch import Agreement
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.models import ManagedNode, NodeRole

AMBER, RED = 15.0, 60.0
"""Seconds of age above which pages show it in amber and in red: heads come every five seconds, so two were
missed, and eleven. Above RED it is not ready (/ready)."""
CODE = "follower"
"""The code of the refusal of what would change something."""
PAGES_OF_MEMBERS = frozenset(
    {
        "dashboard:nodes",
        "dashboard:network",
        "dashboard:metrics",
        "simulator",
        "tickets:gate",
        "tickets:list",
        "admin:validators_managednode_changelist",
        "admin:validators_memberevidence_changelist",
        "admin:validators_membershipchange_changelist",
        "admin:validators_membershipchange_ask",
        "admin:validators_membershipchange_principals",
    }
)
"""View names of pages that a follower does not have: all that they do is done by members, or asked of
them."""
REVOKED = (
    "If members run, their principals may not have this follower's key. A new key is admitted by the "
    "organiser, with the command that this follower printed when it started; one that was revoked never "
    "again: stop the follower, delete keys/follower.key in its data folder, and start it for a new key"
)
"""What to do about a copy that gets no younger, in words: who is revoked is told nothing any more."""
Level = Literal["ok", "tight", "stuck"]


class Freshness(msgspec.Struct, frozen=True):
    """How old this copy is now."""

    as_of: float | None
    """Unix seconds as of which it is complete; None: no f + 1 members said so since the follower began."""
    age: float | None
    """Seconds since then."""
    sequence: int
    """The last sequence that it holds."""

    @property
    def level(self) -> Level:
        """The level of its state on pages."""
        if self.age is None or self.age > RED:
            return "stuck"
        return "tight" if self.age > AMBER else "ok"

    @property
    def sentence(self) -> str:
        """In words, without a full stop."""
        told = "of unknown age" if self.age is None else f"as of {duration(self.age)} ago"
        return f"A follower, {told}; sequence {self.sequence:,}"


def is_follower() -> bool:
    """Whether this platform only follows a cluster (manage.py follow)."""
    return settings.FOLLOWS is not None


def read_only() -> str:
    """Why nothing can be changed here, and where it can; a sentence."""
    return f"This is a follower, which only shows: change it {_elsewhere()}."


def not_here() -> str:
    """Why a page of PAGES_OF_MEMBERS is not shown here, and where it is; a sentence."""
    return f"This is a follower, which has a copy of the tickets only: see this page {_elsewhere()}."


def _elsewhere() -> str:
    place = (settings.FOLLOWS or {}).get("writes_at", "")
    return f"at {place}" if place else "on a platform of the members"


def freshness() -> Freshness:
    """The age and the last sequence of this copy. Of unknown age while the platform's database is away."""
    report = _report()
    try:
        sequence = read.applied_sequence(LEARNER_ALIAS)
    except DatabaseError:  # there is no ledger yet
        sequence = 0
    told = report.get("as_of")
    as_of = told / 1e6 if isinstance(told, int) and told > 0 else None
    age = None if as_of is None else max(0.0, time.time() - as_of)
    return Freshness(as_of, age, sequence)


def _report() -> dict[str, Any]:
    if (settings.FOLLOWS or {}).get("no_pages"):
        return report_in(settings.DATA)
    try:
        row = ManagedNode.objects.filter(role=NodeRole.LEARNER).first()
    except DatabaseError:
        return {}
    return {} if row is None else row.report


def told() -> dict[str, Any]:
    """What answers about the cluster say besides on a follower; nothing on other platforms."""
    if not is_follower():
        return {}
    found = freshness()
    return {"follower": {"as_of": found.as_of, "age": found.age, "sequence": found.sequence}}


def state() -> Agreement:
    """The state that each page shows: in place of how many members agree."""
    found = freshness()
    return Agreement(sentence=f"{found.sentence}; it only shows: change it {_elsewhere()}", level=found.level)


def duration(seconds: float) -> str:
    """A time span in words: 3 s, 5 min, 2 h, 4 days."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
