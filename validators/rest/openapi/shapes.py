"""Schemas and queries that neither the URL conf nor a Struct below this app defines: answers, and the body of
the simulator, whose Struct stands in an app above (tests/api/test_openapi.py compares the two)."""

from __future__ import annotations

from typing import Any

from dtvn.api.calls import SEQUENCE_MAX
from dtvn.api.queries import LIST_MAX, POSITION, STATES
from dtvn.machine.bodies import PRINTABLE
from dtvn.machine.fields import LOCK_NAME_LENGTH_MAX, NONCE_BYTES_MAX, TICKET_NAME
from dtvn.machine.kinds import KINDS
from dtvn.protocol.genesis import EVENT_NAME, PRINCIPAL_NAME
from dtvn.protocol.quorum import Mode
from validators.services.node_logs import LINES_MAX

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}


def shape(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object with these members."""
    return {"type": "object", "required": list(required), "properties": required | optional}


def many(items: Schema) -> Schema:
    """An array."""
    return {"type": "array", "items": items}


def whole(least: int, most: int, default: int) -> Schema:
    """An integer within limits."""
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


def reference(name: str) -> Schema:
    """A reference to the schema of this name among the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def success(data: Schema | None = None) -> Schema:
    """The envelope of the validator's routes."""
    required: dict[str, Schema] = {"success": {"const": True}}
    if data is not None:
        required["data"] = data
    return shape(required, message=STRING)


COUNTS_OF_STATE = (
    "members",
    "needed",
    "reachable",
    "voting",
    "current",
    "agreeing",
    "can_lose",
    "liars_tolerated",
    "certified",
    "view",
)
COUNTS = {"type": "object", "additionalProperties": INTEGER}
SIMULATION: Schema = {
    "nodes": whole(4, 30, 7),
    "byzantine_nodes": whole(0, 9, 2) | {"description": "at most (nodes - 1) // 3"},
    "tickets": whole(1, 1_000, 100),
    "duration_seconds": whole(10, 600, 60),
    "latency_ms": whole(0, 1_000, 50),
    "packet_loss_rate": {"type": "number", "minimum": 0, "maximum": 0.5, "default": 0.01},
    "enable_partitions": BOOLEAN | {"default": False},
    "seed": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1, "default": 1},
    "adversary": STRING | {"maxLength": 64, "default": "", "description": "a known name, or none"},
    "crash_rate": {"type": "number", "minimum": 0, "maximum": 10, "default": 0},
}
PROGRESS = ("current_ticket", "total_tickets", "consensus_rounds", "successful_rounds", "failed_rounds")
RESULTS = (
    "total_tickets",
    "validated_tickets",
    "consensus_rounds",
    "successful_rounds",
    "failed_rounds",
    "messages_sent",
    "messages_received",
    "partition_events",
)

SCHEMAS: dict[str, Schema] = {
    "Error": shape({"error": STRING}, success={"const": False}, code=STRING),
    "Ticket": shape(
        {
            "ID": STRING,
            "State": {"enum": ["ISSUED", "PENDING", "VALIDATED", "CONSUMED", "DISPUTED"]},
            "Data": or_null(STRING | {"contentEncoding": "base64"}),
            "ValidatorID": STRING,
            "Timestamp": INTEGER,
            "VectorClock": COUNTS,
            "Metadata": {"type": "object", "additionalProperties": STRING},
        },
        Upheld={"const": True},
        product=STRING,
        seat=STRING,
        valid_from=or_null(STRING | {"format": "date-time"}),
        valid_until=or_null(STRING | {"format": "date-time"}),
        blocked=BOOLEAN,
        block_reason=STRING,
        codes=shape({"valid": INTEGER, "revoked": INTEGER}),
        last_entry=or_null(reference("Entry")),
        entries=INTEGER,
        lists=many(shape({"list": STRING, "entries": INTEGER, "exits": INTEGER})),
        movements=many(
            shape(
                {
                    "list": STRING,
                    "kind": {"enum": ["entry", "exit", "annul"]},
                    "at": or_null(STRING | {"format": "date-time"}),
                    "gate": STRING,
                    "device": STRING,
                    "forced": BOOLEAN,
                    "stands": BOOLEAN,
                }
            )
        ),
    ),
    "ConsensusRecord": shape(
        dict.fromkeys(("sequence", "view", "timestamp", "index"), INTEGER)
        | dict.fromkeys(("request_id", "ticket_id", "operation", "digest", "node_id", "code"), STRING),
        verdict={"enum": ["clear", "uphold"]},
    ),
    "Stats": shape(
        {
            "node_id": STRING,
            "peer_count": INTEGER,
            "is_primary": BOOLEAN,
            "current_view": INTEGER,
            "sequence": INTEGER,
        },
        cache_size=INTEGER,
        storage_stats=OBJECT,
        mode=STRING,
        nodes_count=INTEGER,
    ),
    "Node": shape(
        {
            "id": STRING,
            "port": INTEGER,
            "api_port": INTEGER,
            "status": {"enum": ["stopped", "starting", "running", "stopping", "error", "unresponsive"]},
            "is_primary": BOOLEAN,
            "is_bootstrap": BOOLEAN,
            "started_at": or_null(STRING | {"format": "date-time"}),
            "pid": or_null(INTEGER),
            "host": STRING,
            "sequence": INTEGER,
            "view": INTEGER,
            "external": BOOLEAN,
        },
        peer_id=STRING,
        joining={"enum": ["waiting", "following", "ordering"]},
        log_time_ahead=NUMBER,
        log_time_behind=NUMBER,
        own_clock_doubtful=NUMBER,
        withheld_ahead=NUMBER,
        error=STRING,
    ),
    "NodeWish": shape(
        {"status": {"enum": ["starting", "stopping", "restarting"]}, "node_id": STRING}, warning=STRING
    ),
    "Progress": shape(
        {
            "verb": {"enum": ["starting", "stopping"]},
            "done": INTEGER,
            "total": INTEGER,
            "whole": BOOLEAN,
            "text": STRING,
        },
        waits=STRING,
    ),
    "ClusterState": shape(
        {
            "sentence": STRING,
            "level": {"enum": ["ok", "tight", "stuck", "none"]},
            "consensus": {"enum": ["", *(each.value for each in Mode)]},
        }
        | dict.fromkeys(COUNTS_OF_STATE, INTEGER)
        | {
            "log_time_ahead": NUMBER,
            "log_time_behind": NUMBER,
            "changing": BOOLEAN,
            "decides": BOOLEAN,
            "waits": NUMBER,
            "reasons": many(STRING),
            "groups": many(many(STRING)),
            "agreeing_members": many(STRING),
            "stopped": many(STRING),
            "under_way": or_null(reference("Progress")),
            "cut": STRING,
            "error": STRING,
        },
    ),
    "SimulatorConfig": {"type": "object", "properties": SIMULATION},
    "SimulatorProgress": shape(dict.fromkeys(PROGRESS, INTEGER) | {"progress_percent": NUMBER}),
    "SimulatorResults": shape(
        dict.fromkeys(RESULTS, INTEGER) | {"success_rate": NUMBER, "average_latency_ms": NUMBER}
    ),
    "SimulatorRun": shape(
        {
            "id": INTEGER,
            "status": {"enum": ["running", "complete", "error", "stopped"]},
            "config": reference("SimulatorConfig"),
            "created_at": STRING | {"format": "date-time"},
            "finished_at": or_null(STRING | {"format": "date-time"}),
            "progress": or_null(reference("SimulatorProgress")),
            "results": or_null(reference("SimulatorResults")),
            "details": OBJECT,
            "error": STRING,
            "trace": BOOLEAN,
        },
        output=many(STRING),
    ),
}

_TICKETS = "/api/v1/tickets"
_NODE = "/api/v1/nodes/{node_id}"
_SIMULATOR = "/api/v1/simulator"


BODIES: dict[tuple[str, str], Schema] = {
    ("POST", f"{_SIMULATOR}/start"): {
        "type": "object",
        "properties": SIMULATION | {"trace": BOOLEAN},
    },
}
"""Request bodies by method and path that no handler takes as a Struct; other writes take no body."""

EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    **{("POST", kind.path): kind.rest.example for kind in KINDS.values() if kind.rest and kind.rest.example},
    ("POST", f"{_TICKETS}/find"): {"event": "fest", "barcode": "4ab7x2k9"},
    ("PUT", "/api/v1/events/{slug}"): {
        "name": "Fest 2026",
        "zone": "Europe/Berlin",
        "doors": "2026-07-31T18:00:00+02:00",
        "products": [{"name": "Adult", "admits": True}, {"name": "Parking", "admits": False}],
    },
    ("POST", "/api/v1/locks/acquire"): {"name": "leader", "holder": "worker-1", "lease": 30, "wait": 10},
    ("POST", "/api/v1/locks/renew"): {"name": "leader", "holder": "worker-1", "token": 1, "lease": 30},
    ("POST", "/api/v1/locks/release"): {"name": "leader", "holder": "worker-1", "token": 1},
    ("POST", "/api/v1/locks/cancel"): {"name": "leader", "holder": "worker-1"},
    ("POST", f"{_SIMULATOR}/start"): {"nodes": 7, "byzantine_nodes": 2, "tickets": 20},
    ("POST", "/api/v1/cluster/start"): {"node_count": 4},
}
"""Request bodies to try, by method and path."""

EVENT = STRING | {"pattern": EVENT_NAME}
_LIMIT = {"limit": whole(1, LIST_MAX, LIST_MAX)}
_STATE = {"enum": sorted(STATES)}
_LOCK_NAME = STRING | {"maxLength": LOCK_NAME_LENGTH_MAX, "pattern": PRINTABLE}
QUERIES: dict[tuple[str, str], dict[str, Schema]] = {
    ("GET", _TICKETS): _LIMIT | {"after": STRING | {"pattern": TICKET_NAME}, "state": _STATE, "event": EVENT},
    ("GET", f"{_TICKETS}/events"): _LIMIT | {"after": EVENT},
    ("GET", f"{_TICKETS}/{{ticket_id}}"): {
        "event": EVENT,
        "read": {"enum": ["local", "quorum", "linearizable"]},
    },
    ("GET", f"{_TICKETS}/{{ticket_id}}/certificate"): {
        "event": EVENT,
        "at": STRING | {"pattern": "^[0-9]{1,18}(\\.[0-9]{1,18})?$"},
    },
    ("GET", "/api/v1/consensus/logs"): _LIMIT
    | {
        "after": STRING | {"pattern": POSITION},
        "outcome": {"const": "all"},
        "kind": {"const": "all"},
        "state": _STATE,
    },
    ("GET", "/api/v1/locks"): _LIMIT | {"after": _LOCK_NAME, "name": _LOCK_NAME, "event": EVENT},
    ("GET", f"{_NODE}/logs"): {
        "lines": INTEGER | {"minimum": 1, "maximum": 999_999_999, "default": LINES_MAX}
    },
    ("GET", f"{_NODE}/tickets/{{ticket_id}}"): {"event": EVENT},
    ("GET", f"{_SIMULATOR}/runs"): _LIMIT | {"after": STRING | {"pattern": "^[0-9]{1,18}$"}},
    ("DELETE", "/api/v1/members/{node_id}"): {"allow_small": BOOLEAN},
}
"""Query parameters by method and path."""

ROW_MAX = 2**63 - 1
"""Of a row's id in every database."""
PATH_PARAMETERS: dict[str, Schema] = {
    "ticket_id": {"pattern": TICKET_NAME},
    "slug": {"pattern": EVENT_NAME},
    "name": {"pattern": PRINCIPAL_NAME},
    "node_id": {"pattern": PRINCIPAL_NAME},
    "number": {"minimum": 0, "maximum": ROW_MAX},
    "run_id": {"minimum": 0, "maximum": ROW_MAX},
}
"""Bounds of path parameters by name; a value outside of them names nothing, 404."""
NONCE = STRING | {"minLength": 1, "maxLength": NONCE_BYTES_MAX}
MIN_SEQUENCE = {"type": "integer", "minimum": 0, "maximum": SEQUENCE_MAX, "default": 0}
READS_OF_THE_COPY = frozenset(
    {
        _TICKETS,
        f"{_TICKETS}/events",
        f"{_TICKETS}/{{ticket_id}}",
        f"{_TICKETS}/{{ticket_id}}/certificate",
        "/api/v1/consensus/logs",
        "/api/v1/epochs",
        "/api/v1/events/{slug}",
        "/api/v1/locks",
        "/api/v1/principals",
        "/api/v1/principals/{name}",
    }
)
"""Paths whose GET waits for the sequence in X-DTVN-Min-Sequence."""

SUMMARIES: dict[tuple[str, str], str] = {
    **{("POST", kind.path): kind.rest.summary for kind in KINDS.values() if kind.rest},
    ("POST", "/api/v1/locks/acquire"): "Acquire a lock, extend its lease, or wait in its queue (202).",
    ("POST", "/api/v1/locks/renew"): "Extend the lease that has this token.",
    ("POST", "/api/v1/locks/release"): "End the lease that has this token.",
    ("POST", "/api/v1/locks/cancel"): "Wait no longer; give back what was granted meanwhile.",
    ("DELETE", _NODE): "Stop a node and keep it stopped.",
}
"""Summaries of routes that share a view, and thus its docstring."""

_ASKED = (400, 404, 409, 413, 422, 429, 503, 504, 507)
STATUSES: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("POST", f"{_TICKETS}/batch", (400, 413, 503)),
    ("POST", _TICKETS, (400, 404, 409, 413, 422, 503, 504, 507)),
    ("GET", _TICKETS, (400, 404, 409, 503, 504)),
    ("POST", f"{_SIMULATOR}/start", (400, 409, 413, 503)),
    ("POST", f"{_SIMULATOR}/stop", (409, 503)),
    ("GET", f"{_SIMULATOR}/r", (400, 404, 503)),
    ("GET", "", (400, 404, 503)),
    ("POST", "/api/v1/locks/", (202, 400, 409, 413, 422, 503, 504, 507)),
    ("DELETE", "/api/v1/changes/", (202, 404, 409, 413, 503)),
    ("POST", "/api/v1/members/preview", (400, 404, 409, 413, 503)),
    *((method, "/api/v1/members", _ASKED) for method in ("POST", "DELETE")),
    ("PATCH", "/api/v1/parameters", _ASKED),
    ("POST", "/api/v1/nodes", (400, 404, 409, 413, 429, 503)),
    ("", "/api/v1/nodes", (400, 404, 409, 413, 503)),
    ("", "", (400, 404, 409, 413, 422, 503, 504, 507)),
)
"""(method, path prefix, further statuses): the first match counts. 401 is always possible, 403 if a scope is
needed."""
