"""Runs of agents that the cluster judged: digests, codes and certificates, and events only of runs that wait
for the members' judgement.

Rows are bounded (services.run_rows, services.owed_rows) and may be erased. What a recorded run was certified
by stays in the ordered log: digests and codes, and in each vote the names of thread and run.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from dtvn.api.event_bodies import RUN_NAME_LENGTH_MAX
from dtvn.events.config import Algorithm


class RunStatus(models.TextChoices):
    OPEN = "open", "Open"
    ENDED = "ended", "Ended"
    LOST = "lost", "Lost"


class RunVerdict(models.TextChoices):
    VALID = "valid", "Valid"
    INVALID = "invalid", "Not valid"
    NONE = "none", "No verdict"


class Owed(models.TextChoices):
    """What became of a verdict that the rules of a web process gave alone; "" where none did."""

    WAITING = "waiting", "Waits for the members"
    SETTLED = "settled", "Judged by the members"
    REFUSED = "refused", "Not judged by the members"


class JudgedRun(models.Model):
    """One run under one algorithm, as far as certificates cover it."""

    thread = models.CharField(max_length=RUN_NAME_LENGTH_MAX)
    run = models.CharField(max_length=RUN_NAME_LENGTH_MAX)
    algorithm = models.CharField(max_length=16, choices=[(each.value, each.value) for each in Algorithm])
    actor = models.CharField(max_length=128, help_text="Who had it judged.")
    status = models.CharField(max_length=8, choices=RunStatus.choices, default=RunStatus.OPEN)
    verdict = models.CharField(max_length=8, choices=RunVerdict.choices, default=RunVerdict.NONE)
    events = models.BigIntegerField(default=0, help_text="Events that certificates cover.")
    delivered = models.BigIntegerField(default=0, help_text="Events accepted before the first refusal.")
    refused = models.BigIntegerField(default=0)
    code = models.CharField(max_length=64, blank=True, default="", help_text="Rule id of the first refusal.")
    failure = models.CharField(
        max_length=64, blank=True, default="", help_text="Rule id, where the newest events have no verdict."
    )
    scope = models.CharField(
        max_length=64, blank=True, default="", help_text="Head of the run, which names its certificate."
    )
    recorded = models.BooleanField(default=False, help_text="The ordered log records its heads.")
    record_code = models.CharField(
        max_length=64, blank=True, default="", help_text="Outcome of the last record, once it has ended."
    )
    epoch = models.BigIntegerField(default=0)
    votes = models.JSONField(default=dict, blank=True, help_text="How often each member gave which answer.")
    violations = models.JSONField(default=list, blank=True, help_text="Index, rule, severity and field.")
    omitted = models.JSONField(default=dict, blank=True, help_text="Violations not listed, by rule.")
    pieces_left_out = models.BigIntegerField(default=0, help_text="Pieces that are not kept.")
    owed = models.CharField(max_length=8, choices=Owed, blank=True, default="", db_index=True)
    here_at = models.DateTimeField(null=True, blank=True, help_text="When the platform's rules judged alone.")
    here_code = models.CharField(
        max_length=64, blank=True, default="", help_text="Rule id of their first refusal then."
    )
    settled_at = models.DateTimeField(null=True, blank=True, help_text="When the members judged it.")
    differs = models.BooleanField(default=False, help_text="The members said otherwise.")
    differences = models.JSONField(default=list, blank=True, help_text="Index, rule here, members' rule.")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["status", "changed_at"])]

    def __str__(self) -> str:
        return f"{self.thread} / {self.run}, {self.algorithm}"


class OwedRun(models.Model):
    """A run whose events wait for the members' judgement; deleted once they have judged, or cannot."""

    judged_run = models.OneToOneField(JudgedRun, on_delete=models.CASCADE, primary_key=True)
    drop_unknown = models.BooleanField()
    codes = models.JSONField(help_text="Index and rule id of each event judged here; empty: accepted.")
    size = models.BigIntegerField(help_text="Bytes of its events.")
    claimed_until = models.DateTimeField(null=True, help_text="A web process has it judged until then.")

    def __str__(self) -> str:
        return f"events of run {self.judged_run_id} that wait"


class OwedPart(models.Model):
    """Consecutive events of such a run."""

    owed_run = models.ForeignKey(OwedRun, on_delete=models.CASCADE, related_name="parts")
    position = models.BigIntegerField()
    data = models.BinaryField(help_text="Salt and text of each.")

    class Meta:
        ordering: ClassVar = ["position"]

    def __str__(self) -> str:
        return f"events from {self.position} on of run {self.owed_run_id}"


class RunPiece(models.Model):
    """Consecutive events that were judged as a whole, and how each member voted."""

    judged_run = models.ForeignKey(JudgedRun, on_delete=models.CASCADE, related_name="pieces")
    position = models.BigIntegerField()
    count = models.PositiveIntegerField()
    verdict = models.CharField(max_length=8, choices=RunVerdict.choices)
    code = models.CharField(max_length=64, blank=True, default="")
    text = models.TextField(blank=True, default="")
    errors = models.JSONField(default=list)
    epoch = models.BigIntegerField()
    partial = models.BooleanField()
    scope = models.CharField(max_length=64)
    members = models.JSONField()
    certificate = models.BinaryField(default=b"", help_text="Empty if too few equal votes came.")

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"events {self.position} to {self.position + self.count - 1} of run {self.judged_run_id}"


class RunRecord(models.Model):
    """Events that the ordered log covers, with the certificate that the log holds."""

    judged_run = models.ForeignKey(JudgedRun, on_delete=models.CASCADE, related_name="records")
    position = models.BigIntegerField()
    count = models.PositiveIntegerField()
    certificate = models.BinaryField()
    head = models.CharField(max_length=64)
    sequence = models.BigIntegerField()
    index = models.PositiveIntegerField()
    timestamp = models.BigIntegerField(help_text="Batch time, Unix microseconds.")

    class Meta:
        ordering: ClassVar = ["position"]

    def __str__(self) -> str:
        return f"record {self.sequence}.{self.index} of run {self.judged_run_id}"
