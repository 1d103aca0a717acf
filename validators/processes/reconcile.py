"""Brings each node to its desired state: compares it with the actual state, starts, kills, reports.

Runs in the process that `make up` keeps in the foreground, so that it outlives the workers that it repairs.
All decisions are in `node_controller`; this module observes and acts.
"""

import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterable

from django.db.models import F
from kombu.exceptions import OperationalError

from dtvn.node.run import EXIT_FENCED, EXIT_UNREACHABLE
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import heartbeat, lock_holder
from validators.membership import ALIVE
from validators.models import ManagedNode, NodePart, NodeRole, NodeStatus
from validators.processes.api_probes import ApiProbes
from validators.processes.node_controller import Action, Decision, NodeController, Observation, is_unwanted
from validators.services.announcing import announce

logger = logging.getLogger("dtvn.reconcile")

SendStart = Callable[[ManagedNode, str], None]
"""Sends a worker the request to run a node: (row, start token). Raises OperationalError if the broker takes
none."""
SETTLED = frozenset({NodeStatus.RUNNING, NodeStatus.STOPPED})
"""Statuses that only an event changes."""
SEND_PAUSE = 1.0
"""Seconds without another start request after one that the broker did not take."""


class Reconciler:
    """Compares processes with desired states, one turn at a time."""

    def __init__(
        self,
        folder: DataFolder,
        send_start: SendStart,
        probes: ApiProbes | None = None,
        *,
        ending: Callable[[], bool] = lambda: False,
    ) -> None:
        """`ending`: whether the platform ends, and its processes with it."""
        self._folder = folder
        self._send_start = send_start
        self._probes = probes
        self._ending = ending
        self._controllers: dict[str, NodeController] = {}
        self._broker_away = ""
        """Why the broker took no start request the last time; empty if it did."""
        self._send_not_before = 0.0

    @property
    def names(self) -> list[str]:
        """Names of the nodes, as of the last turn."""
        return list(self._controllers)

    def turn(self) -> bool:
        """Check every node once and act; False if time or what was done now needs another turn soon."""
        rows = list(ManagedNode.objects.all())
        settled = True
        for row in rows:
            controller = self._controllers.setdefault(row.node_id, NodeController(row.generation))
            seen = observe(row, self._folder, self._probes)
            if self._ending():  # read after the look: a process that was gone may have ended in order
                return False
            decision = controller.step(seen, time.monotonic())
            settled &= decision.status == row.status and decision.status in SETTLED
            self._act(row, seen, decision, controller)
        if self._probes is not None:
            validators = (row for row in rows if row.role == NodeRole.VALIDATOR)
            self._probes.watch({row.node_id: row.claimed_token for row in validators if row.pid is not None})
        known = {row.node_id for row in rows}
        self._controllers = {node_id: each for node_id, each in self._controllers.items() if node_id in known}
        return settled

    def worker_lost(self, node_ids: Iterable[str]) -> None:
        """The worker that these nodes run in has ended."""
        for node_id in node_ids:
            if controller := self._controllers.get(node_id):
                controller.worker_lost()

    def _act(
        self, row: ManagedNode, seen: Observation, decision: Decision, controller: NodeController
    ) -> None:
        changes: dict[str, object] = {}
        if (row.status, row.error) != (decision.status, decision.error):
            changes = {"status": decision.status, "error": decision.error}
            if row.status != decision.status:
                log_transition(row, decision)
        if seen.holder is None and row.pid is not None:
            changes["pid"] = None
        if decision.action is Action.KILL and seen.holder is not None:
            os.kill(seen.holder, signal.SIGKILL)
        token = secrets.token_hex(16)
        if decision.action is Action.START:
            changes |= {
                "start_token": token,
                "exit_reason": "",
                "heartbeat_at": None,
                "report": {},
            }
            if decision.counts_as_restart:
                changes["restarts"] = F("restarts") + 1
        try:
            if changes:
                ManagedNode.objects.filter(node_id=row.node_id).update(**changes)
            shown = row.role == NodeRole.VALIDATOR
            if shown and row.status in ALIVE and seen.holder is None and is_unwanted(seen):
                # It stopped as desired between two turns: announce that it was stopping all the same (0106).
                announce(node_id=row.node_id, status=NodeStatus.STOPPING)
            told = row.status == NodeStatus.ERROR
            if decision.counts_as_restart and shown and not told:
                # It ended on its own: announced as the error that it was, although it restarts at once (X31).
                announce(node_id=row.node_id, status=NodeStatus.ERROR, error=decision.error)
            news = row.status != decision.status or (decision.error and not row.error)
            if news and shown:
                announce(node_id=row.node_id, status=decision.status, error=decision.error)
            if decision.action is Action.START and not self._send(row, token):
                controller.request_lost(self._broker_away)
        except Exception:
            if decision.action is Action.START:
                controller.request_lost()
            raise

    def _send(self, row: ManagedNode, token: str) -> bool:
        """Whether the broker took the start request. An outage of the broker is one log line, and so is its
        end."""
        if time.monotonic() < self._send_not_before:
            return False
        try:
            self._send_start(row, token)
        except OperationalError as error:
            self._send_not_before = time.monotonic() + SEND_PAUSE
            if not self._broker_away:
                logger.warning("the broker takes no start request: %s; sent again until it does", error)
                self._broker_away = f"the broker takes no start request: {error}"
            return False
        if self._broker_away:
            logger.warning("the broker takes start requests again")
        self._broker_away = ""
        return True


def observe(row: ManagedNode, folder: DataFolder, probes: ApiProbes | None = None) -> Observation:
    """Observe a node. Its row was read before: a process that the row shows as claimed can only have ended
    since."""
    slot = folder.node_lock(row.node_id)
    claimed = bool(row.start_token) and row.claimed_token == row.start_token
    if (holder := lock_holder(slot)) is None and claimed:
        # It may have ended since its row was read: it gives its reason before it leaves the lock.
        row.refresh_from_db(fields=["exit_reason", "report"])
    return Observation(
        desired=row.desired,
        generation=row.generation,
        running_generation=row.running_generation,
        claimed=claimed,
        holder=holder,
        heartbeat=heartbeat(slot),
        turning=bool(row.report) and _answers(row, probes),
        exit_reason=row.exit_reason,
        trouble=str(row.report.get("api_error") or ""),
        blocked=row.report.get("exit_code") in (EXIT_FENCED, EXIT_UNREACHABLE),
    )


def _answers(row: ManagedNode, probes: ApiProbes | None) -> bool:
    """A validator counts as running once its own API answers; no other process has an API. A
    newcomer counts as starting until it is a member: a node shown as running may be asked to decide
    something."""
    if row.part == NodePart.JOINING:
        return False
    return probes is None or row.role != NodeRole.VALIDATOR or probes.answers(row.node_id)


def log_transition(row: ManagedNode, decision: Decision) -> None:
    level = logging.INFO
    if decision.status in {NodeStatus.ERROR, NodeStatus.UNRESPONSIVE} or decision.error:
        level = logging.WARNING
    reason = f" ({decision.error})" if decision.error else ""
    logger.log(level, "%s is %s%s", row.node_id, decision.status, reason)
