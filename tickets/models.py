"""Ticket data that the platform keeps outside the log: holders (erasable), codes, zones and gates of events,
imports.

Tickets themselves are rows of the learner (validators.ledger); nothing here decides anything.
"""

from __future__ import annotations

from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.db import models

COMMITMENT_SALT_BYTES = 32
SEARCHED_CHARACTERS = 64
"""Characters of a name or an address in an index: PostgreSQL limits the size of an index row."""


class SearchKey(models.Func):
    """The first characters of a text in lower case, ordered by bytes: the key of a prefix search."""

    template = f"LOWER(SUBSTR(%(expressions)s, 1, {SEARCHED_CHARACTERS}))"
    output_field = models.TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template=f'({self.template} COLLATE "C")', **context)


class TicketHolder(models.Model):
    """The person who holds one ticket: personal data. The log holds only a commitment, salted with `salt`.

    Erasing blanks the person and the salt: the commitment then reveals nothing about a person any more. The
    row stays, so that a later import of the same file does not bring the person back.
    """

    event = models.CharField(max_length=64)
    ticket = models.CharField(max_length=128)
    name = models.TextField(blank=True, default="")
    order = models.TextField(blank=True, default="", db_default="", help_text="The seller's order number.")
    source = models.CharField(
        max_length=64,
        default="",
        db_default="",
        editable=False,
        help_text="tickets.importing.answers.source_key of the file that named the order: the orders of two "
        "sellers may have one number. Without one, none is known.",
    )
    email = models.TextField(blank=True, default="")
    phone = models.TextField(blank=True, default="")
    company = models.TextField(blank=True, default="")
    address = models.TextField(blank=True, default="")
    salt = models.BinaryField(max_length=COMMITMENT_SALT_BYTES, editable=False)
    imported_at = models.DateTimeField(auto_now_add=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["event", "ticket"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "ticket"], name="one_holder_per_ticket")
        ]
        indexes: ClassVar = [
            models.Index(fields=["ticket"], name="holders_by_ticket"),
            models.Index(SearchKey("name"), name="holders_by_name"),
            models.Index(SearchKey("email"), name="holders_by_email"),
            models.Index(SearchKey("order"), name="holders_by_order"),
            models.Index(
                fields=["event", "ticket"],
                condition=models.Q(erased_at__isnull=False),
                name="holders_erased",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event}/{self.ticket}"


class TicketCode(models.Model):
    """A code as it is printed on one ticket, for exports, searches and hints; the log holds its digest only.

    Written before the operation is sent, so what opens a ticket is what the log says, never this table. A
    code is no personal data: it stays when the holder is erased.
    """

    event = models.CharField(max_length=64)
    ticket = models.CharField(max_length=128)
    code = models.TextField(editable=False, help_text="In normal form (dtvn.machine.codes).")
    folded = models.TextField(editable=False, help_text="tickets.services.codes.folded")
    digest = models.CharField(max_length=64, editable=False, help_text="In hex, as the log knows it.")
    source = models.CharField(
        max_length=64,
        default="",
        db_default="",
        editable=False,
        help_text="tickets.importing.answers.source_key of the file that gave it; without one, of no file.",
    )

    class Meta:
        ordering: ClassVar = ["event", "ticket", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "ticket", "digest"], name="one_text_per_code")
        ]
        indexes: ClassVar = [
            models.Index(fields=["folded", "event"], name="codes_by_folded"),
            models.Index(fields=["event", "digest"], name="codes_by_digest"),
        ]

    def __str__(self) -> str:
        return f"{self.event}/{self.ticket}"


def check_zone(name: str) -> None:
    """Raise ValidationError if this is not a time zone's name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationError(f"{name[:64]!r} is unknown; use a name such as Europe/Berlin.") from error


class EventTimeZone(models.Model):
    """The time zone of one event: of times without an offset in its ticket files."""

    event = models.CharField(max_length=64, unique=True)
    zone = models.CharField(max_length=64, validators=[check_zone], help_text="such as Europe/Berlin")

    class Meta:
        ordering: ClassVar = ["event"]
        verbose_name = "time zone of an event"
        verbose_name_plural = "time zones of events"

    def __str__(self) -> str:
        return f"{self.event}: {self.zone}"


class EventGate(models.Model):
    """A gate that an event names, for stewards to choose."""

    event = models.CharField(max_length=64)
    name = models.CharField(max_length=64)
    order = models.PositiveSmallIntegerField(help_text="As the organiser wrote them down.")

    class Meta:
        ordering: ClassVar = ["event", "order"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "name"], name="one_gate_per_name_and_event")
        ]

    def __str__(self) -> str:
        return f"{self.event}: {self.name}"


class CodeWithin(models.Model):
    """An event whose printed tickets hold more than the code: a scan is searched for it. Set by an import."""

    event = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering: ClassVar = ["event"]
        verbose_name = "event with codes inside longer texts"
        verbose_name_plural = "events with codes inside longer texts"

    def __str__(self) -> str:
        return self.event


class ImportAnswers(models.Model):
    """What a person answered about the files of one source for one event: it holds for the next of them."""

    event = models.CharField(max_length=64, help_text="tickets.importing.plan.ImportPlan.scope")
    key = models.CharField(max_length=64, help_text="tickets.importing.answers.source_key")
    columns = models.JSONField(default=list, help_text="Columns of the last file, normalised.")
    answers = models.JSONField(help_text="tickets.importing.answers.Answers")
    file_name = models.CharField(max_length=200, help_text="The last file of this source.")
    actor = models.CharField(max_length=128)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["-changed_at"]
        verbose_name_plural = "import answers"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event", "key"], name="one_answer_per_event_and_source")
        ]

    def __str__(self) -> str:
        return self.file_name


class ImportState(models.TextChoices):
    READING = "reading", "Reading"
    ASKING = "asking", "Questions to answer"
    PREVIEW = "preview", "To be confirmed"
    ISSUING = "issuing", "Importing"
    DONE = "done", "Imported"
    STOPPED = "stopped", "Stopped"
    REFUSED = "refused", "Refused"


class TicketImport(models.Model):
    """A file of tickets given on the page. Pages write what is wanted, the worker that holds `token` what
    became of it. The content, and a preview with names, are deleted once it is imported or discarded."""

    file_name = models.CharField(max_length=200)
    content = models.BinaryField(default=b"", editable=False)
    options = models.JSONField(default=dict, help_text="tickets.importing.uploads.UploadOptions")
    actor = models.CharField(max_length=128)
    state = models.CharField(max_length=16, choices=ImportState.choices, default=ImportState.READING)
    token = models.CharField(max_length=32, help_text="Names the one task that may write here.")
    claimed = models.BooleanField(default=False)
    heartbeat_at = models.DateTimeField(help_text="Of the worker; before it began, when it was asked.")
    total = models.PositiveIntegerField(default=0, help_text="Tickets to import.")
    done = models.PositiveIntegerField(default=0, help_text="Tickets with a final answer.")
    preview = models.JSONField(default=dict)
    report = models.JSONField(default=dict)
    error = models.TextField(blank=True, default="", help_text="Why it stopped or was refused.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.file_name}, {self.state}"


class ShownDifference(models.Model):
    """A new ticket of a file, or a difference from the network, as it is shown to be confirmed. It names
    persons, so it is deleted with the preview."""

    of = models.ForeignKey(TicketImport, on_delete=models.CASCADE, related_name="shown")
    reading = models.CharField(
        max_length=32, help_text="Token of the worker that read the file: preview['reading'] of the import."
    )
    kind = models.CharField(max_length=16, help_text="tickets.importing.kinds.SHOWN_KINDS")
    key = models.CharField(max_length=32, help_text="tickets.importing.changes.Change.key")
    row = models.PositiveIntegerField(help_text="Of the file; 0: none.")
    event = models.CharField(max_length=64)
    ticket = models.CharField(max_length=128)
    words = models.TextField()
    chosen = models.BooleanField(default=False)
    done = models.BooleanField(
        default=False, help_text="The network is as it says; nothing is ordered again."
    )

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["reading", "kind", "id"], name="shown_by_kind"),
            models.Index(fields=["reading", "key"], name="shown_by_key"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.ticket}"
