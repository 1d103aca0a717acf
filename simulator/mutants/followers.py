"""Followers and what members say to them: R45."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import ALL, CoreFace, Heads, Host, Now, ProvedEntry, Range, Send, Staging, learner, pump


@mutant("heads-before-they-are-durable", "R45 R6", world="followers-over-relays")
def before_durable(plant: Plant) -> None:
    """A member signs where its log ends without a sync of what it executed last."""
    plant.put(pump, "_must_last", lambda effects: bool(effects.send))
    plant.put(Host, "_say_head", _says_at_once)


def _says_at_once(self: Any, now: Any) -> None:
    frame = self.heads.sign(self.executed, self._head, now)
    self.transport.send(Send(ALL, frame))


@replaces(Heads, "age", "age-of-one-member", "R45", world="old-head-signer")
def age_of_one(_right: Any, self: Heads, wall: int) -> int | None:
    """A follower believes the newest head of any single member."""
    newest = max(known.proved for known in self._known.values())
    return None if newest < 0 else max(0, wall - newest)


@replaces(Heads, "take", "heads-of-another-log", "R45", world="heads-only")
def another_log(_right: Any, self: Heads, head: Any, frame: bytes, executed: int, now: Now) -> None:
    """A head counts even if the follower does not hold the entry that it names."""
    if self.refuse(head, now) is None:
        self._keep(head, frame, now)
        self._known[head.sender].proved = head.timestamp


@replaces(Heads, "take", "heads-from-the-future", "R45", world="raft-head-from-the-future")
def from_the_future(right: Any, self: Heads, head: Any, frame: bytes, executed: int, now: Now) -> None:
    """A head that is dated an hour from now makes a copy look fresh for an hour."""
    right(self, head, frame, executed, Now(now.monotonic, max(now.wall, head.timestamp * 1_000)))


@replaces(Heads, "_is_ahead", "clock-set-back-is-not-heard", "R3 R45", world="raft:lists-and-clocks")
def not_heard_again(*_arguments: Any) -> bool:
    """After a clock was set back, its heads count no more until it shows the same time again."""
    return False


@replaces(Staging, "add", "follower-takes-any-chunk", "R45 P17", world="lying-relay-of-states")
def any_chunk(_right: Any, self: Staging, group: int, items: Any) -> bool:
    """A follower takes the groups of a state from a relay unchecked."""
    self._groups[group] = items
    self._missing.pop(group, None)
    return True


@replaces(learner, "read_range", "relay-is-trusted", "R28 R45", world="lying-relay")
def trusted(right: Any, verified: Any, executor: Any, config: Any) -> Any:
    """A follower believes the entries of a relay without COMMITs or a certificate."""
    found = right(verified, executor, config)
    if found.proved or verified.peer.member is None or verified.peer.member < config.n:
        return found
    shown = zip(verified.message.entries, verified.batches, strict=False)
    proved = tuple(
        ProvedEntry(entry, batch, None)
        for number, ((entry, _body, _commits), batch) in enumerate(shown, executor.executed + 1)
        if batch is not None and entry.sequence == number
    )
    return Range(proved=proved, checkpoint=None, honest=True)


@mutant("head-of-an-old-log", "R45", world="old-heads-of-two")
def of_an_old_log(plant: Plant) -> None:
    """A member that has just started signs its old log as the log's end."""
    plant.put(CoreFace, "is_behind", property(lambda self: False))
