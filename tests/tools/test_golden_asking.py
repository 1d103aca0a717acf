"""What commands send to a platform, and what they make of each answer: gates, steps of a day, what is
foretold, tickets of a rehearsal, and an import.

The platform is a list of answers. Told are each request with its body, each pause, and what comes of it.
Time passes only in pauses, and in answers that take some.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest

from tests.golden import Compare, Telling
from tests.importing.telling import told
from tickets.importing import ImportedTicket, platform, remote
from tickets.importing.answers import Answers
from tickets.importing.platform import NetworkSilent, Platform, Refused, ask_until_final, open_client
from tickets.scanning import Asked, Scan, foretell, gates, issuing, steps
from tickets.scanning.plan import Plan
from tickets.scanning.steps import Step

GOLDEN = Path(__file__).parent / "golden"
AT = Platform("http://here:8000", "dtvn_key")


class Said(NamedTuple):
    """An answer of the platform."""

    status: int
    content: Any = None
    """Text, or what is sent as JSON."""
    headers: dict[str, str] = {}
    takes: float = 0.0
    """Seconds."""


class Scripted(Telling):
    """A platform that gives these answers, one after the other; an exception is a connection that breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.answers: list[Said | type[httpx.TransportError]] = []
        self._how = ""

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The next answer to a request, which is told."""
        how = f"with {request.headers.get('X-API-Key')} in {told(request.extensions['timeout'])}"
        if how != self._how:
            self.say(how)
            self._how = how
        self.say(f"{request.method} {request.url}")
        body = request.read().decode() if isinstance(request.stream, httpx.SyncByteStream) else ""
        for line in body.splitlines():
            if line and not line.startswith("--"):
                self.say(f"   {line}")
        said = self.answers.pop(0)
        if not isinstance(said, Said):
            self.say(f"   -> {said.__name__}")
            raise said("it broke", request=request)
        self.now += said.takes
        self.say(f"   -> {said.status}{f' after {said.takes} s' if said.takes else ''}")
        content: dict[str, Any] = (
            {"text": said.content} if isinstance(said.content, str) else {"json": said.content}
        )
        return httpx.Response(said.status, headers=said.headers, **content)

    def pause(self, seconds: float) -> None:
        """Somebody waits."""
        self.say(f"waits {seconds:g} s")
        self.now += seconds

    async def play(self, title: str, work: Callable[[], Coroutine[Any, Any, Any]], *answers: Any) -> None:
        """Do some work with these answers; tell what it returns or raises."""
        self.chapter(title)
        self.answers = list(answers)
        try:
            self.say(f"= {told(await work())}")
        except (Refused, NetworkSilent) as error:
            self.say(f"{type(error).__name__}: {error}")
        self.say(f"{len(self.answers)} answers are left, at {self.now - 1000:g} s")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    found = Scripted()

    async def answer(_transport: object, request: httpx.Request) -> httpx.Response:
        turn = asyncio.Event()  # the others go on meanwhile
        asyncio.get_running_loop().call_soon(turn.set)
        await turn.wait()
        return found.answer(request)

    async def sleep(seconds: float) -> None:
        found.pause(seconds)

    loop = SimpleNamespace(time=lambda: found.now)
    clock = SimpleNamespace(monotonic=lambda: found.now, sleep=found.pause)
    paused = SimpleNamespace(**vars(asyncio) | {"sleep": sleep, "get_running_loop": lambda: loop})
    patches: list[tuple[ModuleType, str, object]] = [
        *((module, "asyncio", paused) for module in (platform, gates, issuing)),
        *((module, "time", clock) for module in (gates, remote)),
    ]
    for module, name, value in patches:
        monkeypatch.setattr(module, name, value)
    context = ssl.create_default_context()  # made once: that takes a while
    monkeypatch.setattr("httpx._transports.default.create_ssl_context", lambda **_: context)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answer)
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: found.answer(request))
    return found


def decided(code: str, outcome: str = "", sequence: str = "7") -> Said:
    """The answer to a scan."""
    content = {"outcome": outcome or ("done" if code == "ok" else "refused"), "code": code}
    return Said(200 if code == "ok" else 409, content, {"X-DTVN-Sequence": sequence})


@pytest.mark.asyncio
async def test_the_story_of_one_request(scripted: Scripted, golden: Compare) -> None:
    """Sent until its answer is final, with the pauses that the platform asks for, or doubling ones."""

    async def ask(patience: float, **how: Any) -> tuple[Any, ...]:
        async with open_client(AT, connections=3, patience=4.5) as client:
            scripted.say(f"at most {client._transport._pool._max_connections} connections")
            asked = await ask_until_final(client, "/api", {"a": [1]}, patience=patience, **how)
        answer = asked.response and (asked.response.status_code, asked.response.text)
        return answer, asked.attempts, asked.trouble

    busy, later = Said(503), {"Retry-After": "3"}
    for title, patience, how, answers in (
        ("at once", 0.0, {}, [Said(200, "fine")]),
        ("a refusal is final", 9.0, {"method": "GET"}, [Said(500, "broken")]),
        (
            "longer and longer",
            30.0,
            {},
            [Said(429), Said(502), busy, Said(504), busy, busy, busy, busy, Said(404, "")],
        ),
        ("as it is asked", 60.0, {}, [Said(503, "", later), Said(503, "", {"Retry-After": "99"}), Said(200)]),
        ("less than the pause", 9.0, {}, [Said(503, "", {"Retry-After": "0"}), Said(200)]),
        ("no number", 9.0, {}, [Said(503, "", {"Retry-After": "soon"}), Said(200)]),
        ("broken connections", 9.0, {}, [httpx.ConnectError, httpx.ReadError, Said(200)]),
        ("the end of patience", 0.3, {}, [busy, httpx.ReadTimeout, Said(502), Said(200)]),
        ("no patience", 0.0, {}, [busy, Said(200)]),
    ):
        await scripted.play(title, partial(ask, patience, **how), *answers)
    golden(GOLDEN / "asked-until-final.txt", scripted.text)


def scan(number: int, gate: int, **more: Any) -> Scan:
    """A scan of a plan."""
    return Scan(number, f"T-{number}", f"code {number}", f"gate-{gate}", f"scan-run-{number}", **more)


@pytest.mark.asyncio
async def test_the_story_of_gates(
    scripted: Scripted, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a race both scans are sent together; one whose other gate does not come goes on alone."""
    monkeypatch.setattr(gates, "RACE_PATIENCE", 60.0)  # it is over as soon as the other gate comes

    async def play(*by_gate: tuple[Scan, ...], **how: Any) -> Any:
        async with open_client(AT, connections=2, patience=4.5) as client:
            recorded = await gates.play(
                client,
                Plan(by_gate),
                event="fest",
                told=lambda one: scripted.say(f"told {one.scan.nonce}: {one.code or 'undecided'}"),
                **{"patience": 5.0} | how,
            )
        return [(one.scan.nonce, one.code, one.sequence, one.attempts, round(one.latency, 2), one.remark)
                for one in recorded]  # fmt: skip

    one, two = scan(1, 1), scan(2, 1)
    racing = scan(3, 1, races=True), scan(3, 2, races=True)
    other = scan(4, 2, races=True), scan(4, 3, races=True)
    no_number = Said(200, {"outcome": "admitted", "code": "ok"}, {"X-DTVN-Sequence": "soon"})
    plays: list[tuple[str, tuple[tuple[Scan, ...], ...], dict[str, Any], list[Any]]] = [
        (
            "one gate",
            ((one, two),),
            {},
            [decided("ok", "admitted"), Said(503, takes=0.25), decided("already_consumed", sequence="8")],
        ),
        ("with a pace", ((one, two),), {"pace": 1.5}, [no_number, decided("ok", sequence="")]),
        ("exits of a list", ((one,),), {"asked": Asked("vip", "exit")}, [decided("ok", "done")]),
        ("never decided", ((one, two),), {"patience": 0.1}, [*[httpx.ReadError] * 2, Said(504), Said(504)]),
        ("a race", ((racing[0], one), (two, racing[1])), {},
         [decided("ok"), decided("ok"), decided("blocked"), decided("already_consumed")]),
        ("two races at once", ((racing[0],), (other[0],), (racing[1], other[1])), {}, [decided("ok")] * 4),
        ("a race that the other gate does not come to", ((racing[0],),), {}, [decided("ok")]),
        ("the gate is at fault", ((one,),), {}, [Said(404, {"outcome": "failed", "code": "unknown_event"})]),
        ("no answer of a platform", ((one,),), {}, [Said(200, "<html>" * 50)]),
    ]  # fmt: skip
    for title, by_gate, how, answers in plays:
        if "does not come" in title:
            monkeypatch.setattr(gates, "RACE_PATIENCE", 0.0)
        await scripted.play(title, partial(play, *by_gate, **how), *answers)
    golden(GOLDEN / "asked-by-gates.txt", scripted.text)


STEPS = [
    Step(2, "entry", "c1", "", "main", "north", "n1", "no reason", "ok"),
    Step(3, "exit", "c1", "", "vip", "", "", "", ""),
    Step(4, "annul", "", "T-2", "main", "north", "", "", "ok"),
    Step(5, "annul_supervised", "c1", "", "main", "", "n2", "left early", ""),
    Step(6, "force", "", "T-2", "main", "", "", "wears it", "ok"),
]


@pytest.mark.asyncio
async def test_the_story_of_steps(scripted: Scripted, golden: Compare) -> None:
    """Those of one ticket in their order, those of another one beside them."""

    async def play(count: int, **how: Any) -> None:
        async with open_client(AT, connections=2, patience=4.5) as client:
            await steps.play_steps(
                client,
                STEPS[:count],
                event="fest",
                run="run",
                told=lambda one: scripted.say(
                    f"told row {one.step.row}: {one.code or 'undecided'} {one.ticket_id} {one.trouble} "
                    f"{'differs' if one.differs else 'as expected'}"
                ),
                **{"gates": 1, "patience": 5.0} | how,
            )

    of_ticket = [Said(200, {"code": code, "ticket_id": "T-1"}) for code in ("ok", "blocked", "ok")]
    others = [Said(409, {"code": "not_the_newest"}), Said(200, {"code": "ok", "ticket_id": None})]
    await scripted.play("one gate", lambda: play(5), *of_ticket, *others)
    mixed = [of_ticket[0], others[0], of_ticket[1], others[1], of_ticket[2]]
    await scripted.play("more gates than tickets", lambda: play(5, gates=9), *mixed)
    await scripted.play("never decided", lambda: play(1, patience=0.0), Said(503))
    for content in ({"code": "nonsense"}, {"error": "x" * 300}, "no JSON", []):
        await scripted.play("no answer of a step", lambda: play(1), Said(400, content))
    golden(GOLDEN / "asked-by-steps.txt", scripted.text)


def ticket(number: int, *codes: str, **more: Any) -> ImportedTicket:
    """A ticket of a file."""
    return ImportedTicket(row=number, ticket_id=f"T-{number}", event="fest", codes=codes, **more)


EVENT = {"declared": True, "products": [{"name": "Day", "admits": True}, {"name": "Mug", "admits": False}]}
FOUND: dict[str, Any] = {
    "State": "ISSUED", "product": "Day", "valid_from": None, "valid_until": None, "blocked": False,
    "block_reason": None, "barcode_valid": True, "entries_used": 0, "entries_allowed": 1,
}  # fmt: skip


@pytest.mark.asyncio
async def test_the_story_of_what_is_asked_before_a_scan(scripted: Scripted, golden: Compare) -> None:
    """Each code of each ticket, or its id where it has none; and what belongs to each reason."""

    async def ask(*tickets: ImportedTicket, **products: bool) -> Any:
        async with open_client(AT, connections=2, patience=4.5) as client:
            found = await foretell(
                client,
                "fest",
                tickets,
                products,
                now=1_785_510_000,
                patience=0.0,
                told=lambda: scripted.say("told"),
            )
        return [(one.ticket.row, one.code, one.file, one.network, one.more, one.fault) for one in found]

    def said(**fields: Any) -> Said:
        return Said(200, {"data": FOUND | fields})

    event, entry = Said(200, {"data": EVENT}), {"at": "2026-07-31T14:00:00+00:00", "gate": "north"}
    answers = [
        said(),
        said(barcode_valid=False),
        Said(404, {"hint": "It looks like a code."}),
        Said(404, {"hint": None}),
        Said(404, {}),
        said(blocked=True, block_reason="stolen"),
        said(blocked=True),
        said(State="DISPUTED"),
        said(valid_from="2026-08-01T00:00:00+02:00"),
        said(valid_until="2026-07-01T00:00:00+02:00"),
        said(product="Mug"),
        said(entries_used=1, last_entry=entry),
        said(entries_used=1, last_entry=entry | {"at": None}),
        said(entries_used=1, last_entry=entry | {"gate": ""}),
        said(entries_used=1),
    ]
    many = [ticket(2, "c1", "c2"), ticket(3), *(ticket(number, f"d{number}") for number in range(4, 16))]
    await scripted.play("each reason", lambda: ask(*many, Day=True), event, *answers)
    undeclared = Said(200, EVENT | {"declared": False})
    one = ticket(2, "c1", product="Mug")
    await scripted.play(
        "an event that was not created", lambda: ask(one, Mug=False), undeclared, said(product="Mug")
    )
    for title, *wrong in (
        ("no such event", Said(404, {})),
        ("no answer", Said(503)),
        ("a refusal", event, Said(401, "log in " * 50)),
        ("no answer about a code", event, Said(504)),
    ):
        await scripted.play(title, lambda: ask(one), *wrong)
    golden(GOLDEN / "asked-before.txt", scripted.text)


@pytest.mark.asyncio
async def test_what_is_foretold_stands_in_the_order_of_the_file(scripted: Scripted) -> None:
    """Whichever answer comes first."""
    second = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"data": EVENT})
        if json.loads(request.content)["barcode"] == "c1":
            await second.wait()
        second.set()
        return httpx.Response(404, json={})

    tickets = [ticket(2, "c1"), ticket(3, "c2")]
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url=AT.url) as client:
        found = await foretell(client, "fest", tickets, {}, now=0, patience=0.0, told=lambda: None)
    assert [one.code for one in found] == ["c1", "c2"]


def results(*found: tuple[int, str]) -> Said:
    """The answer to a batch."""
    return Said(
        207,
        {
            "data": {
                "results": [
                    {"status": status, "code": code, "error": f"because {code}"} for status, code in found
                ]
            }
        },
    )


@pytest.mark.asyncio
async def test_the_story_of_tickets_of_a_rehearsal(scripted: Scripted, golden: Compare) -> None:
    """What is undecided is sent again, and nothing else; one that exists is there."""

    async def send(patience: float = 5.0, **how: Any) -> None:
        async with open_client(AT, connections=1, patience=4.5) as client:
            tickets = [ticket(number, f"c{number}") for number in range(1, 6)]
            await issuing.issue_tickets(client, tickets, patience=patience, **how)

    ok, busy, there = (201, "ok"), (503, "unavailable"), (409, "ticket_exists")
    for title, how, answers in (
        ("in two batches", {"batch_size": 3}, [results(ok, ok, ok), results(ok, ok)]),
        ("some are undecided", {}, [results(ok, busy, ok, busy, there), results(busy, ok), results(there)]),
        ("the answer lacks some", {}, [results(ok, ok, busy), results(ok, ok, ok)]),
        ("the platform is busy", {}, [Said(503, "", {"Retry-After": "2"}), results(*[ok] * 5)]),
        ("undecided for too long", {"patience": 0.3}, [results(*[busy] * 5)] * 5),
        ("undecided at the end", {"patience": 0.25}, [results(*[busy] * 5)._replace(takes=0.25)] * 5),
        ("all decided after the end", {"patience": 0.25}, [results(*[ok] * 5)._replace(takes=9.0)]),
        ("no answer for too long", {"patience": 0.3}, [Said(503)] * 5),
        ("one is refused", {}, [results(ok, (403, "not_permitted"), busy, ok, ok)]),
        ("the key is wrong", {}, [Said(401, {})]),
        ("the key may not", {}, [Said(403, {})]),
        ("all is refused", {}, [Said(400, {"error": "too many"})]),
        ("all is refused without a word", {}, [Said(500, "x" * 300)]),
        ("all is refused by somebody else", {}, [Said(400, [])]),
    ):
        await scripted.play(title, partial(send, **how), *answers)
    golden(GOLDEN / "asked-to-issue.txt", scripted.text)


@pytest.mark.asyncio
async def test_the_story_of_an_import_from_afar(scripted: Scripted, golden: Compare) -> None:
    """Only what changes nothing is asked again after a lost answer."""

    async def upload(after: Callable[[remote.RemoteImport], Any] = lambda _: None) -> Any:
        with remote.RemoteImport(AT, patience=0.5) as one:
            one.upload(
                Path("folder/guests.csv"), b"barcode\nC1\n", event="fest", answers=Answers(code="barcode")
            )
            return after(one)

    def follow(one: remote.RemoteImport) -> Any:
        return one.follow(lambda state: scripted.say(f"told {state}"))

    made, reading = Said(200, {"id": 4}), Said(200, {"state": "reading"})
    pages = [Said(200, {"changes": [{"id": 1}, {"id": 2}]}), Said(200, {"changes": []})]
    for title, after, answers in (
        ("its number", lambda _: None, [made]),
        ("busy, then taken", lambda _: None, [httpx.ConnectError, Said(503), made]),
        ("nobody there", lambda _: None, [httpx.ConnectError] * 9),
        ("the answer is lost", lambda _: None, [httpx.ReadError, made]),
        ("the key is wrong", lambda _: None, [Said(401, {"error": "no"})]),
        ("refused", lambda _: None, [Said(400, {"error": "Choose a file."})]),
        ("refused without a reason", lambda _: None, [Said(409, {})]),
        ("somebody else answers", lambda _: None, [Said(200, "<html>" * 50)]),
        ("its differences", lambda one: list(one.changes("gone")), [made, *pages]),
        ("confirmed", lambda one: one.confirm(["change", "gone"]), [made, Said(200, {})]),
        ("confirmed unseen", lambda one: one.confirm([], unseen=True), [made, Said(200, {})]),
        ("discarded", lambda one: one.discard(), [made, Said(200, {})]),
        (
            "followed",
            follow,
            [made, *[reading] * 3, httpx.ReadError, Said(200, {"state": "issuing"}), reading,
             Said(200, {"state": "done"}), Said(200, {"state": "done", "report": {}})],
        ),
        ("followed in vain", follow, [made, reading, *[Said(502)] * 9]),
    ):  # fmt: skip
        await scripted.play(title, partial(upload, after), *answers)
    golden(GOLDEN / "asked-to-import.txt", scripted.text)
