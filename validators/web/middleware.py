"""Middleware: static files, response headers, request metrics, and what only visitors with a browser need."""

from collections.abc import Callable
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from django_prometheus.middleware import PrometheusAfterMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

from validators.sessions.store import note_use
from validators.web.one_hop import LaterResponse

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
PERMISSIONS = ", ".join(
    f"{name}=()"
    for name in ("camera", "geolocation", "microphone", "payment", "usb", "serial", "hid", "bluetooth")
)
"""Nothing of these is used: readers of codes are keyboards."""
API = "/api/v1/"
SERIES_MAX = 1_024
"""Series of request metrics that are cached."""


class ContentSecurityPolicy:
    """Allows only our own scripts, styles and sockets, unless a view has set a policy of its own; no device
    of the visitor, and no use of our answers by pages of other sites."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


class ServedFiles(WhiteNoiseMiddleware):  # type: ignore[misc] # whitenoise has no types
    """Serves static files; index.html is permanently redirected to its folder, as in the Go DTVN."""

    def redirect(self, from_url: str, to_url: str) -> Any:
        """Redirect to the folder, with 301 instead of 302."""
        moved = super().redirect(from_url, to_url)
        moved.response.status = HTTPStatus.MOVED_PERMANENTLY
        return moved


class _Visitors(MiddlewareMixin):
    """Leaves out the calls of programs. With a key, the API asks neither session nor user, and
    without a cookie none of the three adds to an answer."""

    def __call__(self, request: HttpRequest) -> Any:
        """See Django."""
        sent = request.META
        program = sent.get("HTTP_X_API_KEY") and not sent.get("HTTP_COOKIE")
        if program and request.path_info.startswith(API):
            return self.get_response(request)
        return super().__call__(request)


class Sessions(_Visitors, SessionMiddleware):
    """Django's sessions, for visitors only; with use, their idle time begins anew."""

    def process_response(self, request: Any, response: Any) -> Any:
        """See Django."""
        noted = False
        try:
            noted = response.status_code < 500 and not request.session.modified and note_use(request.session)
            return super().process_response(request, response)
        except (DatabaseError, SessionInterrupted):
            if noted:  # the answer does not depend on it
                return response
            raise


class Users(_Visitors, AuthenticationMiddleware):
    """Django's users, for visitors only."""


class Messages(_Visitors, MessageMiddleware):
    """Django's messages, for visitors only."""


class RequestFigures(PrometheusAfterMiddleware):  # type: ignore[misc] # django_prometheus has no types
    """django_prometheus's request metrics, with cached series."""

    def label_metric(self, metric: Any, request: Any, response: Any = None, **labels: Any) -> Any:
        """See django_prometheus."""
        return _series(metric, **labels) if labels else metric

    def process_response(self, request: Any, response: Any) -> Any:
        """See django_prometheus."""
        if not isinstance(response, LaterResponse):
            return super().process_response(request, response)
        response.once_begun.append(partial(super().process_response, request, response))
        return response


@lru_cache(maxsize=SERIES_MAX)
def _series(metric: Any, **labels: Any) -> Any:
    """The series with these labels; its metric would check them all each time."""
    return metric.labels(**labels)
