"""Schemas of the answers of 200 and 202."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.api.outcome import Told
from dtvn.machine.kinds import KINDS
from dtvn.proof import certificate_json, chain_json
from dtvn.protocol.genesis import Parameters
from dtvn.protocol.partitions import Severity
from validators.membership import ChangeRequest, Preview
from validators.models import ChangeState, NodeStatus
from validators.network_watch.hearing import State
from validators.rest.openapi.shapes import (
    BOOLEAN,
    COUNTS,
    INTEGER,
    NUMBER,
    OBJECT,
    STRING,
    Schema,
    many,
    or_null,
    reference,
    shape,
    success,
)

_TICKETS = "/api/v1/tickets"
_NODE = "/api/v1/nodes/{node_id}"
_MEMBERS = "/api/v1/members"
_PRINCIPALS = "/api/v1/principals"
_SIMULATOR = "/api/v1/simulator"
_MOMENT = STRING | {"format": "date-time"}
_STATUS = {"enum": sorted(NodeStatus.values)}
_PARAMETERS = shape(dict.fromkeys(Parameters.__struct_fields__, INTEGER))


def _of_structs(*structs: type[msgspec.Struct]) -> dict[str, Any]:
    """Schemas by name, of these Structs and those inside of them."""
    return msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")[1]


def _file(empty: bytes) -> Schema:
    """A file of `dtvn.proof` in the envelope, from an empty one."""
    (said, form), (kind, _) = msgspec.json.decode(empty).items()
    return success(shape({said: {"const": form}, kind: STRING | {"contentEncoding": "base64"}}))


_STRUCTS = _of_structs(Preview, ChangeRequest, Told)
_CHANGE = {name: each for name, each in _STRUCTS["ChangeRequest"]["properties"].items() if name != "word"}

_TOLD_BESIDES: dict[str, Schema] = {
    "holder": or_null(STRING) | {"description": "only where the caller may see names"},
    "hint": STRING
    | {
        "description": "only with barcode_not_found: a code that the text resembles, or, where `whose` is "
        "gate, what the gate does wrong and what to set, as in `error`"
    },
    "keyboard": STRING | {"description": "only beside `hint`: how to set a wrong keyboard layout"},
}

_CUT: dict[str, Schema] = {
    "sentence": STRING,
    "statements": many(reference("CutStatement")),
    "groups": many(many(STRING)),
    "decides": many(STRING),
    "may_decide": many(STRING),
    "consequence": STRING,
    "certain": BOOLEAN,
    "severity": {"enum": ["", *Severity]},
}

_FOUND = shape({"barcode_valid": BOOLEAN, "entries_used": INTEGER, "entries_allowed": or_null(INTEGER)})
"""What is said of a ticket that was found by its code."""

SCHEMAS: dict[str, Schema] = {
    "Strength": _STRUCTS["Strength"],
    "Entry": _STRUCTS["Entry"],
    "Told": _STRUCTS["Told"] | {"properties": _STRUCTS["Told"]["properties"] | _TOLD_BESIDES},
    "TicketEvent": shape(
        {
            "slug": STRING,
            "name": STRING,
            "zone": STRING,
            "doors": or_null(_MOMENT),
            "ids_are_codes": BOOLEAN,
            "products": many(shape({"name": STRING, "admits": BOOLEAN})),
            "lists": many(
                shape(
                    {
                        "list": STRING,
                        "name": STRING,
                        "products": or_null(many(STRING)),
                        "not_before": or_null(STRING | {"format": "date-time"}),
                        "not_after": or_null(STRING | {"format": "date-time"}),
                        "rule": {"enum": ["once", "daily", "times", "free"]},
                        "times": INTEGER,
                        "returns": BOOLEAN,
                        "exit_first": BOOLEAN,
                        "capacity": INTEGER,
                    }
                )
            ),
            "declared": BOOLEAN,
            "tickets": COUNTS,
            "blocked": INTEGER,
        }
    ),
    "Seat": _STRUCTS["Seat"],
    "Preview": shape(
        _STRUCTS["Preview"]["properties"]
        | {
            "parameters": {
                "type": "object",
                "additionalProperties": shape({"before": INTEGER, "after": INTEGER}),
            }
        }
    ),
    "Member": shape(
        dict.fromkeys(("id", "peer_id", "public_key", "host", "release"), STRING)
        | dict.fromkeys(("seat", "port", "sequence", "view"), INTEGER)
        | {"external": BOOLEAN, "status": _STATUS}
    ),
    "Members": shape(
        _STRUCTS["Strength"]["properties"]
        | dict.fromkeys(("epoch", "after", "count"), INTEGER)
        | {
            "waits": STRING,
            "parameters": _PARAMETERS,
            "members": many(reference("Member")),
            "joining": many(shape({"id": STRING, "status": _STATUS, "sequence": INTEGER})),
        }
    ),
    "Change": shape(
        {"id": INTEGER, "change": _CHANGE.pop("change"), "state": {"enum": sorted(ChangeState.values)}}
        | dict.fromkeys(("code", "sentence", "asked_by"), STRING)
        | {
            "epoch": or_null(INTEGER),
            "sequence": INTEGER,
            "created_at": _MOMENT,
            "finished_at": or_null(_MOMENT),
        },
        **_CHANGE,
    ),
    "CutStatement": shape({"what": STRING, "since": _MOMENT, "also": STRING}),
    "Cut": shape(_CUT),
    "PastCut": shape(
        _CUT | {"id": INTEGER, "started_at": _MOMENT, "seen_at": _MOMENT, "ended_at": or_null(_MOMENT)}
    ),
    "Network": shape(
        {"as_of": or_null(_MOMENT), "sentence": STRING, "members": many(STRING), "quorum": INTEGER}
        | {
            "consequence": STRING,
            "stopped": many(STRING),
            "cut": or_null(reference("Cut")),
            "links": many(
                shape(
                    dict.fromkeys(("hearer", "heard"), STRING)
                    | {
                        "state": {"enum": [*State]},
                        "since": or_null(_MOMENT),
                        "last_heard": or_null(_MOMENT),
                        "spans": many(shape({"state": {"enum": [*State]}, "start": _MOMENT, "end": _MOMENT})),
                    }
                )
            ),
            "history": many(reference("PastCut")),
        }
    ),
    "Evidence": shape(
        dict.fromkeys(("id", "epoch", "member"), INTEGER)
        | dict.fromkeys(("code", "name", "place", "reported_by"), STRING)
        | {"collected_at": _MOMENT}
    ),
    "Lock": shape(
        dict.fromkeys(("event", "name", "principal", "holder"), STRING)
        | {"token": INTEGER, "expires_at": NUMBER},
        waiters=INTEGER,
    ),
    "Principal": shape(
        dict.fromkeys(("name", "peer_id", "public_key"), STRING)
        | {
            "wire": STRING,
            "own": BOOLEAN,
            "grants": many(shape({"event": STRING, "capability": STRING})),
        }
    ),
}

ANSWERS: dict[tuple[str, str], Schema] = {
    ("GET", "/health"): shape(
        {"status": {"const": "healthy"}, "release": STRING},
        version=INTEGER,
        releases={"type": "object", "additionalProperties": STRING},
        waits=STRING,
        consensus=STRING,
        note=STRING,
    ),
    ("GET", "/live"): shape({"status": {"const": "live"}}),
    ("GET", "/metrics"): STRING,
    ("GET", "/api/v1/openapi.json"): shape({"openapi": STRING, "info": OBJECT, "paths": OBJECT}),
    ("GET", "/api/v1/"): shape(
        dict.fromkeys(("name", "version", "documentation", "openapi", "key"), STRING)
        | {"routes": many(STRING)}
    ),
    ("GET", "/ready"): shape(
        {"status": STRING},
        sequence=INTEGER,
        log_time_ahead=NUMBER,
        others_are_gone=many(STRING),
        awaits={"type": "object", "additionalProperties": many(STRING)},
    ),
    ("GET", _TICKETS): success(many(reference("Ticket"))),
    ("POST", _TICKETS): success(reference("Ticket")),
    ("GET", f"{_TICKETS}/events"): success(many(reference("TicketEvent"))),
    ("POST", f"{_TICKETS}/find"): success({"allOf": [reference("Ticket"), _FOUND]}),
    ("GET", "/api/v1/events/{slug}"): success(reference("TicketEvent")),
    ("PUT", "/api/v1/events/{slug}"): success(reference("TicketEvent")),
    ("GET", f"{_TICKETS}/{{ticket_id}}"): success(reference("Ticket")),
    ("GET", f"{_TICKETS}/{{ticket_id}}/certificate"): _file(certificate_json(b"")),
    ("GET", "/api/v1/epochs"): _file(chain_json(b"")),
    ("POST", f"{_TICKETS}/seed"): success(
        shape(
            dict.fromkeys(("seeded", "unique", "total_seeded"), INTEGER)
            | {"nodes": many(shape({"node_id": STRING, "seeded": INTEGER}))}
        )
    ),
    **{
        ("POST", kind.path): {"allOf": [success(), reference("Told")]} if kind.rest.full else success()
        for name, kind in KINDS.items()
        if kind.rest and name not in ("issue", "seed")
    },
    ("POST", f"{_TICKETS}/validate-via-node"): success(),
    ("POST", f"{_TICKETS}/batch"): success(
        shape(
            {
                "results": many(shape({"ticket_id": STRING, "status": INTEGER}, code=STRING, error=STRING)),
                "counts": COUNTS,
            }
        )
    ),
    ("GET", "/api/v1/consensus/logs"): success(many(reference("ConsensusRecord"))),
    ("GET", "/api/v1/stats"): {"anyOf": [success(reference("Stats")), reference("Stats")]},
    ("GET", "/api/v1/status"): shape(
        {
            "supervisor": STRING,
            "nodes_count": INTEGER,
            "nodes": many(reference("Node")),
            "simulator_status": STRING,
        }
    ),
    ("GET", "/api/v1/peers"): success(
        shape({"peers": many(shape({}, id=STRING, node_id=STRING, addrs=many(STRING), connected_at=INTEGER))})
    ),
    ("GET", "/api/v1/config"): success(
        shape(
            {"mode": STRING},
            node_id=STRING,
            nodes_count=INTEGER,
            total_nodes=INTEGER,
            current_view=INTEGER,
            is_primary=BOOLEAN,
            continues=STRING,
        )
    ),
    ("GET", "/api/v1/cluster"): success(reference("ClusterState")),
    ("POST", "/api/v1/cluster/start"): shape(
        {"status": {"enum": ["starting", "stopping", "running"]}, "node_count": INTEGER},
        started=many(STRING),
        progress=or_null(reference("Progress")),
    ),
    ("POST", "/api/v1/cluster/stop"): shape({"status": {"const": "stopping"}}),
    ("GET", "/api/v1/nodes"): many(reference("Node")),
    ("POST", "/api/v1/nodes"): reference("NodeWish"),
    ("GET", _NODE): reference("Node"),
    ("DELETE", _NODE): reference("NodeWish"),
    **{("POST", f"{_NODE}/{verb}"): reference("NodeWish") for verb in ("start", "stop", "restart")},
    ("GET", f"{_NODE}/logs"): shape({"node_id": STRING, "logs": many(STRING)}),
    ("GET", f"{_NODE}/stats"): success(reference("Stats")),
    ("GET", f"{_NODE}/tickets/{{ticket_id}}"): success(reference("Ticket")),
    ("GET", "/api/v1/node/crypto"): success(
        shape(
            dict.fromkeys(("node_id", "peer_id", "public_key", "key_algorithm"), STRING)
            | dict.fromkeys(("transport_security", "listen_addresses"), many(STRING))
        )
    ),
    ("GET", "/api/v1/storage/entries"): success(
        shape(
            {"node_id": STRING, "total_tickets": INTEGER, "ticket_states": COUNTS}
            | {"upheld_tickets": INTEGER}
            | {
                "consensus_log_count": INTEGER,
                "latest_checkpoint": or_null(
                    shape(
                        dict.fromkeys(("sequence", "timestamp"), INTEGER)
                        | dict.fromkeys(("state_digest", "node_id"), STRING)
                    )
                ),
                "db_stats": {"type": "object", "additionalProperties": NUMBER},
            }
        )
    ),
    ("GET", _MEMBERS): success(reference("Members")),
    ("POST", f"{_MEMBERS}/preview"): success(reference("Preview")),
    **{
        call: success(reference("Change"))
        for call in (
            ("POST", _MEMBERS),
            ("DELETE", f"{_MEMBERS}/{{node_id}}"),
            ("POST", f"{_MEMBERS}/{{node_id}}/rotate"),
            ("PATCH", "/api/v1/parameters"),
            ("GET", "/api/v1/changes/{number}"),
            ("DELETE", "/api/v1/changes/{number}"),
        )
    },
    ("GET", "/api/v1/changes"): success(many(reference("Change"))),
    ("GET", "/api/v1/network"): success(reference("Network")),
    ("GET", "/api/v1/evidence"): success(many(reference("Evidence"))),
    ("GET", "/api/v1/evidence/{number}"): success(
        shape({"format": {"const": "dtvn-evidence/1"}, "evidence": STRING | {"contentEncoding": "base64"}})
    ),
    ("GET", "/api/v1/locks"): success(many(reference("Lock"))),
    **{("POST", f"/api/v1/locks/{verb}"): success(reference("Lock")) for verb in ("acquire", "renew")},
    **{("POST", f"/api/v1/locks/{verb}"): success() for verb in ("release", "cancel")},
    ("GET", _PRINCIPALS): success(many(reference("Principal"))),
    **{
        call: success(reference("Principal"))
        for call in (
            ("POST", _PRINCIPALS),
            ("POST", f"{_PRINCIPALS}/{{name}}/rotate"),
            *((method, f"{_PRINCIPALS}/{{name}}") for method in ("GET", "PATCH", "DELETE")),
        )
    },
    ("GET", _SIMULATOR): shape(
        {"status": {"enum": ["idle", "running", "complete", "error"]}, "output": many(STRING)},
        run_id=INTEGER,
        config=reference("SimulatorConfig"),
        progress=reference("SimulatorProgress"),
        results=reference("SimulatorResults"),
        error=STRING,
    ),
    ("POST", f"{_SIMULATOR}/start"): shape(
        {"status": {"const": "started"}, "config": reference("SimulatorConfig"), "run_id": INTEGER}
    ),
    ("POST", f"{_SIMULATOR}/stop"): shape({"status": {"const": "stopping"}}),
    ("GET", f"{_SIMULATOR}/output"): shape({"output": many(STRING)}),
    ("GET", f"{_SIMULATOR}/results"): reference("SimulatorResults"),
    ("GET", f"{_SIMULATOR}/runs"): many(reference("SimulatorRun")),
    ("GET", f"{_SIMULATOR}/runs/{{run_id}}"): reference("SimulatorRun"),
    ("GET", f"{_SIMULATOR}/runs/{{run_id}}/trace"): STRING | {"contentMediaType": "application/gzip"},
}
"""By method and path; of 202 the same as of 200."""
