"""Our own exports, imported into an empty platform: every ticket is back in the state it had."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import strategies as st

from dtvn.api.errors import TicketError
from dtvn.api.ordering import Request
from dtvn.machine import (
    Admit,
    Block,
    Dispute,
    ImportEntry,
    Issue,
    Replace,
    Resolve,
    SetEvent,
    Validate,
    build,
)
from dtvn.machine.codes import CodeError, normalised
from dtvn.node.feed_address import feed_address
from dtvn.protocol.genesis import cluster_id
from tests.host.support import make_genesis
from tests.pages.learner import RealLearner
from tickets.importing import ImportPlan
from tickets.importing.events import prepare_events
from tickets.importing.holders import remember_holders
from tickets.importing.imported import Holder, ImportedEvent, ImportedTicket
from tickets.importing.until_final import NetworkSilent, Refused
from tickets.importing.uploads import ImportRefused, UploadOptions, begin, confirm
from tickets.importing.work import work
from tickets.models import ImportState, TicketCode, TicketHolder, TicketImport
from tickets.services.codes import digest_of, remember_codes
from validators.feed import progress
from validators.ledger import read
from validators.services import cluster, network
from validators.services.decide import batch

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])
LOG_FACTS = frozenset({"last_operation", "changed_at", "sequence", "entry_node"})
"""Columns that say when and how the log came to the state."""
Run = Callable[..., None]


@pytest.fixture
def run(learner: RealLearner) -> Run:
    """run(event, (ticket, command), ...): all are executed."""

    def executed(event: str, *commands: tuple[str, Any]) -> None:
        until = time.time_ns() // 1_000 + 60_000_000
        operations = [
            build(command, ticket=ticket, event=event, actor="desk", entry="r0", valid_until=until)
            for ticket, command in commands
        ]
        assert {result.code for result in learner.gateway.submit(operations).result()} == {"ok"}

    return executed


@pytest.fixture
def fresh(learner: RealLearner, tmp_path: Path, settings: Any) -> Any:
    """fresh(): from now on this is another platform, in front of another cluster, and knows nothing."""
    made: list[RealLearner] = []

    def stop_listening() -> None:
        if progress._listener is not None:
            progress._listener.close()
        progress._listener = None

    def begun() -> None:
        learner.close()
        for model in (TicketCode, TicketHolder, TicketImport):
            model.objects.all().delete()
        settings.DATA = tmp_path / "other"
        genesis = make_genesis(4, name="another")
        assert cluster_id(genesis) != cluster_id(make_genesis(4))
        made.append(RealLearner(tmp_path / "fresh", genesis, feed_address(settings.DATA)))
        network.use(made[0].gateway)
        stop_listening()
        cluster.reset_cluster()

    yield begun
    stop_listening()
    for one in made:
        one.close()


def exported(path: Path, kind: str) -> list[dict[str, str]]:
    """The rows of an export as CSV, without LOG_FACTS."""
    call_command("export_tickets", kind, str(path), stdout=io.StringIO())
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    return [{name: cell for name, cell in row.items() if name not in LOG_FACTS} for row in rows]


def imported(path: Path) -> TicketImport:
    """The file, imported by the page's worker without an answer to any question."""
    asked: list[tuple[int, str]] = []

    def send(*words: Any) -> None:
        asked.append(words)

    def worked() -> None:
        work(*asked[-1], lambda requests: batch(requests, actor="desk"))

    one = begin(path.name, path.read_bytes(), UploadOptions(), actor="desk", send=send)
    worked()
    one.refresh_from_db()
    assert (one.state, one.error) == (ImportState.PREVIEW, "")
    confirm(one, actor="desk", may_change=True, send=send)
    worked()
    one.refresh_from_db()
    assert (one.state, one.error, one.report["wrong"]) == (ImportState.DONE, "", [])
    return one


@pytest.fixture
def season(run: Run) -> None:
    """Two events with every kind of ticket that a door may meet."""

    def digests(*texts: str, event: str = "fest") -> tuple[bytes, ...]:
        return tuple(digest_of(event, text) for text in texts)

    doors = 1_785_500_000_000_000
    products = (("Parking", False), ("VIP\u00a0A", True), ("vip\u00a0a", False))
    run("fest", ("", SetEvent("Das „Fest“", "Europe/Berlin", doors, False, products)))
    many = [f"old-{number}" for number in range(10)]
    given = {"T-1": [*many, "new, 1", 'née "2"'], "T-2": ["park\n[1]"], "T-3": ["'=3"], "T-4": ["{4}"]}
    remember_codes("fest", given.items())
    window = {"not_before": 1_785_500_001_000_000, "not_after": 1_785_600_000_000_000}
    run(
        "fest",
        ("T-1", Issue(product="VIP\u00a0A", seat="#N/A", codes=digests(many[0]), **window)),
        ("T-2", Issue(product="Parking", seat="1E+10", codes=digests("park\n[1]"))),
        ("T-3", Issue(product="vip\u00a0a", codes=digests("'=3"), blocked=True, block_reason='"void"')),
        ("T-4", Issue(product="VIP\u00a0A", seat=" A  1 ", codes=digests("{4}"))),
        ("T-5", Issue()),
        ("T-6", Issue()),
        *(("T-1", Replace(digests(code))) for code in many[1:]),
        ("T-1", Replace(digests("new, 1", 'née "2"'))),
        ("T-4", Admit(gate="north", device="=d|1", code=digest_of("fest", "{4}"))),
        ("T-4", Block("-stolen")),
        ("T-5", ImportEntry(at=1_785_500_003_000_000, gate="south")),
        ("T-6", ImportEntry()),
    )
    run("plain", *((f"P-{number}", Issue(product="@Café")) for number in range(4)))
    run("plain", *((f"P-{number}", Validate()) for number in range(1, 4)))
    run("plain", *((f"P-{number}", Dispute("twice")) for number in range(2, 4)), ("P-3", Resolve("uphold")))
    people = {"T-1": Holder('O\'Neil, "Ada"  B', company="+1 & Co"), "T-2": Holder("=cmd|x")}
    remember_holders(
        [
            ImportedTicket(row=1, ticket_id=name, event="fest", holder=holder, order="00012")
            for name, holder in people.items()
        ]
    )


@pytest.mark.parametrize("kind", ["tickets", "admission"])
@pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
def test_an_export_brings_every_ticket_back(
    season: None, fresh: Callable[[], None], tmp_path: Path, form: str, kind: str
) -> None:
    before = exported(tmp_path / "before.csv", kind)
    path = tmp_path / f"season.{form}"
    call_command("export_tickets", kind, str(path), stdout=io.StringIO())
    fresh()
    imported(path)
    after = exported(tmp_path / "after.csv", kind)
    stays_out = {row["ticket_id"]: row for row in after[-3:]}
    assert [stays_out[name]["block_reason"] for name in ("P-1", "P-2", "P-3")] == [
        "",
        "state: DISPUTED; twice",
        "state: UPHELD; twice",
    ]
    for row in before[-3:]:  # validated tickets are issued, disputed ones issued blocked, with the reason
        row |= {name: stays_out[row["ticket_id"]][name] for name in ("block_reason", "dispute_reason")}
        row |= {"blocked": "no" if row["state"] == "VALIDATED" else "yes", "state": "ISSUED"}
    assert after == before
    assert len(before) == 10


def test_of_a_ticket_for_several_so_many_entries_are_left_as_before(
    run: Run, fresh: Callable[[], None], tmp_path: Path
) -> None:
    codes = {name: digest_of("fest", name) for name in ("group", "whole")}
    run("fest", ("", SetEvent("Fest", products=(("Day", True),))))
    remember_codes("fest", ((name, [name]) for name in codes))
    run("fest", *((name, Issue(product="Day", codes=(code,), entries=3)) for name, code in codes.items()))
    scans = [("group", 1), ("whole", 3)]
    for name, count in scans:
        run("fest", *((name, Admit(gate="north", code=codes[name])) for _ in range(count)))
    path = tmp_path / "fest.csv"
    before = exported(path, "tickets")
    assert [(row["entries"], row["entries_used"]) for row in before] == [("3", "1"), ("3", "3")]
    fresh()
    imported(path)
    after = exported(tmp_path / "after.csv", "tickets")
    facts = ("ticket_id", "state", "entries", "entries_used", "gate", "codes")
    assert [[row[name] for name in facts] for row in after] == [
        [row[name] for name in facts] for row in before
    ]
    scan = Request(Admit(gate="south", code=digest_of("fest", "group")), event="fest")
    assert [batch([scan], actor="gate")[0].code for _ in range(3)] == ["ok", "ok", "already_consumed"]


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_an_import_that_stopped_between_the_steps_of_a_ticket_goes_on(
    season: None, fresh: Callable[[], None], tmp_path: Path, calls: int
) -> None:
    path = tmp_path / "season.csv"
    before = [row for row in exported(path, "tickets") if row["event"] == "fest"]
    call_command("export_tickets", "tickets", str(path), "--event", "fest", stdout=io.StringIO())
    fresh()
    asked: list[tuple[int, str]] = []
    left = iter(range(calls))

    def breaks(requests: Any) -> Any:
        if next(left, None) is None:
            raise RuntimeError("the worker is switched off")
        return batch(requests, actor="desk")

    def refuses(_requests: Any) -> Any:
        raise TicketError("not_permitted")

    def send(*words: Any) -> None:
        asked.append(words)

    one = begin(path.name, path.read_bytes(), UploadOptions(), actor="desk", send=send)
    work(*asked[-1], breaks)
    for order, state in (
        (breaks, ImportState.STOPPED),
        (refuses, ImportState.STOPPED),
        (lambda requests: batch(requests, actor="desk"), ImportState.DONE),
    ):
        one.refresh_from_db()
        with pytest.raises(ImportRefused, match="needs the scope"):  # of entries, also of those that are left
            confirm(one, actor="desk", may_change=False, send=send)
        confirm(one, actor="desk", may_change=True, send=send)
        work(*asked[-1], order)
        one.refresh_from_db()
        assert one.state == state
    assert exported(tmp_path / "after.csv", "tickets") == before


def is_code(text: str) -> bool:
    try:
        return normalised(text) == text
    except CodeError:
        return False


ODD = st.text(st.sampled_from(list("=+-@'\"#,;|\\ \t\u00a0é１aE1.[]{}")), max_size=6)
CODES = st.lists(
    (ODD | st.text(max_size=8)).map(lambda text: f"{text}x").filter(is_code), unique=True, max_size=4
)
LABELS = ODD | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)


def prepared(event: ImportedEvent) -> None:
    prepare_events(ImportPlan(events=[event]), actor="desk", patience=0.05)


def test_an_existing_event_only_gets_the_products_it_lacks(learner: RealLearner, run: Run) -> None:
    run("fest", ("", SetEvent("Fest", "", 0, False, (("VIP", False),))))
    said = ImportedEvent("fest", name="Other", products={"VIP": True, "Bar": True, "Parking": False})
    prepared(said)
    row = read.event_row("learner", "fest")
    assert row is not None
    assert (row.name, row.products) == ("Fest", (("Bar", True), ("Parking", False), ("VIP", False)))
    with pytest.raises(Refused, match="no codes in event fest, and codes in this export"):
        prepared(ImportedEvent("fest", ids_are_codes=True))


@pytest.mark.parametrize("products", [{"Bar": False}, {"VIP": True}])
def test_an_event_that_nobody_decides_ends_the_import(
    learner: RealLearner, run: Run, products: dict[str, bool]
) -> None:
    run("old", ("", SetEvent("Old", "", 0, False, ())))
    learner.gateway.quorum = False
    for slug in ("old", "new"):
        said = ImportedEvent(slug, name="Fest", ids_are_codes=False, products=products)
        with pytest.raises(NetworkSilent):
            prepared(said)
    assert read.event_row("learner", "new") is None


def test_a_product_that_does_not_admit_shuts_out_no_older_ticket(learner: RealLearner, run: Run) -> None:
    run("plain", ("P-1", Issue(product="Day")))
    prepared(ImportedEvent("plain", ids_are_codes=True, products={"Bar": False}))
    row = read.event_row("learner", "plain")
    assert row is not None
    assert (row.ids_are_codes, row.products) == (True, (("Bar", False), ("Day", True)))
