"""URLs of judging, and of the page."""

from collections.abc import Callable
from typing import Any

from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, path

from dtvn.api.event_bodies import BODY_BYTES_MAX
from events.pages import show_page
from events.rest import judging, live, runs
from events.services.run_table import SCOPE
from validators.rest.http import Handler, route

ROOT = "api/v1/events"
RUN = f"{ROOT}/runs/<int:run_id>"


def _judging(handler: Handler, **more: Any) -> Callable[..., HttpResponseBase]:
    """The view of a call that has events judged; it is not audited, since the run's row names the caller."""
    return route(post=handler, scope=SCOPE, body_bytes=BODY_BYTES_MAX, audited=False, **more)


urlpatterns: list[URLPattern | URLResolver] = [
    path(ROOT, route(get=runs.show_status)),
    path(f"{ROOT}/validate", _judging(judging.validate)),
    path(f"{ROOT}/validate-sequence", _judging(judging.validate_sequence)),
    path(f"{ROOT}/stream", _judging(live.judge_stream, streamed=True)),
    path(
        f"{ROOT}/runs",
        route(get=runs.list_runs, post=runs.begin_run, scope=SCOPE, audited=False),
    ),
    path(RUN, route(get=runs.show_run, delete=runs.erase_run, scope=SCOPE, body_bytes=0)),
    path(f"{RUN}/events", _judging(runs.judge_next)),
    path(f"{RUN}/end", route(post=runs.end_run, scope=SCOPE, body_bytes=0, audited=False)),
    path(f"{RUN}/pieces", route(get=runs.list_pieces)),
    path(f"{RUN}/transcript", route(post=runs.make_transcript, scope=SCOPE, body_bytes=BODY_BYTES_MAX)),
    path("dashboard/events", show_page, name="events"),
]
