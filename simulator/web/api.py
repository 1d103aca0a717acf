"""/simulator: bare JSON values, as for all routes of the platform itself."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse
from django.http.response import HttpResponseBase

from dtvn.api.answers import Answer, bare
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, InvalidRequest
from dtvn.api.queries import next_link, read_limit
from simulator.web import services
from simulator.web.models import SimulatorRun
from simulator.web.start_request import read_start_request
from simulator.web.tasks import send

RUN_DIGITS_MAX = 18


def show_simulator(call: Call) -> Answer:
    """Status and output of the newest run, with its configuration, progress and results."""
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
    return bare(shown)


def start_run(call: Call) -> Answer:
    """Start a run in a worker; 409 if one is running."""
    run = services.start(read_start_request(call.body), send)
    return bare({"status": "started", "config": run.config, "run_id": run.pk})


def stop_run(call: Call) -> Answer:
    """Stop the run; 409 if none is running."""
    services.stop()
    return bare({"status": "stopping"})


def show_output(call: Call) -> Answer:
    """The newest lines of the newest run."""
    return bare({"output": services.output_of(services.current_run())})


def show_results(call: Call) -> Answer:
    """Results of the newest run; 404 until it is complete."""
    run = services.current_run()
    if run is None or run.results is None:
        raise ApiError(404, "no_results", "no results available")
    return bare(run.results)


def list_runs(call: Call) -> Answer:
    """List the saved runs, newest first; `limit`, `after` (a run's id)."""
    limit, after = read_limit(call.query), call.query.get("after")
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
        headers["Link"] = next_link(call.path, call.pairs, str(found[-1].pk))
    return bare([_run(run) for run in found], headers=headers)


def show_run(call: Call, run_id: int) -> Answer:
    """One run with its output."""
    run = _find(run_id)
    return bare(_run(run) | {"output": services.output_of(run)})


def send_trace(call: Call, run_id: int) -> HttpResponseBase:
    """Every event, one JSON array per line (simulator/tracing.py), for runs started with `trace`."""
    run = _find(run_id)
    try:
        file = services.trace_file(run.pk).open("rb") if run.trace_bytes else None
    except FileNotFoundError:
        file = None
    if file is None:
        raise ApiError(404, "no_trace", f"There is no trace of run {run_id}.")
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
