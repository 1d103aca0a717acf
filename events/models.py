"""Runs of agents that the cluster judged: digests, codes and certificates, no event.

Rows are bounded (services.run_rows) and may be erased. What a recorded run was certified by stays in the
ordered log: digests and codes, and in each vote the names of thread and run.
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
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["status", "changed_at"])]

    def __str__(self) -> str:
        return f"{self.thread} / {self.run}, {self.algorithm}"


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
