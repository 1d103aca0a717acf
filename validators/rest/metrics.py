"""/metrics of the platform: django-prometheus' metrics of this web process, and what the platform knows of
its nodes and its learner.

Only a caller with the scope `admin` may read it, and Prometheus with the key that `make up` keeps for it. It
is rendered at most once in KEPT seconds, by a thread that answers nobody else meanwhile. The nodes' own
metrics are on each node's own port (docs/operate/metrics.md).
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import cast

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from dtvn import __version__
from dtvn.api.answers import failure
from dtvn.api.errors import ApiError
from dtvn.events.judging import Verdict
from dtvn.gateway import Balance, EventFigures, GatewayFace
from dtvn.machine import reasons
from dtvn.watch import NO_CLUSTER
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import lock_holder
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.models import DesiredState, ManagedNode, NodePart, NodeRole, NodeStatus
from validators.network_watch.watch import watch
from validators.rest.errors import UNAUTHORIZED
from validators.rest.http import response_of
from validators.rest.keys import authenticate_key, caller_of_person, key_of
from validators.services import following, network
from validators.web import parts
from validators.web.lane import step_aside

KEPT = 1.0
"""Seconds for which a rendered page answers all readers."""
NEEDED = "This needs the scope 'admin', or the key of DATA/prometheus/key."


@csrf_exempt
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics of the platform."""
    if request.method not in ("GET", "HEAD"):
        wrong = ApiError(405, "method_not_allowed", "Method not allowed.", headers={"Allow": "GET, HEAD"})
        return response_of(failure(wrong, enveloped=False))
    if (refused := _refusal(request)) is not None:
        return response_of(failure(refused, enveloped=False))
    return HttpResponse(page.read(), content_type=CONTENT_TYPE_LATEST)


def _refusal(request: HttpRequest) -> ApiError | None:
    """Why a request may not read the metrics; None with Prometheus's key, and for a caller with `admin`."""
    key = key_of(request)
    if key is not None and _is_prometheus(key):
        return None
    caller = caller_of_person(request) if key is None else authenticate_key(key)
    if caller is None:
        return ApiError(401, "unauthorized", UNAUTHORIZED)
    return None if caller.rights.may("admin", None) else ApiError(403, reasons.NOT_PERMITTED, NEEDED)


def _is_prometheus(key: str) -> bool:
    """Whether a key is the one that `make up` keeps for Prometheus, which opens nothing else."""
    try:
        kept = DataFolder(settings.DATA).metrics_key.read_bytes().strip()
    except OSError:  # a further web process has none
        return False
    return bool(kept) and secrets.compare_digest(kept, key.encode("utf-8", "surrogatepass"))


class _Page:
    """The rendered metrics."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._content, self._at = b"", -math.inf

    def read(self) -> bytes:
        """The page, at most KEPT seconds old."""
        if time.monotonic() - self._at >= KEPT:
            step_aside()
            with self._lock:
                if time.monotonic() - self._at >= KEPT:
                    self._content = generate_latest(REGISTRY) + generate_latest(_registry)
                    self._at = time.monotonic()
        return self._content

    def forget(self) -> None:
        """Render it anew for the next reader."""
        self._at = -math.inf


page = _Page()


class PlatformFigures(Collector):
    """Metrics from the platform's tables, read at each scrape by two short queries."""

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        database = GaugeMetricFamily("dtvn_platform_database_up", "1 if the platform's tables can be read.")
        gateway = network.opened()
        entries = [_build(gateway), *_health(gateway), *_network()]
        if gateway is not None:
            entries += [*_entries(gateway.balance()), *_runs(gateway.events.figures())]
        try:
            nodes = list(ManagedNode.objects.all())
        except DatabaseError:
            database.add_metric((), 0)
            return [database, _up(_holds_lock()), *entries]
        database.add_metric((), 1)
        with suppress(DatabaseError):  # it went this moment: the rest is told all the same
            entries += [metric for part in parts.parts() for metric in part.collect()]
        return [database, *_nodes(nodes), *_learner(nodes), *_follower(), *entries]


def _build(gateway: GatewayFace | None) -> Metric:
    build = GaugeMetricFamily(
        "dtvn_build_info",
        "Always 1; the labels are the release, and the version of the cluster, empty while it is not known.",
        labels=("version", "cluster_version"),
    )
    build.add_metric((__version__, "" if gateway is None else str(gateway.present.version)), 1)
    return build


def _entries(balance: Balance) -> Iterable[Metric]:
    """The members as entry nodes of this process's gateway (contract 2.8, load balancer)."""
    by_node = ("node_id",)
    chosen = CounterMetricFamily(
        "dtvn_platform_entry_chosen", "Times the member was the entry node of a call.", labels=by_node
    )
    asked = CounterMetricFamily(
        "dtvn_platform_entry_questions", "Questions to the member about its status.", labels=by_node
    )
    missed = CounterMetricFamily(
        "dtvn_platform_entry_missed", "Those of them that it left unanswered.", labels=by_node
    )
    time = GaugeMetricFamily(
        "dtvn_platform_entry_response_seconds", "Time of its newest answer.", labels=by_node
    )
    breaker = GaugeMetricFamily(
        "dtvn_platform_breaker_state", "Circuit breaker: 0 closed, 1 open, 2 half-open.", labels=by_node
    )
    for name, node in balance.nodes.items():
        chosen.add_metric((name,), balance.chosen[name])
        asked.add_metric((name,), node.processed_requests)
        missed.add_metric((name,), node.failed_requests)
        if node.response_time_ms is not None:
            time.add_metric((name,), node.response_time_ms / 1_000)
        breaker.add_metric((name,), node.circuit_state)
    return chosen, asked, missed, time, breaker


def _health(gateway: GatewayFace | None) -> Iterable[Metric]:
    """The verdict on the cluster."""
    state = NO_CLUSTER if gateway is None else gateway.agreement()
    yield GaugeMetricFamily(
        "dtvn_platform_log_time_ahead_seconds",
        "How far log time is ahead of this process's clock; 0 within the drift bound.",
        state.log_time_ahead,
    )
    yield GaugeMetricFamily(
        "dtvn_platform_decides", "1 if the cluster decides, as /ready says.", int(state.decides)
    )
    yield GaugeMetricFamily(
        "dtvn_platform_members_agreeing", "Members that vote in one view.", state.agreeing
    )
    yield GaugeMetricFamily(
        "dtvn_platform_members_needed", "Members that must agree to decide.", state.needed
    )
    yield GaugeMetricFamily("dtvn_platform_members", "Members of the cluster.", state.members)
    yield GaugeMetricFamily(
        "dtvn_platform_waiting_seconds", "Seconds for which the oldest request has waited.", state.waits
    )


def _network() -> Iterable[Metric]:
    """Who hears whom, as members of this platform and of others report it to this process."""
    cut = GaugeMetricFamily(
        "dtvn_platform_network_cut",
        "1 if members that run do not hear each other, by their own reports.",
        int(watch.cut is not None and watch.cut.certain),
    )
    cuts = CounterMetricFamily(
        "dtvn_platform_network_cuts", "Times that members that run ceased to hear each other.", watch.cuts
    )
    silent = GaugeMetricFamily(
        "dtvn_platform_link_silent_seconds",
        "Seconds since the hearer last heard the other member; +Inf: never.",
        labels=("hearer", "heard"),
    )
    for pair in watch.hearing.pairs():
        if pair[1] in watch.hearing.ages.get(pair[0], {}):
            last = watch.hearing.last_heard(pair)
            silent.add_metric(pair, math.inf if last is None else watch.hearing.at - last)
    bad = GaugeMetricFamily(
        "dtvn_platform_lines_bad",
        "Lines between members that are slow, or delay or lose messages.",
        len(watch.lines.bad()),
    )
    return cut, cuts, silent, bad


def _runs(figures: EventFigures) -> Iterable[Metric]:
    """What this process's gateway had judged (contract 2.8)."""
    live = GaugeMetricFamily("dtvn_platform_event_runs", "Runs of agent events that are open.", figures.live)
    calls = CounterMetricFamily(
        "dtvn_platform_event_calls", "Requests for verdicts that were answered.", labels=("verdict",)
    )
    events = CounterMetricFamily(
        "dtvn_platform_events", "Events of these requests, by the verdict on them.", labels=("verdict",)
    )
    for verdict in Verdict:
        calls.add_metric((verdict.value,), figures.calls.get(verdict.value, 0))
        events.add_metric((verdict.value,), figures.events.get(verdict.value, 0))
    seconds = SummaryMetricFamily(
        "dtvn_platform_event_seconds",
        "From request to verdict.",
        count_value=sum(figures.calls.values()),
        sum_value=figures.seconds,
    )
    answers = CounterMetricFamily(
        "dtvn_platform_event_answers", "Answers of members about events.", labels=("node_id", "given")
    )
    for name, given in figures.answers.items():
        for kind, count in given.items():
            answers.add_metric((name, kind), count)
    return live, calls, events, seconds, answers


def _nodes(nodes: list[ManagedNode]) -> Iterable[Metric]:
    by_node = ("node_id",)
    wanted = GaugeMetricFamily(
        "dtvn_platform_node_wanted", "1 if the node should run as a member.", labels=by_node
    )
    status = GaugeMetricFamily(
        "dtvn_platform_node_status", "1 for the node's state.", labels=("node_id", "status")
    )
    restarts = CounterMetricFamily(
        "dtvn_platform_node_restarts", "Automatic restarts of the node.", labels=by_node
    )
    age = GaugeMetricFamily(
        "dtvn_platform_node_heartbeat_age_seconds", "Seconds since the node's last report.", labels=by_node
    )
    stopped = [
        node for node in nodes if node.part == NodePart.MEMBER and node.desired == DesiredState.STOPPED
    ]
    stops = GaugeMetricFamily(
        "dtvn_platform_members_stopped",
        "Members of this platform that were stopped on purpose.",
        sum(node.role == NodeRole.VALIDATOR for node in stopped),
    )
    held = _holds_lock()
    up = _up(
        {node.node_id: node.status == NodeStatus.RUNNING and held.get(node.node_id, True) for node in nodes}
    )
    for node in nodes:
        name = (node.node_id,)
        joins = node.part == NodePart.JOINING  # while joining takes; given up after ten minutes
        wanted.add_metric(name, int(node.desired == DesiredState.RUNNING and not joins))
        restarts.add_metric(name, node.restarts)
        for state in NodeStatus.values:
            status.add_metric((node.node_id, state), int(node.status == state))
        if node.heartbeat_at is not None:
            age.add_metric(name, (timezone.now() - node.heartbeat_at).total_seconds())
    return wanted, stops, up, status, restarts, age


def _up(running: dict[str, bool]) -> Metric:
    family = GaugeMetricFamily("dtvn_platform_node_up", "1 if the node runs.", labels=("node_id",))
    for node_id, runs in running.items():
        family.add_metric((node_id,), int(runs))
    return family


def _holds_lock() -> dict[str, bool]:
    """Whether a process runs the node, by the id of each node that ever ran in this data folder: the kernel
    knows it without a database."""
    found: dict[str, bool] = {}
    for path in DataFolder(settings.DATA).node_locks():
        with suppress(OSError):  # not readable here: its row alone tells
            found[path.stem] = lock_holder(path) is not None
    return found


def _learner(nodes: list[ManagedNode]) -> Iterable[Metric]:
    """How far the platform's copy is behind. Nodes report once a second but the copy is read now: the value
    never exceeds the true lag, and is zero while the copy keeps up."""
    sequence = GaugeMetricFamily("dtvn_platform_learner_sequence", "Last sequence of the platform's copy.")
    lag = GaugeMetricFamily(
        "dtvn_platform_learner_lag_sequences", "Sequences that nodes executed and the platform's copy lacks."
    )
    try:
        copied = read.applied_sequence(LEARNER_ALIAS)
    except DatabaseError:
        return sequence, lag  # there is no ledger yet, or its database is away
    sequence.add_metric((), copied)
    said = [cast(int, node.report.get("sequence", 0)) for node in nodes if node.role == NodeRole.VALIDATOR]
    lag.add_metric((), max(0, max(said, default=0) - copied))
    return sequence, lag


def _follower() -> Iterable[Metric]:
    """How old a follower's copy is."""
    age = following.freshness().age if following.is_follower() else 0.0
    return (
        GaugeMetricFamily(
            "dtvn_platform_follower_age_seconds",
            "Seconds since f + 1 members said that their logs were no longer than a follower's copy; +Inf if "
            "they never did, 0 on a platform that is no follower.",
            math.inf if age is None else age,
        ),
    )


_registry = CollectorRegistry(auto_describe=False)
_registry.register(PlatformFigures())
