"""URLs of the simulator: its API, and its page."""

from django.urls import URLPattern, URLResolver, path

from simulator.web import api
from simulator.web.output import LINES_KEPT
from validators.dashboard.views import page_of
from validators.rest.http import route

ROOT = "api/v1/simulator"

urlpatterns: list[URLPattern | URLResolver] = [
    path(ROOT, route(get=api.show_simulator, enveloped=False)),
    path(f"{ROOT}/start", route(post=api.start_run, scope="admin", enveloped=False)),
    path(f"{ROOT}/stop", route(post=api.stop_run, scope="admin", body_bytes=0, enveloped=False)),
    path(f"{ROOT}/output", route(get=api.show_output, enveloped=False)),
    path(f"{ROOT}/results", route(get=api.show_results, enveloped=False)),
    path(f"{ROOT}/runs", route(get=api.list_runs, enveloped=False)),
    path(f"{ROOT}/runs/<int:run_id>", route(get=api.show_run, enveloped=False)),
    path(f"{ROOT}/runs/<int:run_id>/trace", route(get=api.send_trace, enveloped=False)),
    path("dashboard/simulator", page_of("simulator", lines_kept=LINES_KEPT), name="simulator"),
]
