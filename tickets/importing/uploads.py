"""Ticket files uploaded on the page: stored, read by a worker, confirmed and issued, or discarded."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import PurePath
from typing import Any

import msgspec
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from dtvn.api.errors import ServiceError, Unavailable
from dtvn.wording import counted
from tickets.importing import shown
from tickets.importing.answers import Answers
from tickets.importing.arguments import zone_of
from tickets.importing.kinds import UNASKED
from tickets.importing.platform import UNDECIDED
from tickets.importing.record import FileRefused
from tickets.importing.slugs import check_event
from tickets.models import ImportState, TicketImport
from validators.services.cluster import lock_cluster

WORKING = (ImportState.READING, ImportState.ISSUING)
OPEN = (
    ImportState.READING,
    ImportState.ASKING,
    ImportState.PREVIEW,
    ImportState.ISSUING,
    ImportState.STOPPED,
)
"""States in which the file is kept."""
ANSWERABLE = (ImportState.ASKING, ImportState.PREVIEW, ImportState.REFUSED)
"""States in which answers can be changed, if the file is kept: it is where answers led to the refusal."""
LOST_AFTER = timedelta(seconds=30)
"""Time without a heartbeat after which a worker counts as ended."""
FILE_KEPT = timedelta(hours=12)
"""Time after which the file of an import that is not confirmed, or not continued, is deleted."""
WORKING_MAX = 2
"""Most imports that workers have: each holds a file's tickets in memory, and takes one of the four slots that
the learner and simulations use too."""
IMPORTS_KEPT = 50
CHANGE_SCOPE = "operate"
"""Of entries that were made elsewhere, replaced codes, and changes of tickets in the network."""
FILE_NAME_MAX = 200

GONE = "mend the file, or choose them on the page."
CHANGED_MEANWHILE = "The file was read, or chosen from, again meanwhile: look at it once more."
UNTRUSTED = (
    "No file of this source was imported before, so nothing is applied without a person: import this one "
    "without --apply, or on the page."
)

Send = Callable[[int, str], object]
"""Asks a worker to work on (import id, token); raises kombu's OperationalError."""


class ImportRefused(ServiceError):
    """The request is not possible for this import now; the message is for the page."""

    code = "import_refused"


class UploadOptions(msgspec.Struct, frozen=True):
    """How a file is to be read; "" is the default of the command's argument."""

    event: str = ""
    answers: Answers = Answers()
    into: list[str] | None = None
    """The only event into which it goes; None: those that it names."""

    def check(self) -> None:
        """Raise FileRefused for a wrong answer."""
        for event in (self.event, *self.answers.events.values()):
            if event:
                check_event(event)
        if self.answers.timezone:
            zone_of(self.answers.timezone)


def begin(file_name: str, content: bytes, options: UploadOptions, *, actor: str, send: Send) -> TicketImport:
    """Take a file and have it read. Raises FileRefused for a wrong option, ImportRefused while workers have
    other files (_in_turn), Unavailable if no worker can be asked."""
    options.check()
    if not content:
        raise FileRefused("The file is empty.")
    settle()
    with _in_turn(actor=actor):
        made = TicketImport.objects.create(
            file_name=_plain_name(file_name),
            content=content,
            options=storable(msgspec.to_builtins(options)),
            actor=actor,
            token=secrets.token_hex(16),
            heartbeat_at=timezone.now(),
        )
    _ask(made, send)
    return made


def answer(one: TicketImport, options: UploadOptions, *, send: Send) -> None:
    """Have a file that is not confirmed read again under these answers. Raises as `begin`."""
    options.check()
    settle()
    with _in_turn(actor=one.actor):
        changed = TicketImport.objects.filter(pk=one.pk, state__in=ANSWERABLE, content__gt=b"").update(
            state=ImportState.READING,
            options=storable(msgspec.to_builtins(options)),
            preview={},
            report={},
            **_asked_now(),
        )
        if changed:
            shown.forget(of=one)
    one.refresh_from_db()
    if not changed:
        raise ImportRefused(f"Answers cannot be changed: the import is {one.get_state_display().lower()}.")
    _ask(one, send)


class Choice(msgspec.Struct, frozen=True):
    """What of the shown rows is confirmed, beside what was chosen before; new tickets are, from the start."""

    pages: Mapping[str, int] = {}
    """Kind -> number of the page that was shown: of its rows those in `ticked` are chosen, no others."""
    ticked: Collection[int] = ()
    """Ids of rows (ShownDifference)."""
    kinds: Collection[str] = ()
    """All rows of these are chosen, and of those below none."""
    unticked: Collection[str] = ()


def events_of(one: TicketImport) -> list[str]:
    """The events of an import, as far as they are known: the one that was chosen, or those of its tickets."""
    event = str(one.options.get("event") or "")
    return [event] if event else [str(each) for each in one.preview.get("events", ())]


def choose(one: TicketImport, choice: Choice) -> None:
    """Keep what a person ticked. A page that was drawn before is refused afterwards, if anything changed.
    Raises ImportRefused."""
    settle()
    with transaction.atomic():
        lock_cluster()
        _choose(one, choice)


def _choose(one: TicketImport, choice: Choice) -> None:
    """In a transaction that holds the cluster's lock."""
    mine = TicketImport.objects.filter(pk=one.pk, token=one.token, state=ImportState.PREVIEW)
    if not mine.exists():
        raise ImportRefused(CHANGED_MEANWHILE)
    changed = shown.tick(one, choice.pages, choice.ticked)
    changed += shown.choose(one, choice.kinds) + shown.choose(one, choice.unticked, chosen=False)
    if changed:
        one.token = secrets.token_hex(16)
        mine.update(token=one.token)


def confirm(
    one: TicketImport,
    *,
    actor: str,
    may_change: bool,
    send: Send,
    choice: Choice | None = None,
    unseen: bool = False,
) -> None:
    """Have what was chosen ordered, or go on with it. `unseen`: without a person, all but what is gone.
    `may_change`: whether the actor may change tickets that are in the network. Raises as `begin`, and
    ImportRefused where entries and changes need that, or for a source that is not trusted."""
    settle()
    choice = choice or Choice()
    if unseen:
        choice = _unseen(one, choice)
    if "gone" in choice.kinds and (why := _maybe_not_gone(one)):
        raise ImportRefused(why)
    issues = bool(one.preview.get("key"))
    with _in_turn(actor=actor, events=one.preview.get("events") if issues else ()):
        if one.state == ImportState.PREVIEW:
            _choose(one, choice)
        if not may_change and (one.report.get("operates") or shown.has_changes(one)):
            text = "Recording entries, replaced codes and changes of tickets needs the scope"
            raise ImportRefused(f"{text} {CHANGE_SCOPE!r}.", status=403)
        changed = TicketImport.objects.filter(
            pk=one.pk,
            token=one.token,  # else it was read or chosen from meanwhile
            state__in=(ImportState.PREVIEW, ImportState.STOPPED),
            content__gt=b"",
        ).update(
            state=ImportState.ISSUING if issues else ImportState.READING,
            actor=actor,
            **_asked_now(),
        )
    one.refresh_from_db()
    if not changed:
        raise ImportRefused(f"This import cannot be started: it is {one.get_state_display().lower()}.")
    _ask(one, send)


def _unseen(one: TicketImport, choice: Choice) -> Choice:
    """Also all kinds that are ordered without a person, if an earlier file of this source was imported."""
    if one.state == ImportState.PREVIEW and not one.preview.get("trusted"):
        raise ImportRefused(UNTRUSTED)
    if one.state == ImportState.PREVIEW and (changed := one.preview.get("changed")):
        raise ImportRefused(
            f"The answers about {', '.join(changed)} are not those of the last file of this source that was "
            "imported into this event, so nothing is applied without a person: import this one without "
            "--apply, or on the page."
        )
    return msgspec.structs.replace(choice, kinds={*choice.kinds, *UNASKED})


def _maybe_not_gone(one: TicketImport) -> str:
    """Why nobody should block all tickets that are gone without a look at them; "" for no reason."""
    gone = sum(kind["count"] for kind in one.report.get("kinds", ()) if kind["kind"] == "gone")
    if wrong := one.report.get("wrong_count"):
        return (
            f"{counted(wrong, 'row')} of the file cannot be read, and may be tickets that seem gone: {GONE}"
        )
    if gone > one.report.get("tickets", 0):
        return f"More tickets are gone ({gone:,}) than are in the file, as if it were a part: {GONE}"
    return ""


def _asked_now() -> dict[str, Any]:
    """Columns of an import that a worker is asked for now."""
    fresh = {"claimed": False, "error": "", "done": 0, "total": 0}
    return {"token": secrets.token_hex(16), "heartbeat_at": timezone.now(), **fresh}


def waits_for(one: TicketImport) -> str:
    """What an import under way waits for; completes "waiting for "."""
    if not one.claimed:
        return "a worker to take up the file"
    issuing = one.state == ImportState.ISSUING and one.total
    return UNDECIDED if issuing else "the worker to read the file"


def discard(one: TicketImport) -> None:
    """Delete an import and its file, unless a worker has it; tickets in the network stay."""
    settle()
    if not TicketImport.objects.filter(pk=one.pk).exclude(state__in=WORKING).delete()[0]:
        raise ImportRefused("A worker has this file now: try again when it has ended.")


def settle() -> None:
    """Mark imports whose worker ended as stopped: pages call it before they show one."""
    since = timezone.now() - LOST_AFTER
    lost = TicketImport.objects.filter(state__in=WORKING, heartbeat_at__lt=since)
    for claimed, why in (
        (True, "The worker ended before it was done."),
        (False, "No worker took it up within 30 s."),
    ):
        lost.filter(claimed=claimed).update(state=ImportState.STOPPED, error=why)


def forget_old() -> None:
    """Delete the files of abandoned imports, and the oldest imports."""
    settle()
    old = TicketImport.objects.filter(created_at__lt=timezone.now() - FILE_KEPT)
    old.filter(state__in=(*ANSWERABLE, ImportState.STOPPED), content__gt=b"").update(
        state=ImportState.REFUSED, content=b"", preview={}, error="Its file was deleted after 12 hours."
    )
    shown.forget(of__content=b"")
    kept = list(TicketImport.objects.values_list("pk", flat=True)[:IMPORTS_KEPT])
    TicketImport.objects.exclude(pk__in=kept).exclude(state__in=OPEN).delete()


@contextmanager
def _in_turn(*, actor: str, events: Collection[str] | None = ()) -> Iterator[None]:
    """A block in which one import may be given to a worker, to be read or, if `events` are given, to issue
    tickets of these; None: of any. Raises ImportRefused while workers have WORKING_MAX, or another one of
    this caller to be read, or one that issues tickets of the same event (0189)."""
    with transaction.atomic():
        lock_cluster()  # imports have no row that all of them could lock
        working = list(TicketImport.objects.filter(state__in=WORKING).defer("content"))
        for busy in working:
            if busy.state == ImportState.READING:
                clashes = events == () and busy.actor == actor
            else:
                theirs = busy.preview.get("events")
                clashes = events is None or theirs is None or not set(events).isdisjoint(theirs)
            if clashes:
                raise ImportRefused(f"{busy.file_name} is being imported: try again when it is done.")
        if len(working) >= WORKING_MAX:
            raise ImportRefused(f"{WORKING_MAX} files are being imported: try again when one is done.")
        yield


def _ask(one: TicketImport, send: Send) -> None:
    try:
        send(one.pk, one.token)
    except OperationalError as error:
        TicketImport.objects.filter(pk=one.pk, token=one.token).update(
            state=ImportState.STOPPED, error="No worker could be asked."
        )
        raise Unavailable("No worker is available to read the file; try again.") from error


def storable(value: Any) -> Any:
    """The value with its texts made storable in every database: no NUL, no half of a surrogate pair."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
        case dict():
            return {name: storable(item) for name, item in value.items()}
        case list():
            return [storable(item) for item in value]
        case _:
            return value


def _plain_name(name: str) -> str:
    """The last part of a file name, without characters that a database or a page cannot show."""
    shown = "".join(character if character.isprintable() else "?" for character in PurePath(name).name)
    return shown[-FILE_NAME_MAX:] or "file"
