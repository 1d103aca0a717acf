"""Makes the dashboards: `python deploy/grafana/build.py` writes dashboards/*.json. A test compares them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCE = {"type": "prometheus", "uid": "dtvn-prometheus"}
WIDTH, HEIGHT = 8, 7
"""Of one panel; a row of the grid is 24 wide."""

CLUSTER = 'cluster="$cluster"'
NODE = 'cluster="$cluster",node="$node"'

Query = tuple[str, str]
"""Expression and legend."""


def panel(title: str, *queries: Query, unit: str = "short", kind: str = "timeseries") -> dict[str, Any]:
    return {
        "title": title,
        "type": kind,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": None if unit == "s" else 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
            for number, (expr, legend) in enumerate(queries)
        ],
    }


def variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
    }


def dashboard(
    uid: str, title: str, variables: list[dict[str, Any]], panels: list[dict[str, Any]]
) -> dict[str, Any]:
    for number, one in enumerate(panels):
        row, column = divmod(number, 24 // WIDTH)
        one["id"] = number + 1
        one["gridPos"] = {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT}
    return {
        "uid": uid,
        "title": title,
        "tags": ["dtvn"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "utc",
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "panels": panels,
    }


def quantiles(metric: str, where: str, by: str = "") -> list[Query]:
    group = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    rate = f"sum by ({group}) (rate({metric}_bucket{{{where}}}[1m]))"
    return [(f"histogram_quantile(0.{percent}, {rate})", f"p{percent}{legend}") for percent in (50, 95, 99)]


NETWORK = dashboard(
    "dtvn-network",
    "DTVN: the network",
    [variable("cluster", "label_values(dtvn_members, cluster)")],
    [
        panel(
            "Nodes that vote, and how many are needed",
            (f"sum(dtvn_voting{{{CLUSTER}}})", "vote"),
            (f"max(dtvn_members_needed{{{CLUSTER}}})", "needed"),
            (f"max(dtvn_members{{{CLUSTER}}})", "members"),
        ),
        panel(
            "Ticket operations a second",
            (f"max(rate(consensus_success_total{{{CLUSTER}}}[1m]))", "applied"),
            (f"max(rate(consensus_failure_total{{{CLUSTER}}}[1m]))", "refused"),
            unit="ops",
        ),
        panel(
            "From proposal to durable execution",
            *quantiles("consensus_latency_seconds", CLUSTER),
            unit="s",
        ),
        panel("Tickets by state", (f"max by (state) (ticket_state_count{{{CLUSTER}}})", "{{state}}")),
        panel(
            "Refusals a second",
            (
                f'max by (outcome) (rate(dtvn_operations_total{{{CLUSTER},outcome!="ok"}}[1m]))',
                "{{outcome}}",
            ),
            unit="ops",
        ),
        panel("View of each node", (f"dtvn_view{{{CLUSTER}}}", "{{node}}")),
        panel(
            "View changes in ten minutes",
            (f"max(increase(dtvn_view_changes_attempted_total{{{CLUSTER}}}[10m]))", "attempted"),
            (f"max(increase(dtvn_view_changes_installed_total{{{CLUSTER}}}[10m]))", "installed"),
        ),
        panel("Sequences behind", (f"dtvn_behind{{{CLUSTER}}}", "{{node}}")),
        panel("Sequences that pages lack", (f"dtvn_platform_learner_lag_sequences{{{CLUSTER}}}", "learner")),
        panel("Operations waiting", (f"dtvn_waiting_operations{{{CLUSTER}}}", "{{node}}")),
        panel(
            "Clock minus the primary's",
            (f"dtvn_clock_offset_seconds{{{CLUSTER}}}", "{{node}} - {{peer}}"),
            unit="s",
        ),
        panel(
            "Evidence and mutes",
            (f"max(dtvn_evidence_total{{{CLUSTER}}})", "evidence"),
            (f"sum(dtvn_mutes_total{{{CLUSTER}}})", "mutes"),
        ),
        panel("Free disk", (f"dtvn_disk_free_bytes{{{CLUSTER}}}", "{{node}}"), unit="bytes"),
        panel(
            "Disk full in",
            (f"dtvn_disk_full_in_seconds{{{CLUSTER}}} < +Inf", "{{node}}"),
            unit="dtdurations",
        ),
        panel(
            "Answers of the platform a second",
            (
                f"sum by (status) (rate(django_http_responses_total_by_status_total{{{CLUSTER}}}[1m]))",
                "{{status}}",
            ),
            unit="reqps",
        ),
    ],
)


NODE_BOARD = dashboard(
    "dtvn-node",
    "DTVN: one node",
    [
        variable("cluster", "label_values(dtvn_members, cluster)"),
        variable("node", 'label_values(dtvn_view{cluster="$cluster"}, node)'),
    ],
    [
        panel(
            "Is it well?",
            (f"dtvn_voting{{{NODE}}}", "votes"),
            (f"dtvn_is_primary{{{NODE}}}", "leads"),
            (f"dtvn_changing_view{{{NODE}}}", "changes view"),
            (f"dtvn_disk_full{{{NODE}}}", "disk full"),
            (f"dtvn_awaited_members{{{NODE}}}", "members awaited"),
            (f"dtvn_others_are_gone{{{NODE}}}", "operator's word"),
        ),
        panel(
            "Sequences",
            (f"dtvn_sequence{{{NODE}}}", "executed"),
            (f"dtvn_stable_sequence{{{NODE}}}", "stable"),
        ),
        panel(
            "Above the stable checkpoint",
            (f"dtvn_checkpoint_lag{{{NODE}}}", "executed"),
            (f"dtvn_open_sequences{{{NODE}}}", "in memory"),
        ),
        panel("Phases", *quantiles("dtvn_phase_seconds", NODE, "phase"), unit="s"),
        panel("Batch size", *quantiles("dtvn_batch_operations", NODE)),
        panel("Storage", *quantiles("storage_latency_seconds", NODE, "operation"), unit="s"),
        panel(
            "Storage operations a second",
            (f"rate(storage_operations_total{{{NODE}}}[1m])", "{{operation}}"),
            unit="ops",
        ),
        panel("Frames in queues", (f"dtvn_queue_frames{{{NODE}}}", "{{direction}}")),
        panel(
            "Messages a second",
            (f"sum by (kind) (rate(dtvn_messages_total{{{NODE}}}[1m]))", "{{kind}}"),
            unit="ops",
        ),
        panel(
            "Frames a second",
            (f"rate(network_messages_sent_total{{{NODE}}}[1m])", "sent"),
            (f"rate(network_messages_received_total{{{NODE}}}[1m])", "received"),
            unit="ops",
        ),
        panel(
            "Bytes sent a second",
            (f"rate(network_bytes_transmitted_total{{{NODE}}}[1m])", "sent"),
            unit="Bps",
        ),
        panel(
            "Status and repair messages a second",
            (f"rate(gossip_messages_sent_total{{{NODE}}}[1m])", "sent"),
            (f"rate(gossip_messages_received_total{{{NODE}}}[1m])", "received"),
            unit="ops",
        ),
        panel(
            "Signatures a second",
            (f"rate(dtvn_signatures_verified_total{{{NODE}}}[1m])", "checked"),
            (f"rate(gossip_cache_hits_total{{{NODE}}}[1m])", "remembered"),
            unit="ops",
        ),
        panel(
            "Refused messages a second",
            (f"sum by (peer, reason) (rate(dtvn_refused_total{{{NODE}}}[1m]))", "{{peer}} {{reason}}"),
            unit="ops",
        ),
        panel(
            "Frames dropped a second",
            (f"rate(dtvn_dropped_frames_total{{{NODE}}}[1m])", "{{peer}} {{direction}}"),
            unit="ops",
        ),
        panel(
            "Requests to its own API",
            (f"sum(rate(api_requests_total{{{NODE}}}[1m]))", "a second"),
            (f"increase(dtvn_api_unforeseen_errors_total{{{NODE}}}[10m])", "failed in ten minutes"),
        ),
        panel("Live links", (f"dtvn_peer_connected{{{NODE}}}", "{{peer}}")),
        panel("Time until it suspects", (f"dtvn_view_timeout_seconds{{{NODE}}}", "T"), unit="s"),
        panel(
            "Processor and memory",
            (f"rate(process_cpu_seconds_total{{{NODE}}}[1m])", "cores"),
            (f"process_resident_memory_bytes{{{NODE}}} / 1e9", "GB"),
        ),
    ],
)


DASHBOARDS = {"network.json": NETWORK, "node.json": NODE_BOARD}


def text(name: str) -> str:
    """A dashboard's file."""
    return json.dumps(DASHBOARDS[name], indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in DASHBOARDS:
        (HERE / "dashboards" / name).write_text(text(name), encoding="utf-8")
