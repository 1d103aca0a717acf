"""The one foreground process of a network: `make up`.

Main thread: signals, children, the end. A second thread runs reconcile, a third waits until the
cluster commits and then writes the credentials, whose appearance is the ready signal.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from django.db import DatabaseError, close_old_connections, connections

from dtvn.node.following import following_in
from dtvn.node.json_lines import JsonLines
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from dtvn.protocol.quorum import Mode
from dtvn.waiting import look_until, saying
from validators.data_folder import environment, tcp_ports
from validators.data_folder.celery import send_task
from validators.data_folder.folder import DataFolder, write_private_json
from validators.data_folder.locks import RecordLock, heartbeat, lock_holder
from validators.database_url import first_line
from validators.membership import run_changes
from validators.models import ManagedNode, NodeRole
from validators.processes import preparation, readiness, servers
from validators.processes.api_probes import ApiProbes
from validators.processes.attention import Attention
from validators.processes.children import Child
from validators.processes.cluster_controller import ClusterController
from validators.processes.founding import finish_putting_aside, found_cluster
from validators.processes.health_check import HealthCheck, WebProbe
from validators.processes.node_controller import KILL_SILENT_AFTER
from validators.processes.orphans import reap
from validators.processes.output import JsonOutput, Output, refuse
from validators.processes.platform_lease import PlatformLease
from validators.processes.reconcile import Reconciler
from validators.processes.task_names import FOLLOW_CLUSTER, RUN_VALIDATOR
from validators.processes.waking import Alarm, Bell, signal_at_writes
from validators.processes.worker import GRACE as WORKER_GRACE
from validators.processes.worker import NODES
from validators.services import platform
from validators.services.cluster import reset_cluster

logger = logging.getLogger("dtvn.up")

LOOK_INTERVAL = 1.0
"""Seconds between two checks of the children, unless one ends or is to be restarted."""
UNNOTED_INTERVAL = 0.2
"""The same where the system does not tell of written files, to look for these."""
STOP_GRACE = 8.0
"""Seconds for an orderly end; then all remaining processes are killed. A second Ctrl-C shortens it."""
STOP_GRACE_HURRIED = 2.0
END_WITHIN = 10.0
"""Seconds for the whole shutdown, including our own threads: 12 are promised (X29)."""
LEFTOVER_PATIENCE = WORKER_GRACE + 4.0
"""Seconds for the processes of a killed `up` to end on their own, before we end them."""
SPARE_SLOTS = 2
"""A killed pool child keeps its slot for about 10 s until Celery notices."""
FURTHER_SLOTS = 4
"""Minimum number of slots in a worker that is started because nodes joined: each worker costs memory."""
DEFAULT_SLOTS = 4
"""Slots for the learner, a simulation, and two background tasks."""
NAME_WIDTH = len("background")
NODES_WORKER, DEFAULT_WORKER, WEB = NODES, "background", "web"


class Supervisor:
    """One run of `make up` over one data folder."""

    TRIED = "/api/v1/nodes"
    """Path of the API that the operator is told to try."""

    def __init__(
        self, folder: DataFolder, *, host: str, port: int, nodes: int | None, consensus: Mode | None = None
    ) -> None:
        """`nodes`, `consensus`: of the cluster to found, None: as usual, or as the one that is there."""
        self._folder = folder
        self._host = host
        self._port = port
        self._nodes = nodes
        self._consensus = consensus
        json = environment.log_format() == "json"
        self._output = JsonOutput(sys.stdout) if json else Output(NAME_WIDTH, sys.stdout)
        self._stop = threading.Event()
        self._signals = 0
        self._alarm = Alarm()
        self._lease = PlatformLease(folder)
        self._children: list[Child] = []
        self._accounts: dict[str, Any] = {}
        self._url = public_url(host, port)
        self._news, self._requests = Bell(), Bell()
        """Rung when there may be something to do for reconcile, and for the thread that changes members."""
        self._probes = ApiProbes(folder, changed=self._news.ring)
        self._reconciler = Reconciler(folder, send_start, self._probes, ending=self._stop.is_set)
        self._attention = Attention(folder, self._probes.answers)
        self._cluster = ClusterController(
            folder, lambda names: found_cluster(folder, names, self._url.removeprefix("http://"), consensus)
        )
        self._slots = 0
        """Total number of slots in all workers for nodes."""
        self._probe = WebProbe(self._url)

    def answer(self, command: str) -> int:
        """The exit code of a command that runs the network: one clear line instead of a traceback."""
        try:
            return self.run()
        except StartError as error:
            refuse(command, str(error))
            return 1

    def run(self) -> int:
        """Prepare, start, watch, end. Returns the exit code; raises StartError before any child has run, or
        after another run has replaced this one."""
        log_through(self._output)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._check_settings()
        self._folder.create()
        lock = RecordLock(self._folder.lock_file)
        if not lock.take():
            holder = lock_holder(self._folder.lock_file)
            raise StartError(f"a network is already running on {self._folder.root} (process {holder})")
        self._folder.credentials.unlink(missing_ok=True)
        end_leftovers(self._folder)
        self._check_servers()
        self._lease.take()
        try:
            self._run_network()
        finally:
            self._lease.release()
        if self._lease.lost:
            raise StartError(self._lease.lost)
        return 0

    def _check_settings(self) -> None:
        """First of all: a start that is refused for its configuration leaves no new folder."""
        if following_in(self._folder.root) is not None:
            raise StartError(f"{self._folder.root} holds a follower: manage.py follow runs it")
        preparation.check_events_config(self._folder, self._nodes, self._consensus)

    def _check_servers(self) -> None:
        servers.check_servers(alone=self._folder)

    def _run_network(self) -> None:
        listener = tcp_ports.listen(self._host, self._port)
        finish_putting_aside(self._folder)
        self._make_children(listener.fileno(), self._prepare())
        threads = self._threads()
        try:
            self._supervise(threads)
        finally:
            self._end(threads)
            listener.close()

    def _threads(self) -> list[threading.Thread]:
        """Daemon threads: one that hangs does not delay the end. An abrupt end is safe: the work of each
        survives a kill -9."""
        return [
            threading.Thread(target=self._reconcile, name="reconcile", daemon=True),
            threading.Thread(target=self._probes.run, args=(self._stop,), name="apis", daemon=True),
            threading.Thread(target=run_changes, args=(self._stopped,), name="members", daemon=True),
            threading.Thread(target=self._announce_when_ready, name="ready", daemon=True),
        ]

    def _prepare(self) -> int:
        """What all processes need. Returns the number of own members."""
        founded, remark = preparation.ensure_cluster(self._folder, self._nodes, self._consensus)
        # Only now: in a folder that is refused, a new key would stand in the place of a backup's.
        environment.ensure_secret_key(self._folder.root)
        self._folder.clear_celery()
        if remark:
            self._output.say("up", remark)
        with saying("the tables of the platform's database", say=logger.info):
            preparation.migrate()
        preparation.keep_fingerprint(self._folder)
        own = preparation.own_members(self._folder, founded)
        own = preparation.register_cluster(self._folder, founded, own)
        tcp_ports.check_node_ports(founded, own, ClusterFolder(self._folder.root))
        tcp_ports.keep_metrics_ports(self._folder, founded, own, self._url.removeprefix("http://"))
        tcp_ports.keep_apis(self._folder, founded, own)
        reset_cluster()
        connections.close_all()
        return len(own)

    def _prepare_web(self) -> None:
        preparation.collect_static(self._folder)
        self._accounts = preparation.ensure_accounts(self._folder)
        connections.close_all()

    def _make_children(self, listening: int, members: int) -> None:
        self._slots = members + SPARE_SLOTS
        self._children = [
            self._worker(NODES_WORKER, [platform.NODES], self._slots, NodeRole.VALIDATOR),
            self._worker(
                DEFAULT_WORKER, [platform.DEFAULT, platform.SIMULATIONS], DEFAULT_SLOTS, NodeRole.LEARNER
            ),
            self._web(listening),
        ]

    def _web(self, listening: int) -> Child:
        return Child(
            WEB,
            ["validators.processes.web", str(listening)],
            self._output,
            descriptors=[listening],
            health=HealthCheck(kill_after=KILL_SILENT_AFTER),
            beat=lambda: self._probe.answers,
        )

    def _worker(self, name: str, purposes: Sequence[str], slots: int, role: str) -> Child:
        slot = self._folder.slot_lock(name)
        queues = ",".join(platform.queue_name(self._lease.platform_id, purpose) for purpose in purposes)
        return Child(
            name,
            ["validators.processes.worker", name, queues, str(slots)],
            self._output,
            ended=lambda: self._worker_lost(role),
            health=HealthCheck(kill_after=KILL_SILENT_AFTER),
            beat=lambda: heartbeat(slot),
        )

    def _supervise(self, threads: Sequence[threading.Thread]) -> None:
        if self._signals:
            return
        self._output.say("up", f"starting on {self._folder.root}")
        for child in self._children:
            if child.name == WEB:  # while the workers import
                self._prepare_web()
            child.start()
        for thread in threads:
            thread.start()
        # Its end is not waited for: it may be blocked waiting for an answer that will never come.
        threading.Thread(target=self._probe.run, args=(self._stop,), name="probe", daemon=True).start()
        noted = signal_at_writes(self._folder.desired_changes.parent)
        while not self._signals and not self._lease.lost:
            self._make_room()
            for child in self._children:
                child.keep_alive()
            self._reap_orphans()
            most = LOOK_INTERVAL if noted else UNNOTED_INTERVAL
            if self._alarm.wait(min(child.rest(most) for child in self._children)) or not noted:
                self._news.ring()
                self._requests.ring()

    def _reap_orphans(self) -> None:
        """As process 1 (in a container), `up` inherits the children of its children that end."""
        reap(own=[child.process_id for child in self._children])

    @property
    def _lacking_slots(self) -> int:
        return self._cluster.validators + SPARE_SLOTS - self._slots

    def _make_room(self) -> None:
        """Adds a worker when there are more nodes than slots; the next check starts it."""
        if self._lacking_slots > 0:
            more = max(self._lacking_slots, FURTHER_SLOTS)
            self._slots += more
            name = f"{NODES_WORKER}{self._slots}"
            self._children.append(self._worker(name, [platform.NODES], more, NodeRole.VALIDATOR))

    def _worker_lost(self, role: str) -> None:
        try:
            names = list(ManagedNode.objects.filter(role=role).values_list("node_id", flat=True))
        except DatabaseError as error:
            logger.warning("cannot read which nodes the worker was running: %s", first_line(error))
            return
        finally:
            close_old_connections()  # this thread needs it rarely: the server may have restarted by then
        self._reconciler.worker_lost(names)

    def _reconcile(self) -> None:
        """Never gives up: nodes keep running during a database outage, which ends sometime."""
        complained = ""
        while not self._stop.is_set():
            try:
                if self._attention.is_due(self._reconciler.names, time.monotonic()):
                    self._cluster.turn()
                    if self._lacking_slots > 0:
                        self._alarm.ring()
                    self._attention.settled = self._reconciler.turn() and not self._cluster.starting
                    if complained:
                        logger.warning("reconcile: goes on")
                    complained = ""
            except Exception as error:  # noqa: BLE001 - logged, and tried again
                close_old_connections()  # the next turn needs a new one: a lost connection stays lost
                if (reason := first_line(error)) != complained:
                    logger.warning("reconcile: %s: %s", type(error).__name__, reason)
                complained = reason
            self._news.wait(self._attention.rest(), self._attention.processes)

    def _stopped(self, seconds: float) -> bool:
        self._requests.wait(seconds)
        return self._stop.is_set()

    def _announce_when_ready(self) -> None:
        if not self._wait_until_ready() or self._stop.is_set():
            return
        write_private_json(self._folder.credentials, {"url": self._url, **self._accounts})
        for line in greeting(self._url, self._host, self._folder, self.TRIED):
            self._output.say("up", line)

    def _wait_until_ready(self) -> bool:
        """True when the network is ready for users, False when told to stop before."""
        return readiness.wait(self._url, self._stop, lambda text: self._output.say("up", text))

    def _end(self, threads: Sequence[threading.Thread]) -> None:
        self._stop.set()
        for wake in (self._news.ring, self._requests.ring, self._probes.wake):
            wake()
        self._output.say("up", "stopping")
        self._folder.end_credentials()
        for child in self._children:
            child.terminate()
        since = time.monotonic()
        while any(child.lives() for child in self._children):
            grace = STOP_GRACE if self._signals < 2 else STOP_GRACE_HURRIED
            if time.monotonic() - since > grace:
                break
            self._reap_orphans()
            self._alarm.wait(0.05)
        for child in self._children:
            child.kill()
        for thread in threads:
            if thread.ident is not None:
                thread.join(timeout=max(0.0, since + END_WITHIN - time.monotonic()))
        # Again: the cluster may have become ready while the end began.
        self._folder.end_credentials()
        for holder in holders(self._folder).values():
            end_process(holder)
        self._output.say("up", "stopped")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Counts the signal and does no more: a handler that sets an Event deadlocks when it interrupts a
        wait on that Event."""
        self._signals += 1


class OutputHandler(logging.Handler):
    """Prints our own log lines with a prefix, like the children's."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.say("up", self.format(record))


def log_through(output: Output) -> None:
    handler = OutputHandler(output)
    handler.setFormatter(JsonLines() if isinstance(output, JsonOutput) else logging.Formatter("%(message)s"))
    logging.getLogger().handlers[:] = [handler]


def send_start(node: ManagedNode, token: str) -> None:
    """Ask a worker to run this node; raise OperationalError if the broker does not take the request."""
    voting = node.role == NodeRole.VALIDATOR
    task, purpose = (RUN_VALIDATOR, platform.NODES) if voting else (FOLLOW_CLUSTER, platform.DEFAULT)
    send_task(task, (node.node_id, token), queue=platform.own_queue(purpose))


def public_url(host: str, port: int) -> str:
    """The URL under which a program on this machine reaches the platform."""
    if host in environment.WILDCARD_HOSTS:
        host = tcp_ports.LOOPBACK
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def greeting(url: str, host: str, folder: DataFolder, tried: str) -> list[str]:
    lines = [
        f"ready: {url}",
        f"user name, password and API key: {folder.credentials}",
        f"try: curl -H \"X-API-Key: $(python3 -c 'import json; "
        f'print(json.load(open("{folder.credentials}"))["api_key"])\')" {url}{tried}',
    ]
    if host not in {"127.0.0.1", "localhost", "::1"}:
        lines.append(
            f"HOST={host}: anyone who can reach this machine can reach the pages, the API and the admin"
        )
    return lines


def holders(folder: DataFolder) -> dict[str, int]:
    """Processes of this network other than `up`: name -> process id. A node's name is nodes/<id>; nodes left
    running by an earlier version hold a lock beside those of the platform's own processes."""
    found = {
        str(path.relative_to(folder.slots).with_suffix("")): lock_holder(path)
        for path in folder.slots.rglob("*.lock")
    }
    return {name: pid for name, pid in found.items() if pid is not None}


def end_leftovers(folder: DataFolder) -> None:
    """Wait for the processes of an `up` that was killed; kill those that do not end on their own."""
    patience = LEFTOVER_PATIENCE
    with saying(f"processes of an earlier network on {folder.root} to end", say=logger.info):
        while not look_until(lambda: not holders(folder), patience, pause=0.1):
            for pid in holders(folder).values():
                end_process(pid)
            patience = 0.1


def end_process(pid: int) -> None:
    """Kill a process (SIGKILL), unless it has ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def run(folder: DataFolder, *, host: str, port: int, nodes: int | None, consensus: Mode | None = None) -> int:
    """Entry point of the command."""
    return Supervisor(folder, host=host, port=port, nodes=nodes, consensus=consensus).answer("make up")
