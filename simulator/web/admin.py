"""Runs of the simulator in the admin, read-only. They are started and stopped over the API."""

from __future__ import annotations

from django.contrib import admin

from simulator.web.models import SimulatorRun
from simulator.web.services import output_of
from validators.dashboard.readonly import ReadOnlyAdmin


@admin.register(SimulatorRun)
class SimulatorRunAdmin(ReadOnlyAdmin):
    """Runs and their outcomes; a run cannot be changed here."""

    list_display = ("id", "status", "created_at", "finished_at", "nodes", "success_rate", "error")
    list_filter = ("status",)
    fields = (
        "status",
        "config",
        "created_at",
        "finished_at",
        "host",
        "progress",
        "results",
        "details",
        "error",
        "output",
    )
    readonly_fields = fields

    @admin.display(description="nodes")
    def nodes(self, run: SimulatorRun) -> str:
        """Number of nodes, and how many of them lied."""
        return f"{run.config['nodes']}, {run.config['byzantine_nodes']} Byzantine"

    @admin.display(description="success")
    def success_rate(self, run: SimulatorRun) -> str:
        """Percentage of successful rounds."""
        return f"{run.results['success_rate']:.2f} %" if run.results else ""

    @admin.display(description="output")
    def output(self, run: SimulatorRun) -> str:
        """The newest lines."""
        return "\n".join(output_of(run))
