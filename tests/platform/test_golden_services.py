"""Tells what small services of the platform keep and answer: attempts to log in, actions and announcements
that are kept in bounded number, logs of nodes that are read while written, the age of a follower's copy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone

from dtvn.api.errors import InvalidRequest
from dtvn.node.logs import BEGUN
from tests.api.telling import Story, beside
from tests.golden import Compare, Telling
from validators.ledger import read
from validators.models import Announcement, LoginAttempts, ManagedNode, PlatformAction
from validators.services import announcing, audit, following, login_throttle, node_logs
from validators.services.login_throttle import WINDOW, LoginThrottled
from validators.services.nodes import register_nodes

START = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)


@pytest.mark.django_db
def test_which_attempts_to_log_in_are_counted(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, story, now = Random(12), Telling(), START
    monkeypatch.setattr(timezone, "now", lambda: now)
    monkeypatch.setattr(login_throttle, "ROWS_MAX", 6)
    subjects = [f"subject {number}" for number in range(9)]
    for _ in range(400):
        now += chance.choice((timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=20)))
        if chance.random() < 0.02:
            now += chance.choice((WINDOW, WINDOW - timedelta(seconds=1)))
        subject = subjects[min(int(chance.expovariate(0.8)), 8)]
        draw = chance.random()
        said = ""
        if draw < 0.85:
            try:
                said = f"attempt {login_throttle.begin(subject)}"
            except LoginThrottled as refused:
                said = f"{refused} {refused.headers}"
        elif draw < 0.95:
            login_throttle.take_back(subject)
            said = "taken back"
        else:
            login_throttle.succeed(subject)
            said = "succeeded"
        rows = [
            f"{row.pk[-1]} {row.tries} {(row.since - START).seconds}"
            for row in LoginAttempts.objects.order_by("pk")
        ]
        story.say(f"{(now - START).seconds} {subject}: {said}; {rows}")
    golden.drawn(beside(__file__, "drawn-logins"), story.text)


def test_whose_address_counts(golden: Compare, settings: Any) -> None:
    story = Story()
    for behind in (False, True):
        settings.BEHIND_PROXY = behind
        for direct in ("192.0.2.7", "2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.7", "unix:", ""):
            for forwarded in (None, "198.51.100.1", "203.0.113.9, 2001:db8::1", "words", " 198.51.100.2 "):
                request = HttpRequest()
                request.META["REMOTE_ADDR"] = direct
                if forwarded is not None:
                    request.META["HTTP_X_FORWARDED_FOR"] = forwarded
                found = login_throttle.client_address(request)
                story.say(f"proxy {behind}, {direct!r}, {forwarded!r}: {found!r}")
    story.say(f"no request: {login_throttle.client_address(None)!r}")
    golden(beside(__file__, "addresses_of_clients"), str(story))


@pytest.mark.django_db
def test_old_announcements_are_deleted() -> None:
    announcing.announce(node_id="node0")
    first = Announcement.objects.get().pk
    Announcement.objects.bulk_create(Announcement(node_id="node1") for _ in range(2_500))
    while Announcement.objects.latest("pk").pk % 100:
        announcing.announce(node_id="node2", status="running")
    newest, oldest = Announcement.objects.latest("pk").pk, Announcement.objects.earliest("pk").pk
    assert newest - oldest == announcing.ANNOUNCEMENTS_KEPT - 1
    assert oldest > first
    announcing.announce(node_id="node2")
    assert Announcement.objects.earliest("pk").pk == oldest, "once in a hundred"


@pytest.mark.django_db
def test_actions_of_unknown_callers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "UNKNOWN_MAX", 150)
    audit.record("user:ada", "log in")
    for number in range(405):
        audit.record("", f"attempt {number}")
    kept = PlatformAction.objects.filter(actor="").count()
    assert 150 <= kept <= 250
    assert PlatformAction.objects.filter(actor="user:ada").count() == 1
    newest = PlatformAction.objects.filter(actor="").latest("pk")
    assert newest.action == "attempt 404"


@pytest.mark.django_db
def test_what_is_recorded_of_an_action(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    audit.record("user:" + "v" * 200, "w" * 200, "c\n\x00" + "x" * 300, "y" * 99, "z" * 60)
    with audit.recorded("key:1", "start cluster", "node0", address="192.0.2.7"):
        story.rows(PlatformAction, "actor", "outcome")
    for error in (InvalidRequest("no"), ZeroDivisionError()):
        with pytest.raises(type(error)), audit.recorded("key:2", "stop cluster"):
            raise error
    row = audit.record("", "log in", "ada")
    audit.finish(row, "refused" * 20)
    story.rows(PlatformAction, "actor", "action", "target", "outcome", "address")
    golden(beside(__file__, "recorded_actions"), str(story))


def test_what_is_read_of_a_log_that_is_written_meanwhile(
    golden: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """Lines of all levels, long ones and halves of them; the file is rotated, cut and removed."""
    settings.DATA = tmp_path
    for name, value in (("READ_AT_ONCE", 64), ("FRESH_BYTES_MAX", 400), ("LINE_CHARACTERS_MAX", 60)):
        monkeypatch.setattr(node_logs, name, value)
    chance, story = Random(13), Telling()
    path = node_logs.log_file("node0")
    path.parent.mkdir(parents=True)
    tail, whole = node_logs.Tail(path), node_logs.Tail(path, whole=True)
    for turn in range(300):
        draw = chance.random()
        if draw < 0.04:
            path.replace(path.with_name("node.log.1")) if path.exists() else None
        elif draw < 0.06:
            path.write_bytes(b"")
        with path.open("ab") as file:
            for _ in range(chance.choice((0, 0, 1, 1, 3, 12))):
                level = chance.choice(("INFO", "DEBUG", "WARNING", "ERROR"))
                text = f"turn {turn} " + "é" * chance.choice((1, 5, 70))
                line = f"2026-01-01T00:00:00Z {level} {text}\n"
                if chance.random() < 0.05:
                    line = f"2026-01-01T00:00:00Z INFO {BEGUN}\n"
                if chance.random() < 0.1:
                    line = chance.choice(("  File x\n", "\n", "Traceback\n", "half"))
                file.write(line.encode())
        seen = tail.fresh()
        story.say(f"{turn} {seen} {whole.fresh() == seen}")
        if turn % 5 == 0:
            story.lines += [
                f"  {line}" for line in node_logs.last_lines("node0", chance.choice((1, 3, 10, 99)))
            ]
    golden.drawn(beside(__file__, "drawn-logs"), story.text)


@pytest.mark.django_db
def test_how_old_a_followers_copy_is(
    golden: Compare, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    story, now = Story(), 1_800_000_000.0
    settings.DATA, settings.FOLLOWS = tmp_path, {"writes_at": "https://x"}
    register_nodes([])
    monkeypatch.setattr(following, "time", SimpleNamespace(time=lambda: now))
    sequence: list[Any] = [1_234_567]

    def applied(_alias: str) -> int:
        if isinstance(sequence[0], Exception):
            raise sequence[0]
        return int(sequence[0])

    monkeypatch.setattr(read, "applied_sequence", applied)
    learner = ManagedNode.objects.filter(node_id="learner")
    for age in (None, -5, 0, 15, 15.1, 60, 60.1, 119, 120, 7_199, 7_200, 172_799, 172_800, "text"):
        micro = {"as_of": round((now - age) * 1e6)} if isinstance(age, (int, float)) else {"as_of": age}
        learner.update(report=micro if age is not None else {})
        found, state = following.freshness(), following.state()
        story.say(
            f"{age}: {found.as_of} {found.age} {found.level}; {found.sentence}; "
            f"{state.sentence}, {state.level}"
        )
    sequence[0] = DatabaseError("no ledger")
    story.say(f"no ledger: {following.freshness()}; {following.told()}")
    for follows in ({"writes_at": ""}, {}, None):
        settings.FOLLOWS = follows
        story.say(f"{follows}: {following.is_follower()} {following.told()}")
        story.say(f"  {following.read_only()} {following.not_here()}")
    settings.FOLLOWS = {"no_pages": True}
    monkeypatch.setattr(following, "report_in", lambda data: {"as_of": round((now - 7) * 1e6)})
    story.say(f"without pages: {following.freshness()}")
    learner.delete()
    settings.FOLLOWS = {"writes_at": ""}
    story.say(f"no learner: {following.freshness()}")
    golden(beside(__file__, "freshness"), str(story))
