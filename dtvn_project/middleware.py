"""Middleware for every page: static files and response headers."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware

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


class ContentSecurityPolicy:
    """Allows only our own scripts, styles and sockets, unless a view has set a policy of its own."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class ServedFiles(WhiteNoiseMiddleware):  # type: ignore[misc] # whitenoise has no types
    """Serves static files; index.html is permanently redirected to its folder, as in the seed (spec 9)."""

    def redirect(self, from_url: str, to_url: str) -> Any:
        """Redirect to the folder, with 301 instead of 302."""
        moved = super().redirect(from_url, to_url)
        moved.response.status = HTTPStatus.MOVED_PERMANENTLY
        return moved
