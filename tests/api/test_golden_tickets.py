"""Tells a festival over REST: an event with lists, tickets with every field, each verb and its refusals,
pages, searches and the log, with statuses, headers, bodies, audit and hints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import KEY, Api
from tests.api.learner import TableWriter
from tests.api.telling import Story, Teller, beside, clock  # noqa: F401 - a fixture
from tests.fake_gateway import FakeGateway
from tests.golden import Compare
from tests.support.clock import SetClock
from tests.team_keys import store_key

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.django_db(databases=["default", "learner"])]

FEST = {
    "name": "Fest 2026 \u2013 Br\u00fccke",
    "zone": "Europe/Berlin",
    "doors": "2026-09-21T18:00:00+02:00",
    "products": [
        {"name": "Parking", "admits": False},
        {"name": "Child", "admits": True},
        {"name": "Adult", "admits": True},
    ],
    "lists": [
        {"list": "workshop", "name": "Workshop", "products": ["Adult"], "rule": "once", "capacity": 1},
        {"list": "bar", "name": "Bar", "rule": "times", "times": 2, "returns": True},
        {"list": "yard", "name": "Yard", "rule": "daily"},
    ],
}
DOORS = 1_790_006_400
"""18:00 in Berlin, in seconds."""
ISSUED: list[dict[str, Any]] = [
    {"ticket_id": "T-3", "product": "Adult", "seat": "C 7", "barcodes": ["third-1", "third-2"], "entries": 2},
    {
        "ticket_id": "T-1",
        "product": "Child",
        "seat": "A 1",
        "barcodes": ["first"],
        "not_before": DOORS - 3600,
        "not_after": DOORS + 7200,
        "metadata": {"tier": "gold", "a": "z", "Name": "\u00c5ke"},
        "data": "aGVsbG8=",
        "nonce": "issue-1",
    },
    {"ticket_id": "T-2", "product": "Parking", "barcodes": ["second"], "commitment": "ab" * 32},
    {"ticket_id": "T-4", "product": "VIP", "barcodes": ["fourth"]},
    {
        "ticket_id": "T-5",
        "product": "Adult",
        "barcodes": ["fifth"],
        "blocked": True,
        "block_reason": "unpaid",
    },
    {"ticket_id": "T-6", "product": "Adult", "seat": "F 6"},
    {"ticket_id": "T-7", "product": "Adult", "barcodes": ["seventh"], "not_after": DOORS - 3600},
]


@pytest.fixture
def story() -> Story:
    return Story(exact=True)


@pytest.fixture
def tell(api: Api, story: Story) -> Teller:
    return Teller(story, api.call)


@pytest.fixture
def fest(tell: Teller, story: Story) -> Teller:
    """The event exists, with its tickets: the story so far is told by the first test."""
    tell("PUT", "events/fest", FEST)
    for body in ISSUED:
        tell("POST", "tickets", {"event": "fest"} | body)
    return tell


def test_what_issuing_tells(golden: Compare, fest: Teller, story: Story) -> None:
    story.heading("Issued again, and wrongly")
    fest("POST", "tickets", {"event": "fest"} | ISSUED[1])
    fest("POST", "tickets", {"event": "fest", "ticket_id": "T-1", "nonce": "issue-1"})
    fest("POST", "tickets", {"event": "fest", "ticket_id": "T-1", "nonce": "issue-2"})
    fest("POST", "tickets", {"event": "fest", "ticket_id": "T-8", "barcodes": ["first"]})
    fest("POST", "tickets", {"event": "fest", "ticket_id": "T-8", "not_before": 20, "not_after": 19})
    fest("POST", "tickets", {"event": "fest", "ticket_id": "T-8", "not_before": 20, "not_after": 20})
    fest("POST", "tickets", {"ticket_id": "", "event": "fest"})
    fest("POST", "tickets", {"event": "fest"})
    fest("POST", "tickets", {"ticket_id": "T-9", "barcodes": ["a"]})
    fest("POST", "tickets", {"ticket_id": "T-9", "nonce": "x"}, Idempotency_Key="y")
    fest("POST", "tickets", {"ticket_id": "T-9"}, Idempotency_Key="k" * 129)
    fest("POST", "tickets", {"ticket_id": "T-9"}, Idempotency_Key="repeated")
    fest("POST", "tickets", {"ticket_id": "T-9"}, Idempotency_Key="repeated")
    fest("POST", "tickets", {"ticket_id": "T-9", "entries": 0})
    fest("POST", "tickets", {"ticket_id": "T-9", "data": "%"})
    fest("POST", "tickets", {"ticket_id": "T-9", "metadata": {"a": 1}})
    fest("POST", "tickets", b"[1]")
    fest("POST", "tickets", b"{")
    fest("POST", "tickets", b"null")
    story.heading("What is shown")
    for ticket in ("T-3", "T-1", "T-2", "T-4", "T-5", "T-8", "none", "%20"):
        fest("GET", f"tickets/{ticket}?event=fest")
    fest("GET", "tickets/T-9")
    fest("GET", "tickets/T-9", X_DTVN_Min_Sequence="3")
    fest("GET", "tickets/T-9", X_DTVN_Min_Sequence="x")
    fest("GET", "tickets/T-1?event=fest&read=never")
    fest("GET", "tickets/T-1?event=fest&read=linearizable")
    fest("GET", "tickets/T-1?event=f est")
    golden(beside(__file__, "tickets_issued"), str(story))


def scan_lists(scan: Callable[..., None], story: Story, clock: SetClock) -> None:  # noqa: F811
    """Entries and exits on lists, with their rules."""
    story.heading("Lists")
    scan("admit", ticket_id="T-6", list="workshop", gate="loft", device="d-4", nonce="l-1")
    scan("admit", barcode="third-1", list="workshop", gate="loft", device="d-4", nonce="l-2")
    scan(
        "force", barcode="third-1", list="workshop", gate="loft", device="d-4", reason="speaker", nonce="l-3"
    )
    scan("admit", ticket_id="T-6", list="workshop", gate="loft", device="d-4", kind="exit", nonce="l-4")
    for number in range(3):
        scan("admit", ticket_id="T-6", list="bar", gate="bar", device="d-5", nonce=f"b-{number}")
        scan("admit", ticket_id="T-6", list="bar", gate="bar", device="d-5", kind="exit", nonce=f"x-{number}")
    scan("admit", ticket_id="T-6", list="cellar", gate="bar", device="d-5")
    scan("admit", ticket_id="T-6", list="yard", gate="yard", device="d-5")
    scan("admit", ticket_id="T-6", list="yard", gate="yard", device="d-5")
    clock.forward(86_400)
    scan("admit", ticket_id="T-6", list="yard", gate="yard", device="d-5")


def test_what_gates_are_told(golden: Compare, fest: Teller, story: Story, clock: SetClock) -> None:  # noqa: F811
    def scan(verb: str, **body: Any) -> None:
        fest("POST", f"tickets/{verb}", {"event": "fest"} | body)

    story.restart()
    story.heading("At half past three")
    scan("admit", barcode="first", gate="north", device="d-1", nonce="s-1")
    scan("admit", barcode="third-2", gate="north", device="d-1", nonce="s-2")
    scan("admit", barcode="third-1", gate="s\u00fcd", device="d-2", nonce="s-3")
    scan("admit", barcode="third-1", gate="south", device="d-2", nonce="s-3")
    scan("admit", barcode="third-1", gate="s\u00fcd", device="d-2", nonce="s-3")
    scan("admit", barcode="third-1", gate="east", device="d-3", nonce="s-4")
    for code in ("second", "fourth", "fifth", "T-6", "nobody", "\u041d\u041e\u0412", ""):
        scan("admit", barcode=code, gate="north")
    scan("admit", ticket_id="T-6", gate="north", device="d-1")
    scan("admit", ticket_id="T-6", barcode="x")
    scan("admit")
    scan("admit", barcode="first", kind="both")
    fest("POST", "tickets/admit", {"barcode": "first"})
    story.heading("In the window of the first")
    clock.wall = ((DOORS - 3600) * 1_000_000 - 1) * 1_000
    scan("admit", barcode="first", gate="north", device="d-1")
    scan("admit", barcode="seventh", gate="north", device="d-1", nonce="s-7")
    clock.wall += 1_000
    scan("admit", barcode="first", gate="north", device="d-1", nonce="s-5")
    scan("annul", barcode="first", movement="s-5", device="d-2", gate="north")
    scan("annul", barcode="first", device="d-1", gate="north", reason="mistaken")
    clock.forward(59)
    scan("admit", barcode="first", gate="west", device="d-1", nonce="s-6")
    clock.forward(3 * 3600)
    scan("annul", barcode="first", movement="s-6", device="d-1", gate="west")
    scan("annul", barcode="first", movement="s-6", device="d-9", gate="west", supervised=True, reason="found")
    clock.wall = ((DOORS + 7201) * 1_000_000 - 1) * 1_000
    scan("validate", ticket_id="T-1", data="AAA=")
    clock.wall += 1_000
    scan("admit", barcode="first", gate="north", device="d-1", nonce="s-8")
    scan("force", barcode="first", gate="north", device="d-1", nonce="s-8b", reason="guest of the house")
    scan("force", barcode="second", gate="north", device="d-1")
    scan("force", barcode="second", gate="north", device="d-1", reason="late")
    scan("force", barcode="fifth", gate="north", device="d-1", reason="late")
    scan_lists(scan, story, clock)
    story.heading("What remains")
    for ticket in ("T-1", "T-3", "T-6"):
        fest("GET", f"tickets/{ticket}?event=fest")
    fest("GET", "events/fest")
    for code in ("third-1", "first", "T-6", "second", "nobody"):
        fest("POST", "tickets/find", {"event": "fest", "barcode": code})
    golden(beside(__file__, "tickets_admitted"), str(story))


def test_what_stewards_are_told(golden: Compare, fest: Teller, story: Story, clock: SetClock) -> None:  # noqa: F811
    def act(verb: str, **body: Any) -> None:
        clock.forward(1)
        fest("POST", f"tickets/{verb}", {"event": "fest"} | body)

    story.restart()
    story.heading("The life of a ticket")
    act("consume", ticket_id="T-3", gate="north", device="d-1")
    act("dispute", ticket_id="T-3")
    act("validate", ticket_id="T-3", data="aGVsbG8=")
    act("validate", ticket_id="T-3")
    act("dispute", ticket_id="T-3", reason="seen twice")
    act("dispute", ticket_id="T-3", reason="again")
    act("consume", ticket_id="T-3")
    act("admit", ticket_id="T-3", gate="north")
    act("resolve", ticket_id="T-3", verdict="maybe")
    act("resolve", ticket_id="T-3", verdict="clear")
    act("resolve", ticket_id="T-3", verdict="clear")
    act("consume", ticket_id="T-3", gate="north", device="d-1")
    act("consume", ticket_id="T-3", gate="south", device="d-2")
    act("validate", ticket_id="T-4")
    act("dispute", ticket_id="T-4")
    act("resolve", ticket_id="T-4", verdict="uphold")
    act("resolve", ticket_id="T-4", verdict="uphold")
    act("consume", ticket_id="T-4")
    act("admit", ticket_id="T-4")
    story.heading("Blocks, codes, changes, entries elsewhere")
    act("block", ticket_id="T-5", reason="again")
    act("unblock", ticket_id="T-5")
    act("unblock", ticket_id="T-5")
    act("block", ticket_id="T-6", reason="stolen")
    act("admit", ticket_id="T-6", gate="north")
    act("replace", ticket_id="T-1", barcodes=["new-1", "new-2"])
    act("replace", ticket_id="T-1", barcodes=["second"])
    act("replace", ticket_id="T-1")
    act("admit", barcode="first", gate="north")
    act("find", barcode="first")
    act("find", barcode="new-2")
    act("change", ticket_id="T-1", product="Adult", seat="")
    act("change", ticket_id="T-1", product="Adult")
    act("change", ticket_id="T-1")
    act("change", ticket_id="T-1", not_before=0, not_after=0)
    act("change", ticket_id="T-3", seat="Z 9")
    act("import_entry", ticket_id="T-1", at=DOORS - 100, gate="old gate", device="old device")
    act("import_entry", ticket_id="T-1", at=DOORS)
    act("import_entry", ticket_id="T-7")
    for verb in ("validate", "consume", "dispute", "block", "unblock", "change", "import_entry"):
        act(verb, ticket_id="absent")
    act("resolve", ticket_id="absent", verdict="clear")
    act("replace", ticket_id="absent", barcodes=["absent"])
    story.heading("What remains")
    for number in range(1, 8):
        fest("GET", f"tickets/T-{number}?event=fest")
    golden(beside(__file__, "tickets_moved"), str(story))


def test_what_lists_tell(golden: Compare, fest: Teller, story: Story, clock: SetClock) -> None:  # noqa: F811
    story.restart()
    story.heading("Pages of tickets")
    for number, verb in ((1, "validate"), (6, "validate"), (7, "validate"), (6, "dispute")):
        clock.forward(2)
        fest("POST", f"tickets/{verb}", {"event": "fest", "ticket_id": f"T-{number}"})
    for query in (
        "event=fest&limit=2",
        "event=fest&limit=2&after=T-2&x=y",
        "event=fest&limit=3&after=T-4",
        "event=fest&after=T-7",
        "event=fest&state=VALIDATED",
        "event=fest&state=DISPUTED&limit=1",
        "event=fest&state=PENDING",
        "event=fest&state=UPHELD",
        "event=fest&state=validated",
        "event=fest&limit=0",
        "event=fest&limit=10001",
        "event=fest&limit=0010000&state=CONSUMED",
        "event=fest&after=-",
        "event=other",
        "event=",
    ):
        fest("GET", f"tickets?{query}")
    story.heading("The log")
    for query in (
        "limit=2",
        "limit=1&after=14",
        "after=12.0",
        "kind=all&limit=3",
        "outcome=all&kind=all&limit=20",
    ):
        fest("GET", f"consensus/logs?{query}")
    fest("POST", "tickets/validate", {"event": "fest", "ticket_id": "T-1"})
    for query in (
        "outcome=all&after=10",
        "outcome=some",
        "kind=some",
        "after=1.2.3",
        "after=5.100000",
        "state=DISPUTED",
    ):
        fest("GET", f"consensus/logs?{query}")
    story.heading("Events")
    fest("POST", "tickets", {"event": "early", "ticket_id": "E-1"})
    fest("PUT", "events/dance", {"zone": "America/New_York", "ids_are_codes": True})
    for query in ("", "?limit=1", "?limit=1&after=dance", "?after=fest", "?after=zz", "?limit=x"):
        fest("GET", f"tickets/events{query}")
    fest("GET", "events/early")
    fest("GET", "events/absent")
    fest("PUT", "events/dance", {"zone": "Nowhere/City"})
    fest("PUT", "events/dance", {"name": "Dance", "doors": 1_790_100_000, "nonce": "n-1"})
    fest("PUT", "events/dance", {"name": "Dance", "doors": 1_790_100_000, "nonce": "n-1"})
    golden(beside(__file__, "tickets_listed"), str(story))


def test_what_a_batch_tells(golden: Compare, fest: Teller, story: Story, fake: FakeGateway) -> None:
    story.restart()
    operations: list[Any] = [
        {"op": "validate", "ticket_id": "T-3", "event": "fest"},
        {"op": "validate", "ticket_id": "T-3", "event": "fest"},
        {"op": "admit", "barcode": "fourth", "event": "fest", "gate": "north"},
        {"op": "admit", "barcode": "unknown", "event": "fest"},
        {"op": "admit", "ticket_id": "T-5", "event": "fest"},
        {"op": "issue", "ticket_id": "T-10", "event": "fest", "product": "Backstage"},
        {"op": "issue", "ticket_id": "T-10", "event": "fest"},
        {"op": "dance", "ticket_id": "T-1"},
        {"op": "admit", "event": "fest", "ticket_id": 5},
        {"op": "consume", "event": "fest"},
        {"ticket_id": "T-2"},
        "validate",
        {"op": "block", "ticket_id": "T-6", "event": "fest", "reason": "lost", "nonce": "bl"},
        {"op": "block", "ticket_id": "T-6", "event": "fest", "reason": "lost", "nonce": "bl"},
    ]
    fest("POST", "tickets/batch", {"operations": operations})
    fest("POST", "tickets/batch", {"operations": []})
    fest("POST", "tickets/batch", {"operations": operations[:1]}, Idempotency_Key="one")
    fest("POST", "tickets/batch", {})
    story.heading("Nothing can be sent, nothing is heard, too much is under way")
    one = {"operations": [{"op": "unblock", "ticket_id": "T-6", "event": "fest"}, {"op": "dance"}]}
    fake.quorum = False
    fest("POST", "tickets/batch", one)
    fest("POST", "tickets/unblock", {"event": "fest", "ticket_id": "T-6"})
    fest("POST", "tickets/admit", {"event": "fest", "ticket_id": "T-6"})
    fake.quorum, fake.mute = True, True
    fest("POST", "tickets/batch", one)
    fest("POST", "tickets/admit", {"event": "fest", "ticket_id": "T-3", "nonce": "m"})
    fake.mute, fake.full = False, True
    fest("POST", "tickets/batch", one)
    fest("POST", "tickets/admit", {"event": "fest", "ticket_id": "T-3", "nonce": "m"})
    fake.full = False
    fest("POST", "tickets/admit", {"event": "fest", "ticket_id": "T-3", "nonce": "m"})
    golden(beside(__file__, "tickets_batch"), str(story))


def test_what_keys_with_limits_are_told(
    golden: Compare, fest: Teller, story: Story, tables: TableWriter
) -> None:
    story.restart()
    limits: dict[str, dict[str, Any]] = {
        "gate": {"scopes": ["gate"]},
        "issuer": {"scopes": ["issue"]},
        "operator": {"scopes": ["operate"]},
        "supervisor": {"scopes": ["supervise", "gate"]},
        "one event": {"scopes": ["gate", "operate"], "event": "fest"},
        "one list": {"scopes": ["gate"], "lists": ["bar"]},
        "one product": {"scopes": ["gate"], "products": ["Child", "Adult"]},
        "reader": {"scopes": []},
    }
    calls: list[tuple[str, str, Any]] = [
        ("POST", "tickets", {"event": "fest", "ticket_id": "K-1"}),
        ("POST", "tickets/validate", {"ticket_id": "T-7"}),
        ("POST", "tickets/admit", {"event": "fest", "barcode": "fourth", "gate": "g"}),
        ("POST", "tickets/admit", {"event": "fest", "ticket_id": "T-6", "list": "bar", "kind": "entry"}),
        ("POST", "tickets/force", {"event": "fest", "ticket_id": "T-7", "reason": "r"}),
        ("POST", "tickets/find", {"event": "fest", "barcode": "third-1"}),
        ("POST", "tickets/find", {"event": "fest", "barcode": "0ther"}),
        ("POST", "tickets/batch", {"operations": [{"op": "validate", "ticket_id": "T-2"}, {"op": "admit"}]}),
        ("GET", "tickets?limit=1", None),
        ("GET", "tickets?limit=1&event=other", None),
        ("GET", "tickets/events", None),
        ("GET", "consensus/logs?limit=1", None),
        ("GET", "status", None),
        ("PUT", "events/fest", {"name": "Renamed"}),
    ]
    for name, limited in limits.items():
        story.say(f"A key for {name}: {limited}")
        store_key(f"{KEY} {name}", label=name, **limited)
    for method, path, body in calls:
        answers: dict[str, list[str]] = {}
        for name in limits:
            answer = Api(f"{KEY} {name}").call(method, path, body)
            said = answer.json().get("error", "") if answer.status_code >= 400 else ""
            answers.setdefault(f"{answer.status_code} {said}".rstrip(), []).append(name)
        story.say(f"{method} {path} {'' if body is None else body}")
        for told, names in answers.items():
            story.say(f"  {told}: {', '.join(names) if len(names) < len(limits) else 'all'}")
    golden(beside(__file__, "tickets_keys"), str(story))
