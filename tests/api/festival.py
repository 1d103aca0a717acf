"""A festival over REST, for golden stories: an event with lists, tickets with codes, programs with keys."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
from django.test import Client

from tests.pages.stories import Story
from tests.support.clock import SetClock
from tests.team_keys import store_key
from tickets.models import TicketHolder
from validators.rest import keys


def base64(data: bytes) -> str:
    """Data as bodies have it."""
    return b64encode(data).decode()


KEYS: dict[str, dict[str, Any]] = {
    "organiser": {"scopes": ["issue", "operate"]},
    "desk": {"scopes": ["operate", "gate"]},
    "north": {"scopes": ["gate"], "event": "fest"},
    "south": {"scopes": ["gate"], "lists": ["main", "dinner"]},
    "lounge": {"scopes": ["gate"], "lists": ["vip"], "products": ["VIP"]},
    "chief": {"scopes": ["gate", "supervise"]},
    "auditor": {"scopes": []},
}
EVENT: dict[str, Any] = {
    "name": "Harbour Fest",
    "zone": "Europe/Berlin",
    "doors": "2026-06-05T20:00:00+02:00",
    "ids_are_codes": False,
    "products": [
        {"name": "VIP", "admits": True},
        {"name": "Adult", "admits": True},
        {"name": "Parking", "admits": False},
    ],
    "lists": [
        {
            "list": "vip",
            "name": "VIP lounge",
            "products": ["VIP"],
            "rule": "free",
            "exit_first": True,
            "capacity": 2,
        },
        {
            "list": "dinner",
            "rule": "times",
            "times": 2,
            "returns": True,
            "not_before": "2026-06-05T19:45:00+02:00",
            "not_after": 1_780_700_400,
        },
        {"list": "ferry", "name": "Ferry", "rule": "daily"},
    ],
}
TICKETS: list[dict[str, Any]] = [
    {"ticket_id": "A-1", "product": "Adult", "seat": "14", "barcodes": ["ada/+1=", "ADA-SECOND"]},
    {"ticket_id": "A-2", "product": "Adult", "barcodes": ["bob/+2="], "entries": 3},
    {"ticket_id": "A-3", "product": "Adult", "barcodes": ["cy/+3="], "not_before": 1_780_684_200},
    {"ticket_id": "A-4", "product": "Adult", "barcodes": ["dan/+4="], "not_after": 1_780_680_900},
    {
        "ticket_id": "A-5",
        "product": "Adult",
        "barcodes": ["eve/+5="],
        "blocked": True,
        "block_reason": "unpaid",
    },
    {"ticket_id": "P-1", "product": "Parking", "barcodes": ["park/+1="]},
    {
        "ticket_id": "V-1",
        "product": "VIP",
        "barcodes": ["vip/+1="],
        "data": base64(b'{"table": 7, "vegan": true}'),
    },
    {"ticket_id": "V-2", "product": "VIP", "barcodes": ["vip/+2="]},
    {"ticket_id": "V-3", "product": "VIP", "barcodes": ["vip/+3="]},
]


class Day:
    """The story of programs that ask, each with its key."""

    def __init__(self, clock: SetClock) -> None:
        self.story = Story()
        self.clock = clock
        for label, limits in KEYS.items():
            store_key(f"dtvn_{label}", label=label, **limits)
        keys.forget()

    def ask(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """A request of a program, and all of its answer."""
        self.story.say(f"{who}:")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if who:
            named["X-API-Key"] = f"dtvn_{who}"
        more: dict[str, Any] = {"headers": named}
        if body is not None:
            more |= {"content_type": "application/json"}
            body = body if isinstance(body, str) else msgspec.json.encode(body).decode()
        return self.story.ask(Client(), method, f"/api/v1/{path}", body, **more)

    def at_gate(self, who: str, verb: str, code: str, **fields: Any) -> Any:
        """A scan: a gate and a device are named after who scans."""
        body = {"event": "fest", "barcode": code, "gate": who, "device": f"{who}-1"} | fields
        return self.ask(who, "post", f"tickets/{verb}", body)


def make_fest(day: Day) -> None:
    """The event and its tickets."""
    day.ask("organiser", "put", "events/fest", EVENT)
    for ticket in TICKETS:
        day.ask("organiser", "post", "tickets", {"event": "fest"} | ticket)
    TicketHolder.objects.create(
        event="fest", ticket="A-1", name="Ada Lovelace", email="ada@example.org", salt=b"s"
    )
    TicketHolder.objects.create(event="fest", ticket="V-1", name="Zoë Öst", order="O-77", salt=b"t")
