"""Runs of the simulator, and the events that each of them reported."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class RunStatus(models.TextChoices):
    RUNNING = "running", "Running"
    COMPLETE = "complete", "Complete"
    ERROR = "error", "Error"
    STOPPED = "stopped", "Stopped"


class SimulatorRun(models.Model):
    """One run. The services write the requested state, the process that plays it the actual one."""

    status = models.CharField(max_length=16, choices=RunStatus.choices, default=RunStatus.RUNNING)
    only = models.BooleanField(
        null=True, unique=True, default=True, help_text="True while it runs, then null: one run at a time."
    )
    config = models.JSONField()
    trace = models.BooleanField(default=False, help_text="Every event is written to a file.")
    trace_bytes = models.BigIntegerField(default=0, help_text="Of the trace as it was told; 0 without one.")
    created_at = models.DateTimeField(auto_now_add=True)
    stop_asked_at = models.DateTimeField(null=True, blank=True)
    host = models.CharField(max_length=255, blank=True, default="", help_text="Where it was taken up.")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    progress = models.JSONField(null=True, blank=True)
    results = models.JSONField(null=True, blank=True)
    details = models.JSONField(default=dict, blank=True, help_text="What the contract's results leave out.")
    error = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"run {self.pk}, {self.status}"


class SimulatorEvent(models.Model):
    """One frame of the live feed, in the order of reporting. Output lines are stored here too."""

    run = models.ForeignKey(SimulatorRun, on_delete=models.CASCADE, related_name="events")
    type = models.CharField(max_length=32)
    content = models.JSONField()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.type} of run {self.run_id}"
