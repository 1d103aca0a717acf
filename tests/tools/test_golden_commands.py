"""What the commands print and write, from a shop's file to the last guest.

Told are all words on both outputs, the exit code, the files that are written, and the rows that a command
leaves behind. The platform is the real one over HTTP; one gate scans, so that all is in one order.
"""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.golden import Compare
from tests.importing.telling import told
from tests.pages.learner import RealLearner
from tests.pages.stories import Story, clock
from tests.support.clock import SetClock
from tests.tools.test_scan_command import Platform
from tickets.importing import work
from tickets.management.commands import import_tickets

__all__ = ["clock"]
pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True, databases=["default", "learner"])

GOLDEN = Path(__file__).parent / "golden"
HEAD = "Order code,Position ID,Status,Product,Attendee name,Ticket secret,Valid from,Valid until,Seat\n"
FIRST = HEAD + "".join(
    f"{row}\n"
    for row in (
        "A7B3C,1,paid,Weekend,Ada,nvrpdkx3wwbm,,,A1",
        "A7B3C,2,paid,Weekend,Alan,emz7zb34ha8x,,2026-06-07 04:00,A2",
        "D8E4F,1,paid,T-shirt,Ada,4rf6u93k8nat,,,",
        "G9H5J,1,canceled,Weekend,Kurt,hcktdv2r38qy,,,A4",
        "K2L6M,1,paid,Weekend,Grace,mvj386urakm7,2100-08-01 12:00,2100-08-02 03:00,A5",
        "K2L6M,2,paid,Weekend,Grace,,,,A6",
        "P3Q4R,1,paid,Weekend,Max,4rf6u93k8nat,,,A7",
    )
)
LATER = HEAD + "".join(
    f"{row}\n"
    for row in (
        "A7B3C,1,paid,Weekend,Ada King,nvrpdkx3wwbm,,,A11",
        "A7B3C,2,canceled,Weekend,Alan,emz7zb34ha8x,,2026-06-07 04:00,A2",
        "K2L6M,1,paid,Weekend,Grace,n3wc0de,2100-08-01 12:00,2100-08-02 03:00,A5",
        "S5T6U,1,paid,Weekend,Zoë,5tu6vw7xyzab,,,A9",
    )
)
ANSWERS = ("--event", "fest", "--entrances", "Weekend", "--timezone", "Europe/Berlin")
MEASURED = {"seconds", "scans_per_second", "latency_ms"}
"""Fields of a result that say how fast it went."""


class Commands:
    """Runs commands, and tells all that they say."""

    def __init__(self, at: list[str], folder: Path) -> None:
        self.story = Story()
        self.story.names[str(folder)] = "FOLDER"
        self._at = at

    def run(self, name: str, *arguments: str, at: bool = True) -> str:
        """Run a command at the platform; returns what it printed."""
        story, out, errors, code, error = self.story, io.StringIO(), io.StringIO(), 0, ""
        story.say(f"$ {name} {' '.join(map(self._plain, arguments))}")
        try:
            call_command(name, *arguments, *(self._at if at else ()), stdout=out, stderr=errors)
        except SystemExit as end:
            code = int(end.code or 0)
        except CommandError as failed:
            code, error = failed.returncode, str(failed)
        for mark, text in (("", out.getvalue()), ("err: ", errors.getvalue()), ("error: ", error)):
            story.lines += [f"   {mark}{line}" for line in self._plain(text).splitlines()]
        story.say(f"   exit {code}")
        return out.getvalue()

    def result(self, *arguments: str) -> None:
        """Run `scan` for its JSON, without what differs from run to run."""
        story = self.story
        said = len(story.lines)
        found = json.loads(self.run("scan", *arguments, "--json"))
        del story.lines[said + 1]  # the same with what differs
        kept = {name: value for name, value in found.items() if name not in MEASURED}
        story.lines.insert(said + 1, told(kept, indent=3))

    def file(self, path: Path) -> None:
        """Tell what is in a file that a command wrote."""
        story = self.story
        story.say(f"the file {path.name}, mode {path.stat().st_mode & 0o777:o}:")
        text = re.sub(r'"latency_ms":[0-9.]+', '"latency_ms":...', path.read_text(encoding="utf-8"))
        story.say("\n".join(f"   {line}" for line in text.splitlines()))

    def _plain(self, text: str) -> str:
        text = text.replace(self._at[1], "URL")
        text = re.sub(r"in [0-9.]+ s: [0-9,]+ per second", "in ... s: ... per second", text)
        return re.sub(r"p50 .* ms, p95 .* ms, p99 .* ms, slowest .* ms", "p50 ..., slowest ...", text)


@pytest.fixture
def at(clock: SetClock, at: list[str]) -> list[str]:
    return at[:4]


@pytest.fixture
def commands(at: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setattr(sys, "stdin", None)
    return Commands(at, tmp_path)


def test_the_story_of_imports(
    commands: Commands, at: list[str], tmp_path: Path, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, report = tmp_path / "shop.csv", tmp_path / "report.txt"
    shop.write_text(FIRST, encoding="utf-8")
    words, story = (str(shop), *ANSWERS), commands.story
    story.part("Commands that cannot begin")
    for arguments in (
        [],
        [str(tmp_path / "absent.csv")],
        [*words, "--changes", "change,everything"],
        [*words, "--column", "nonsense=x"],
        [*words, "--report", "/nowhere/report"],
        [*words, "--timezone", "Mars/North"],
        [*words, "--entrances", "Weekend", "--no-entrance"],
        [str(shop), "--event", "a b"],
        [*words, "--url", "ftp://here"],
        [*words, "--api-key", "dtvn_wrong"],
    ):
        order = [*arguments[:1], *at, *arguments[1:]]
        commands.run("import_tickets", *order, at=False)
    story.part("Questions, a dry run, the import, and once more")
    commands.run("import_tickets", str(shop))
    commands.run("import_tickets", *words, "--dry-run", "--report", str(report))
    commands.run("import_tickets", *words, "--dry-run", "--new-event", "create", "--report", str(report))
    commands.file(report)
    commands.run("import_tickets", *words, "--new-event", "create", "--stewards-see-why")
    commands.run("import_tickets", *words, "--report", str(report))
    commands.file(report)
    story.part("A later file: what it says otherwise, ordered by kind, then all without a person")
    shop.write_text(LATER, encoding="utf-8")
    commands.run("import_tickets", *words, "--dry-run", "--report", str(report))
    commands.file(report)
    commands.run("import_tickets", *words, "--changes", "holder, gone")
    commands.run("import_tickets", *words, "--apply")
    commands.run("import_tickets", *words, "--apply", "--changes", "gone")
    story.part("Few lines, a silent network, a file that is refused")
    monkeypatch.setattr(import_tickets, "REPORTED_MAX", 1)
    shop.write_text(FIRST.replace("A1\n", "B1\n").replace("A5\n", "B5\n"), encoding="utf-8")
    commands.run("import_tickets", *words, "--dry-run")
    shop.write_bytes(b"\x00\x01")
    commands.run("import_tickets", *words)
    story.end(golden, GOLDEN / "import-command.txt")


def test_the_story_of_many_events(commands: Commands, tmp_path: Path, golden: Compare) -> None:
    """More events than lines, in two zones."""
    path = tmp_path / "many.csv"
    rows = "".join(f"C-{number},E-{number % 12}\n" for number in range(30))
    path.write_text(f"barcode,event\n{rows}C-30,E-1\n,E-2\n", encoding="utf-8")
    names = [word for number in range(12) for word in ("--event-name", f"E-{number}=e{number}")]
    commands.run("import_tickets", str(path), *names, "--new-event", "create", "--timezone", "Asia/Tokyo")
    commands.run("import_tickets", str(path), *names, "--dry-run")
    commands.story.end(golden, GOLDEN / "import-command-events.txt")


def test_an_import_that_stops_half_way(
    commands: Commands, learner: RealLearner, tmp_path: Path, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = tmp_path / "shop.csv"
    shop.write_text(FIRST, encoding="utf-8")
    monkeypatch.setattr(work, "PATIENCE", 0.0)
    learner.gateway.quorum = False
    commands.run("import_tickets", str(shop), *ANSWERS, "--new-event", "create", "--patience", "0.1")
    learner.gateway.quorum = True
    commands.run("import_tickets", str(shop), *ANSWERS, "--new-event", "create")
    commands.story.end(golden, GOLDEN / "import-command-stopped.txt")


DAY = """\
act,code,ticket_id,list,gate,device,reason,expect
entry,nvrpdkx3wwbm,,,north,n1,,ok
entry,nvrpdkx3wwbm,,,south,s1,,already_consumed
entry,nvrpdkx3wwbm,,vip,lounge,l1,,ok
exit,nvrpdkx3wwbm,,vip,lounge,l1,,ok
exit,nvrpdkx3wwbm,,vip,lounge,l1,,ok
entry,emz7zb34ha8x,,,north,n1,,ok
annul,emz7zb34ha8x,,,south,s1,,ok
annul,emz7zb34ha8x,,,north,n1,,ok
annul_supervised,nvrpdkx3wwbm,,,north,n1,left early,ok
entry,4rf6u93k8nat,,,north,n1,,
force,4rf6u93k8nat,,,north,n1,wears it,ok
entry,,A7B3C-2,vip,lounge,l2,by name,ok
entry,nobody,,,north,n1,,ok
"""
WRONG_DAYS = (
    "act,code\n",
    "code,gate\nx,n\n",
    "act,gate\nentry,n\n",
    "act,code,colour\nentry,x,red\n",
    "act,code\njump,x\n",
    "act,code,ticket_id\nentry,x,y\n",
    "act,code\nentry,\n",
    "act,code\nforce,x\n",
    "act,code,expect\nentry,x,fine\n",
    "act,code\nentry,x,y\n",
)


def test_the_story_of_scans(
    commands: Commands, at: list[str], tmp_path: Path, clock: SetClock, golden: Compare
) -> None:
    shop, record, story = tmp_path / "shop.csv", tmp_path / "record.jsonl", commands.story
    shop.write_text(FIRST, encoding="utf-8")
    one_gate = ("--gates", "1", "--seed", "7")
    story.part("Before the import")
    for arguments in (
        [],
        [str(shop), "--rehearse", "5"],
        ["--steps", str(shop)],
        ["--rehearse", "5", "--check"],
        [str(shop), "--check", "--exit"],
        ["--rehearse", "5", "--exit"],
        [str(shop), "--gates", "0"],
        [str(shop), "--duplicates", "1.5"],
        [str(shop)],
        [str(shop), *ANSWERS],
    ):
        commands.run("scan", *arguments)
    platform = Platform(at)
    platform.client.put("/api/v1/events/fest", json={"lists": [{"list": "vip", "rule": "free"}]})
    commands.run("scan", str(shop), *ANSWERS, "--check")
    commands.run("import_tickets", str(shop), *ANSWERS)
    platform.order("block", "A7B3C-2", reason="stolen")
    story.part("What would be answered, then what is")
    commands.run("scan", str(shop), *ANSWERS, "--check")
    commands.run("scan", str(shop), *ANSWERS, "--check", "--json")
    platform.order("unblock", "A7B3C-2")
    commands.run("scan", str(shop), *ANSWERS, *one_gate, "--duplicates", "0.5", "--record", str(record))
    commands.file(record)
    commands.run("scan", str(shop), *ANSWERS, *one_gate, "--record", str(tmp_path / "no" / "r"))
    commands.result(str(shop), *ANSWERS, *one_gate, "--duplicates", "0")
    commands.run("scan", str(shop), *ANSWERS, *one_gate, "--list", "vip", "--limit", "2")
    commands.run("scan", str(shop), *ANSWERS, *one_gate, "--list", "vip", "--exit", "--limit", "1")
    commands.run("scan", str(shop), *ANSWERS, *one_gate, "--list", "roof")
    story.part("A day later, all windows are over")
    clock.forward(3 * 86_400)
    shop.write_text("".join(FIRST.splitlines(keepends=True)[:3:2]), encoding="utf-8")
    commands.run("scan", str(shop), *ANSWERS, "--check")
    platform.client.close()
    story.end(golden, GOLDEN / "scan-command.txt")


def test_the_story_of_a_day_of_steps(
    commands: Commands, at: list[str], tmp_path: Path, golden: Compare
) -> None:
    shop, day = tmp_path / "shop.csv", tmp_path / "day.csv"
    shop.write_text(FIRST, encoding="utf-8")
    platform, story = Platform(at), commands.story
    platform.client.put("/api/v1/events/fest", json={"lists": [{"list": "vip", "rule": "free"}]})
    commands.run("import_tickets", str(shop), *ANSWERS)
    story.restart()
    for text in WRONG_DAYS:
        day.write_text(text, encoding="utf-8")
        commands.run("scan", "--steps", str(day), "--event", "fest")
    day.write_text(DAY, encoding="utf-8")
    commands.run("scan", "--steps", str(day), "--event", "fest", "--gates", "1")
    commands.run("scan", "--steps", str(day), "--event", "fest", "--gates", "1", "--json")
    commands.run("scan", "--steps", str(day), "--event", "gala", "--gates", "1")
    platform.client.close()
    story.end(golden, GOLDEN / "scan-steps.txt")


def test_the_story_of_a_rehearsal(
    commands: Commands, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its event is named after the day of the machine."""
    commands.result("--rehearse", "6", "--gates", "1", "--seed", "3", "--duplicates", "0.5")
    text = re.sub(r"rehearsal-[0-9]{4}-[0-9]{2}-[0-9]{2}", "rehearsal-TODAY", "\n".join(commands.story.lines))
    golden(GOLDEN / "rehearsal.txt", "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n")


def test_the_story_of_exports(commands: Commands, at: list[str], tmp_path: Path, golden: Compare) -> None:
    shop, story = tmp_path / "shop.csv", commands.story
    shop.write_text(FIRST, encoding="utf-8")
    commands.run("import_tickets", str(shop), *ANSWERS, "--new-event", "create")
    story.restart()
    for arguments in (
        ["tickets", "out.pdf"],
        ["tickets", "out.csv", "--event", "a b"],
        ["tickets", "out.csv", "--event", "gala"],
        ["tickets", "nowhere/out.csv"],
        ["tickets", "out.CSV", "--event", "fest"],
        ["admission", "out.json"],
        ["outcomes", "out.csv"],
        ["interventions", "out.csv", "--event", "fest"],
    ):
        kind, name, *more = arguments
        commands.run("export_tickets", kind, str(tmp_path / name), *more, at=False)
        if (written := tmp_path / name).exists():
            commands.file(written)
    story.end(golden, GOLDEN / "export-command.txt")
