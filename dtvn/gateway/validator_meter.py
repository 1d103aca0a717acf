"""What a DistributedValidator counts of its calls, and measures of its process (contract 2.8)."""

from __future__ import annotations

import threading
import time

from dtvn.events.judging import Verdict
from dtvn.gateway.face import GatewayFace
from dtvn.gateway.validator_answers import Metrics, ValidationResult
from dtvn.memory import resident_bytes


class Spent:
    """Number of calls, and their time."""

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one call."""
        self.calls += 1
        self.seconds += seconds

    @property
    def mean_ms(self) -> float:
        """0 without a call."""
        return 1_000 * self.seconds / self.calls if self.calls else 0.0


class Meter:
    """Counts since the validator was made."""

    def __init__(self) -> None:
        self.local = Spent()
        """Calls judged by the rules in this process alone; the others are `all`."""
        self.asked = Spent()
        """Calls for which members were asked."""
        self._undecided = self._late = 0
        """Those of them without a verdict, and those whose time ran out."""
        self._all = Spent()
        self._valid = self._invalid = 0
        self._begun, self._processor = time.monotonic(), time.process_time()

    def add(self, result: ValidationResult) -> None:
        """Count the end of a call that was not judged in this process alone."""
        self._all.add(result.duration)
        self._valid += result.is_valid

    def ask(self, seconds: float, verdict: Verdict, *, late: bool) -> None:
        """Count a call for which members were asked. `late`: its time ran out."""
        self.asked.add(seconds)
        self._undecided += verdict is Verdict.NONE
        self._late += late
        self._invalid += verdict is Verdict.INVALID and not late

    def metrics(self, gateway: GatewayFace) -> Metrics:
        """The counts, with what the gateway knows of the members and its links."""
        views, balance, links = gateway.members(), gateway.balance(), gateway.links().values()
        total = self._all.calls
        elapsed = max(time.monotonic() - self._begun, 1e-9)
        reached = [view for view in views if view.connected]
        nodes = [balance.nodes[view.id] for view in reached if view.id in balance.nodes]
        answers = [node.response_time_ms for node in nodes if node.response_time_ms is not None]
        return Metrics(
            total_validations=total,
            error_count=self._invalid,
            timeout_count=self._late,
            error_rate=self._invalid / total if total else 0.0,
            success_rate=self._valid / total if total else 0.0,
            total_duration=self._all.seconds,
            avg_latency_ms=self._all.mean_ms,
            throughput=total / elapsed,
            local_fallbacks=self.local.calls,
            avg_local_validation_latency_ms=self.local.mean_ms,
            owed=0,
            owed_settled=0,
            owed_differences=0,
            consensus_operations=self.asked.calls,
            consensus_failures=self._undecided,
            avg_consensus_time_ms=self.asked.mean_ms,
            current_leader=next((view.id for view in reached if view.primary), ""),
            active_nodes=len(reached),
            average_load=sum(node.current_load for node in nodes) / max(1, len(nodes)),
            messages_sent=sum(link.frames_sent for link in links),
            messages_received=sum(link.frames_received for link in links),
            network_errors=balance.metrics.total_errors,
            avg_network_latency_ms=sum(answers) / len(answers) if answers else 0.0,
            cpu_usage=(time.process_time() - self._processor) / elapsed,
            memory_usage=resident_bytes(),
            thread_count=threading.active_count(),
        )
