"""URLs of the simulator."""

from django.urls import URLPattern, URLResolver, path

from simulator.web import api

ROOT = "api/v1/simulator"

urlpatterns: list[URLPattern | URLResolver] = [
    path(ROOT, api.SimulatorView.as_view()),
    path(f"{ROOT}/start", api.StartView.as_view()),
    path(f"{ROOT}/stop", api.StopView.as_view()),
    path(f"{ROOT}/output", api.OutputView.as_view()),
    path(f"{ROOT}/results", api.ResultsView.as_view()),
    path(f"{ROOT}/runs", api.RunsView.as_view()),
    path(f"{ROOT}/runs/<int:run_id>", api.RunView.as_view()),
    path(f"{ROOT}/runs/<int:run_id>/trace", api.TraceView.as_view()),
]
