"""The edges of the cluster: gateways, bounds, noise. R16, R34; P14 and P15."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import replaces
from simulator.seams import Bodies, Collector, Door, Future, PeerError, PeerLimits, Pool, Queue, answers, m


@replaces(Collector, "__init__", "one-receipt-is-enough", "R16", world="byte-corrupter", seed=1)
def one_receipt(original: Any, self: Collector, *arguments: Any, **options: Any) -> None:
    """A client believes a single member."""
    original(self, *arguments, **options)
    self._weak = 1


@replaces(answers.Tally, "_agree_on_codes", "repeats-agree-on-place-only", "R16", world="byte-corrupter")
def same_place(_right: Any, self: answers.Tally, verifier: Any) -> Any:
    """Members that name the same position agree, whichever codes they name."""
    for first in self._repeats.values():
        place = first.sequence, first.first_index
        supporters = {
            member for member, said in self._repeats.items() if (said.sequence, said.first_index) == place
        }
        for candidate in list(self._candidates.values()):
            if (candidate.entry.sequence, candidate.first_index) == place:
                supporters |= self._receipts(candidate, verifier)
        if len(supporters) >= self._needed:
            outcomes = tuple(m.Outcome(code=code, state=b"") for code in first.codes)
            return answers.Verdict(*place, 0, outcomes, repeated=True)
    return None


@replaces(Collector, "_send_again", "asks-only-the-primary", "R34 P14", world="censor")
def only_primary(_right: Any, self: Collector, flight: Any, now: Any) -> None:
    """A gateway never sends a request to a member other than the believed primary."""
    primary = self._views.primary()
    if primary in self._reach.connected:
        self._actions.send.append((primary, flight.frame))
    flight.retry_at = now.monotonic + flight.pause


@replaces(Future, "_full", "future-statements-unbounded", "P15", world="flooder")
def all_the_future(*_arguments: Any) -> Any:
    """Statements of future views are kept without bound."""
    return False


@replaces(PeerLimits, "exceeds", "floods-examined", "P15", world="opening-flood")
def without_limits(*_arguments: Any) -> bool:
    """A link may bring any number of openings and of requests that are refused."""
    return False


@replaces(Pool, "on_opened", "waiting-openings-accuse", "R30 P15", world="opening-flood")
def openings_accuse(*_arguments: Any) -> None:
    """An opening waits since it came, whatever else of its principal was executed meanwhile."""


@replaces(Door, "peek", "garbage-ends-process", "P15", world="byte-corrupter")
def dies_of_noise(right: Any, self: Door, inbound: Any) -> Any:
    """A frame that cannot be decoded ends the process."""
    try:
        return right(self, inbound)
    except PeerError as error:
        raise ValueError("noise") from error


@replaces(Future, "take", "shares-of-links-not-given-back", "R30 P15")
def keeps_shares(right: Any, self: Future, view: int) -> Any:
    """What a link sent for later views counts against its share after that view was entered."""
    before = list(self._bytes)
    taken = right(self, view)
    self._bytes = [old + new for old, new in zip(before, self._bytes, strict=True)]
    return taken


@replaces(Bodies, "_forget", "bodies-not-given-back", "R30 P15")
def keeps_bytes(right: Any, self: Bodies, digest: bytes) -> None:
    """The bytes of a body that is forgotten stay counted."""
    before = self._bytes
    right(self, digest)
    self._bytes = before


@replaces(Pool, "remove", "requests-not-given-back", "R30 P15")
def keeps_requests(right: Any, self: Pool, key: Any) -> Any:
    """The work of a request stays counted after it left the pool."""
    before = self.work
    gone = right(self, key)
    self.work = before
    return gone


@replaces(Queue, "_close", "calls-not-given-back", "R30 P15")
def keeps_calls(right: Any, self: Queue, call: Any) -> Any:
    """The bytes of a gateway's call stay counted after its answer."""
    before = self._bytes
    ended = right(self, call)
    self._bytes = before
    return ended
