"""/simulator: bare JSON values, as for all routes of the platform itself (spec 3.2)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from simulator.web import services
from simulator.web.models import SimulatorRun
from simulator.web.tasks import send
from simulator.web.wish import read_wish
from tickets.rest.objects import pairs_of
from tickets.rest.queries import next_link, read_limit
from tickets.services import InvalidRequest
from validators.rest.errors import ApiError
from validators.rest.http import json_response, read_body
from validators.rest.nodes import OwnView

__all__ = [
    "OutputView",
    "ResultsView",
    "RunView",
    "RunsView",
    "SimulatorView",
    "StartView",
    "StopView",
    "TraceView",
]

RUN_DIGITS_MAX = 18


class SimulatorView(OwnView):
    """GET /simulator."""

    def get(self, http: Request) -> HttpResponse:
        """Status and output, and what there is of configuration, progress and results."""
        run = services.current_run()
        shown: dict[str, Any] = {"status": services.shown_status(run), "output": services.output_of(run)}
        if run is not None:
            shown["run_id"] = run.pk
            shown["config"] = run.config
            shown |= {
                name: value for name in ("progress", "results") if (value := getattr(run, name)) is not None
            }
            if run.error:
                shown["error"] = run.error
        return json_response(shown)


class StartView(OwnView):
    """POST /simulator/start."""

    scopes: ClassVar = {"POST": "admin"}

    def post(self, http: Request) -> HttpResponse:
        """Start a run in a worker; 409 while one runs."""
        run = services.start(read_wish(read_body(http)), send)
        return json_response({"status": "started", "config": run.config, "run_id": run.pk})


class StopView(OwnView):
    """POST /simulator/stop."""

    scopes: ClassVar = {"POST": "admin"}

    def post(self, http: Request) -> HttpResponse:
        """Ask the run to end; 409 when there is none."""
        services.stop()
        return json_response({"status": "stopping"})


class OutputView(OwnView):
    """GET /simulator/output."""

    def get(self, http: Request) -> HttpResponse:
        """The newest lines of the newest run."""
        return json_response({"output": services.output_of(services.current_run())})


class ResultsView(OwnView):
    """GET /simulator/results."""

    def get(self, http: Request) -> HttpResponse:
        """Of the newest run; 404 until it is complete."""
        run = services.current_run()
        if run is None or run.results is None:
            raise ApiError(404, "no_results", "no results available")
        return json_response(run.results)


class RunsView(OwnView):
    """GET /simulator/runs."""

    def get(self, http: Request) -> HttpResponse:
        """Runs that are kept, newest first; `limit`, `after` (a run's id)."""
        query = http._request.GET
        limit, after = read_limit(query), query.get("after")
        services.current_run()
        runs = SimulatorRun.objects.order_by("-id")
        total = runs.count()
        if after is not None:
            if not (after.isascii() and after.isdigit() and len(after) <= RUN_DIGITS_MAX):
                raise InvalidRequest("after must be the id of a run")
            runs = runs.filter(id__lt=int(after))
        found = list(runs[: limit + 1])
        headers = {"X-Total-Count": str(total)}
        if len(found) > limit:
            found.pop()
            headers["Link"] = next_link(http._request.path, pairs_of(query), str(found[-1].pk))
        return json_response([_run(run) for run in found], headers=headers)


class RunView(OwnView):
    """GET /simulator/runs/{id}."""

    def get(self, http: Request, run_id: int) -> HttpResponse:
        """One run with its output."""
        run = _find(run_id)
        return json_response(_run(run) | {"output": services.output_of(run)})


class TraceView(OwnView):
    """GET /simulator/runs/{id}/trace."""

    def get(self, http: Request, run_id: int) -> HttpResponseBase:
        """Every event, a JSON array a line (simulator/tracing.py), for runs started with `trace`."""
        run = _find(run_id)
        try:
            file = services.trace_file(run.pk).open("rb") if run.trace_bytes else None
        except FileNotFoundError:
            file = None
        if file is None:
            raise ApiError(404, "no_trace", f"No trace of run {run_id} is kept here.")
        name = f"run-{run_id}.jsonl.gz"
        return FileResponse(file, as_attachment=True, filename=name, content_type="application/gzip")


def _find(run_id: int) -> SimulatorRun:
    services.current_run()
    run = SimulatorRun.objects.filter(pk=run_id).first() if run_id < 10**RUN_DIGITS_MAX else None
    if run is None:
        raise ApiError(404, "run_not_found", f"There is no run {run_id}.")
    return run


def _run(run: SimulatorRun) -> dict[str, Any]:
    """A kept run as JSON values."""
    return {
        "id": run.pk,
        "status": run.status,
        "config": run.config,
        "created_at": run.created_at.isoformat(),
        "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
        "progress": run.progress,
        "results": run.results,
        "details": run.details,
        "error": run.error,
        "trace": bool(run.trace_bytes),
    }
