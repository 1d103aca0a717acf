"""Runs of a validator, as the members judge them: each call through the breaker."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from dtvn.events.balancing import BreakerError
from dtvn.events.config import Algorithm, DistributedValidatorConfig
from dtvn.events.judging import Verdict
from dtvn.events.runs import started_run
from dtvn.gateway.events_face import (
    CALL_EVENTS_MAX,
    NAME_MAX,
    EventRun,
    Judged,
    RunEnd,
    RunIsLive,
    RunPlace,
    check_names,
)
from dtvn.gateway.face import GatewayClosed
from dtvn.gateway.steps import Steps
from dtvn.gateway.validator_answers import Wanted, agreed_algorithm, followed, joined
from dtvn.gateway.validator_reading import Reading
from dtvn.machine.fields import is_text


class Named(msgspec.Struct, frozen=True):
    """How a run begins."""

    thread: str
    run: str
    algorithm: Algorithm | None
    recorded: bool | None
    place: RunPlace | None = None


def _names_of(first: bytes) -> tuple[str, str]:
    """(thread, run) of a RUN_STARTED, "" for a name that no run can have; ("", "") for any other text."""
    began = started_run(first)
    if began is None:
        return "", ""
    thread, run = (
        name if len(name) <= NAME_MAX and is_text(name) else "" for name in (began.thread_id, began.run_id)
    )
    return thread, run


class RunJudging(Reading):
    """Begins runs, and has their events judged."""

    _recorded: bool | None = None

    def _named(self, wanted: Wanted, first: bytes = b"") -> Named:
        """The names of a run: those wanted, else those of the RUN_STARTED in `first`, else random ones.
        Raises AlgorithmNotOffered, ConfigError; ValueError for names that the members would refuse, before
        anything is owed."""
        thread, run = _names_of(first)
        named = Named(
            wanted.thread or thread or f"anonymous-{secrets.token_hex(8)}",
            wanted.run or run or f"run-{secrets.token_hex(8)}",
            self._chosen(wanted),
            self._recorded,
        )
        check_names(named.thread, named.run)
        return named

    def _chosen(self, wanted: Wanted) -> Algorithm | None:
        """The algorithm that a run is to have. Raises AlgorithmNotOffered, ConfigError."""
        if wanted.algorithm is None or self._config is None:
            return wanted.algorithm or self._algorithm
        return self._agreed(self._config, wanted.algorithm)

    def _agreed(self, config: DistributedValidatorConfig, wanted: Algorithm | None = None) -> Algorithm:
        present = self._gateway.present
        return agreed_algorithm(self._gateway.events, config.consensus_config, present, wanted)

    def _begin(self, named: Named) -> Steps[EventRun]:
        """Begin a run, once an earlier one of its names that ends now has ended."""
        while True:
            try:
                return self._gateway.events.begin(
                    named.thread,
                    named.run,
                    algorithm=named.algorithm,
                    recorded=named.recorded,
                    actor=self._actor,
                    place=named.place,
                )
            except RunIsLive as error:
                if error.ended is None:
                    raise
                ended = error.ended
            yield ended

    def _judge_run(self, named: Named, events: Sequence[bytes], salts: Sequence[bytes] = ()) -> Steps[Judged]:
        """Have a run judged from its place to its end."""
        live = yield from self._begin(named)
        try:
            judged = yield from self._judge_all(live, events, salts)
        finally:
            ending = live.end(wait=self._wait)
        ended: RunEnd = yield ending
        return msgspec.structs.replace(judged, refusal=ended.refusal)

    def _judge_all(
        self, live: EventRun, events: Sequence[bytes], salts: Sequence[bytes] = ()
    ) -> Steps[Judged]:
        """Have the next events of a run judged, as many calls as they need, up to the first without a
        certificate."""

        def salts_of(start: int) -> Sequence[bytes]:
            return salts[start : start + CALL_EVENTS_MAX]

        judged: Judged = yield live.judge(events[:CALL_EVENTS_MAX], salts=salts_of(0), wait=self._wait)
        for start in range(CALL_EVENTS_MAX, len(events), CALL_EVENTS_MAX):
            if not judged.certified:
                return followed(judged, len(events) - start)
            some = events[start : start + CALL_EVENTS_MAX]
            judged = joined(judged, (yield live.judge(some, salts=salts_of(start), wait=self._wait)))
        return judged

    def _guarded(self, judging: Steps[Judged]) -> Steps[Judged]:
        """Judge through the breaker, for which a call without a verdict of the members is a failure. Raises
        BreakerError while it is open."""
        begun = time.monotonic()
        with self._counting:
            permit = self._breaker.begin(begun)
        verdict: Verdict | None = None  # None: no member was asked
        late, allowed = False, 0.0
        try:
            judged = yield from judging
            verdict, late = judged.verdict, judged.partial
            allowed = self._wait * (len(judged.pieces) + 1)  # one more for the run's end
        except (GatewayClosed, TimeoutError) as error:
            verdict, late = Verdict.NONE, isinstance(error, TimeoutError)
            raise
        finally:
            now = time.monotonic()
            with self._counting, suppress(BreakerError):  # too slow counts as a failure; the verdict stands
                if verdict is not None:
                    self._meter.ask(now - begun, verdict, late=late)
                if verdict is Verdict.NONE:
                    self._breaker.fail(permit, now)
                else:
                    self._breaker.succeed(permit, now, allowed)
        return judged
